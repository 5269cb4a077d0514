package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The metrics of this service's own.
const (
	metricOrders        = "checkout.orders"
	metricAmount        = "checkout.order.amount"
	metricLines         = "checkout.order.lines"
	metricSteps         = "checkout.step.duration"
	metricActive        = "checkout.order.active"
	metricUnfinished    = "checkout.order.unfinished"
	metricOldest        = "checkout.order.oldest"
	metricPending       = "checkout.delivery.pending"
	metricOldestPending = "checkout.delivery.oldest"
	metricLimit         = "checkout.admission.limit"
	metricRefused       = "checkout.admission.refused"
	metricEvicted       = "checkout.connections.evicted"

	metricMemoryLimit = "checkout.container.memory.limit"
	metricMemoryHeld  = "checkout.container.memory.unreclaimable"
)

// Metrics of the semantic conventions; those of RPCs are in conventions.go.
const (
	httpDuration     = "http.client.request.duration"
	httpRequestSize  = "http.client.request.body.size"
	httpResponseSize = "http.client.response.body.size"

	messagingSent     = "messaging.client.sent.messages"
	messagingDuration = "messaging.client.operation.duration"

	processCPU         = "process.cpu.time"
	processMemory      = "process.memory.usage"
	processDescriptors = "process.unix.file_descriptor.count"
	goCycles           = "go.memory.gc.cycles"
	goPause            = "go.memory.gc.pause.duration"
	goSchedule         = "go.schedule.duration"
	goCPU              = "go.cpu.time"
)

// instrument is how a metric is described. telemetry-schema has the rest of its definition, which a test compares.
type instrument struct {
	unit    string // of UCUM
	text    string
	buckets []float64 // of a histogram; nil: the SDK's own
}

// instruments is the table of the metrics. Those of the semantic conventions have their descriptions.
func instruments() map[string]instrument {
	// Seconds are those of the conventions. Amounts suit dollars as well as yen. Of pauses the runtime itself has some 160.
	seconds := []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	amounts := []float64{1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000, 1_000_000}
	lines := []float64{1, 2, 3, 5, 10, 20, 50, 100, 200}
	pauses := []float64{10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 100e-3}
	return map[string]instrument{
		metricOrders:        {"{order}", "Calls to place an order, by outcome.", nil},
		metricAmount:        {"{currency}", "Totals of orders, including shipping, in the order's currency.", amounts},
		metricLines:         {"{line}", "Different products in an order.", lines},
		metricSteps:         {"s", "Duration of a step of an order, including retries and the wait for a connection.", seconds},
		metricActive:        {"{order}", "Orders in progress: admitted, and not yet settled.", nil},
		metricUnfinished:    {"{order}", "Unfinished orders on record, by state. Replicas that share a record all report the same.", nil},
		metricOldest:        {"s", "Age of the oldest order in a state; 0 if there is none.", nil},
		metricPending:       {"{delivery}", "Pending deliveries of placed orders: carts to empty, e-mails and events to send.", nil},
		metricOldestPending: {"s", "Age of the oldest order with a pending delivery; 0 if there is none.", nil},
		metricLimit:         {"{order}", "Current limit of orders in progress.", nil},
		metricRefused:       {"{order}", "Orders rejected because of overload.", nil},
		metricEvicted:       {"{connection}", "Connections closed to make room for new ones.", nil},

		metricMemoryLimit: {"By", "Memory limit of the container, if it has one.", nil},
		metricMemoryHeld:  {"By", "Memory of the container that the kernel cannot reclaim. At the limit the process is killed.", nil},

		httpDuration:     {"s", "Duration of HTTP client requests.", seconds},
		httpRequestSize:  {"By", "Size of HTTP client request bodies.", nil},
		httpResponseSize: {"By", "Size of HTTP client response bodies.", nil},

		messagingSent:     {"{message}", "Number of messages producer attempted to send to the broker.", nil},
		messagingDuration: {"s", "Duration of messaging operation initiated by a producer or consumer client.", seconds},

		processCPU:         {"s", "Total CPU seconds broken down by different CPU modes.", nil},
		processMemory:      {"By", "The amount of physical memory in use.", nil},
		processDescriptors: {"{file_descriptor}", "Number of unix file descriptors in use by the process.", nil},
		goCycles:           {"{gc_cycle}", "Number of completed GC cycles.", nil},
		goCPU:              {"s", "Estimated CPU time spent by the Go runtime.", nil},
		goPause:            {"s", "Distribution of individual GC-related stop-the-world pause latencies.", pauses},
		goSchedule:         {"s", "The time goroutines have spent in the scheduler in a runnable state before actually running.", append(slices.Clip(pauses), 500e-3, 1)},

		"rpc.server.duration":      {"ms", "Measures the duration of inbound RPC.", nil},
		"rpc.server.request.size":  {"By", "Measures the size of RPC request messages (uncompressed).", nil},
		"rpc.server.response.size": {"By", "Measures the size of RPC response messages (uncompressed).", nil},
		"rpc.client.duration":      {"ms", "Measures the duration of outbound RPC.", nil},
		"rpc.client.request.size":  {"By", "Measures the size of RPC request messages (uncompressed).", nil},
		"rpc.client.response.size": {"By", "Measures the size of RPC response messages (uncompressed).", nil},
		"rpc.server.call.duration": {"s", "Measures the duration of an incoming Remote Procedure Call (RPC).", seconds},
		"rpc.client.call.duration": {"s", "Measures the duration of an outgoing Remote Procedure Call (RPC).", seconds},
	}
}

// made returns an instrument, and reports the error if it could not be made: it is then a no-op.
func made[T any](i T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return i
}

// described makes the instrument of that name with one of the meter's methods, whose options are of type O.
func described[I, O any](method func(name string, options ...O) (I, error), name string) I {
	i := instruments()[name]
	all := []any{metric.WithUnit(i.unit), metric.WithDescription(i.text)}
	if i.buckets != nil {
		all = append(all, metric.WithExplicitBucketBoundaries(i.buckets...))
	}
	var options []O
	for _, option := range all {
		if o, ok := option.(O); ok { // only histograms have buckets
			options = append(options, o)
		}
	}
	return made(method(name, options...))
}

// duration is for durations, and other fractions.
func (t *Telemetry) duration(name string) metric.Float64Histogram {
	return described(t.meter.Float64Histogram, name)
}

func (t *Telemetry) size(name string) metric.Int64Histogram {
	return described(t.meter.Int64Histogram, name)
}

func (t *Telemetry) counter(name string) metric.Int64Counter {
	return described(t.meter.Int64Counter, name)
}

// measurement is a set of attributes for measurements.
func measurement(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}
