package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// usage is the resources that the process uses.
type usage struct {
	user, system time.Duration
	memory       int64 // bytes
	descriptors  int64 // open ones
}

// observeProcess reports the usage of the process, on systems that provide it.
func (t *Telemetry) observeProcess() {
	level := t.meter.Int64ObservableUpDownCounter
	memory, descriptors := described(level, processMemory), described(level, processDescriptors)
	cpu := described(t.meter.Float64ObservableCounter, processCPU)
	user, system := measurement(cpuMode.String("user")), measurement(cpuMode.String("system"))
	made(t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		u, ok := readUsage()
		if !ok {
			return nil // an error would cost the whole export
		}
		o.ObserveFloat64(cpu, u.user.Seconds(), user)
		o.ObserveFloat64(cpu, u.system.Seconds(), system)
		o.ObserveInt64(memory, u.memory)
		o.ObserveInt64(descriptors, u.descriptors)
		return nil
	}, cpu, memory, descriptors))
}
