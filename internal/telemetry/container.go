package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"checkout/internal/container"
)

// observeContainer reports the memory limit of the container and the memory that counts towards it, if there is a limit. The
// conventions have no name for a limit, and their working set includes the executable's pages, which the kernel can drop.
func (t *Telemetry) observeContainer(read func() (container.Memory, bool)) {
	if _, ok := read(); !ok {
		return
	}
	gauge := t.meter.Int64ObservableGauge
	limit, held := described(gauge, metricMemoryLimit), described(gauge, metricMemoryHeld)
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if is, ok := read(); ok { // an error would cost the whole export
			o.ObserveInt64(limit, is.Limit)
			o.ObserveInt64(held, is.Unreclaimable)
		}
		return nil
	}, limit, held))
}
