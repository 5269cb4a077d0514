package telemetry

import (
	"context"
	"errors"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Collect returns the metrics of the process as they are now, counted since its start. They are the instruments that are
// exported, so the console and a dashboard show the same. It fails unless Options.Collect was set.
func (t *Telemetry) Collect(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	if t.local == nil {
		return nil, errors.New("metrics are not kept in this process")
	}
	var m metricdata.ResourceMetrics
	err := t.local.Collect(ctx, &m)
	return m.ScopeMetrics, err
}

// readers returns what reads the metrics for the exporter, which may be nil, and what reads them for Collect. A second reader
// would make every measurement cost twice, so both are one; but what reads deltas for an exporter must not lose them to
// Collect.
func readers(exporter sdkmetric.Exporter, collect bool) (all []sdkmetric.Option, local sdkmetric.Reader) {
	if exporter != nil {
		local = sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(newDistributions()))
		all = append(all, sdkmetric.WithReader(local))
	}
	if collect && !cumulative(exporter) {
		local = sdkmetric.NewManualReader()
		all = append(all, sdkmetric.WithReader(local))
	}
	return all, local
}

// cumulative reports whether the exporter is given what was counted since the start.
func cumulative(exporter sdkmetric.Exporter) bool {
	return exporter != nil && exporter.Temporality(sdkmetric.InstrumentKindCounter) == metricdata.CumulativeTemporality
}
