package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"checkout/internal/container"
)

// observeContainer reports how near the container is to the limit of its memory, if it has one. The conventions have no
// name for the limit; and their working set counts the executable's pages, which fill a small container at all times and
// cost nothing when they are dropped.
func (t *Telemetry) observeContainer(read func() (container.Memory, bool)) {
	if _, ok := read(); !ok {
		return
	}
	limit, held := t.observedGauge(metricMemoryLimit), t.observedGauge(metricMemoryHeld)
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if is, ok := read(); ok { // an error would cost the whole export
			o.ObserveInt64(limit, is.Limit)
			o.ObserveInt64(held, is.Unreclaimable)
		}
		return nil
	}, limit, held))
}
