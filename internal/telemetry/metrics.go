package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The metrics of this service's own.
const (
	metricOrders     = "checkout.orders"
	metricAmount     = "checkout.order.amount"
	metricLines      = "checkout.order.lines"
	metricSteps      = "checkout.step.duration"
	metricActive     = "checkout.order.active"
	metricUnfinished = "checkout.order.unfinished"
	metricOldest     = "checkout.order.oldest"
	metricOwed       = "checkout.delivery.owed"
	metricOldestOwed = "checkout.delivery.oldest"
	metricLimit      = "checkout.admission.limit"
	metricTurnedAway = "checkout.admission.refused"
	metricEvicted    = "checkout.connections.evicted"

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

// instrumentKind is what a metric does with its values.
type instrumentKind string

const (
	counter       instrumentKind = "counter"
	upDownCounter instrumentKind = "updowncounter"
	gauge         instrumentKind = "gauge"
	histogram     instrumentKind = "histogram"
)

// instrument is a metric.
type instrument struct {
	name       string
	kind       instrumentKind
	unit       string    // of UCUM
	buckets    []float64 // of a histogram; nil: the SDK's own
	text       string
	attributes []attribute.Key
}

// instruments is the table of the metrics. What the conventions define is described in their words.
func instruments() []instrument {
	seconds := secondBuckets()
	return append([]instrument{
		{metricOrders, counter, "{order}", nil, "Calls to place an order, by what came of them.", by(outcomeKey, errorType)},
		{metricAmount, histogram, "{currency}", amountBuckets(), "What orders cost with shipping, in the currency that they were placed in.", by(currencyKey)},
		{metricLines, histogram, "{line}", lineBuckets(), "Different products in an order.", nil},
		{metricSteps, histogram, "s", seconds, "How long a step of an order takes, tries that failed and the wait for a connection included.", by(stepKey, errorType)},
		{metricActive, gauge, "{order}", nil, "Orders that have been let in and whose money and parcel are not settled yet.", nil},
		{metricUnfinished, gauge, "{order}", nil, "Orders on record that are not over, by state. Replicas that share a record all report the same.", by(stateKey)},
		{metricOldest, gauge, "s", nil, "How long ago the oldest order of those in a state was placed; 0 when there is none.", by(stateKey)},
		{metricOwed, gauge, "{delivery}", nil, "Pending deliveries of placed orders: carts to empty, e-mails and events to send.", by(deliveryKey)},
		{metricOldestOwed, gauge, "s", nil, "How long ago the oldest order with a pending delivery was placed; 0 when there is none.", by(deliveryKey)},
		{metricLimit, gauge, "{order}", nil, "How many orders may be under way at present.", nil},
		{metricTurnedAway, counter, "{order}", nil, "Orders that were turned away because too many were under way.", nil},

		{metricEvicted, counter, "{connection}", nil, "Connections to the service that were closed to make room for new ones.", by(connectionStateKey)},

		{metricMemoryLimit, gauge, "By", nil, "The limit of the container's memory, where it has one.", nil},
		{metricMemoryHeld, gauge, "By", nil, "Memory of the container that the kernel cannot take back: all but pages of files. At the limit the process is killed.", nil},

		{httpDuration, histogram, "s", seconds, "Duration of HTTP client requests.", httpKeys()},
		{httpRequestSize, histogram, "By", nil, "Size of HTTP client request bodies.", httpKeys()},
		{httpResponseSize, histogram, "By", nil, "Size of HTTP client response bodies.", httpKeys()},

		{messagingSent, counter, "{message}", nil, "Number of messages producer attempted to send to the broker.", messagingKeys()},
		{messagingDuration, histogram, "s", seconds, "Duration of messaging operation initiated by a producer or consumer client.", append(messagingKeys(), messagingOperationType)},

		{processCPU, counter, "s", nil, "Total CPU seconds broken down by different CPU modes.", by(cpuMode)},
		{processMemory, upDownCounter, "By", nil, "The amount of physical memory in use.", nil},
		{processDescriptors, upDownCounter, "{file_descriptor}", nil, "Number of unix file descriptors in use by the process.", nil},
		{goCycles, counter, "{gc_cycle}", nil, "Number of completed GC cycles.", nil},
		{goCPU, counter, "s", nil, "Estimated CPU time spent by the Go runtime.", by(goCPUState)},
		{goPause, histogram, "s", pauseBuckets(), "Distribution of individual GC-related stop-the-world pause latencies.", nil},
		{goSchedule, histogram, "s", waitBuckets(), "The time goroutines have spent in the scheduler in a runnable state before actually running.", nil},
	}, rpcInstruments()...)
}

// rpcInstruments are the metrics of both conventions for RPCs.
func rpcInstruments() []instrument {
	peer := by(serverAddress, serverPort)
	method, status := by("rpc.system", "rpc.service", "rpc.method"), by("rpc.grpc.status_code")
	stable := by("rpc.system.name", "rpc.method", "rpc.response.status_code", errorType)
	join := func(parts ...[]attribute.Key) []attribute.Key { return slices.Concat(parts...) }
	seconds := secondBuckets()
	return []instrument{
		{"rpc.server.duration", histogram, "ms", nil, "Measures the duration of inbound RPC.", join(method, status)},
		{"rpc.server.request.size", histogram, "By", nil, "Measures the size of RPC request messages (uncompressed).", method},
		{"rpc.server.response.size", histogram, "By", nil, "Measures the size of RPC response messages (uncompressed).", method},
		{"rpc.client.duration", histogram, "ms", nil, "Measures the duration of outbound RPC.", join(method, status, peer)},
		{"rpc.client.request.size", histogram, "By", nil, "Measures the size of RPC request messages (uncompressed).", join(method, peer)},
		{"rpc.client.response.size", histogram, "By", nil, "Measures the size of RPC response messages (uncompressed).", join(method, peer)},
		{"rpc.server.call.duration", histogram, "s", seconds, "Measures the duration of an incoming Remote Procedure Call (RPC).", stable},
		{"rpc.client.call.duration", histogram, "s", seconds, "Measures the duration of an outgoing Remote Procedure Call (RPC).", join(stable, peer)},
	}
}

func by(all ...attribute.Key) []attribute.Key { return all }

func httpKeys() []attribute.Key {
	return by(httpRequestMethod, httpStatusCode, networkProtocolVersion, serverAddress, serverPort, errorType)
}

func messagingKeys() []attribute.Key {
	return by(messagingSystem, messagingDestination, messagingOperationName, errorType)
}

// secondBuckets are the boundaries that the conventions ask of durations in seconds.
func secondBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

// amountBuckets suit a dollar as well as a yen.
func amountBuckets() []float64 {
	return []float64{1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000, 1_000_000}
}

// lineBuckets go up to what an order may have by default.
func lineBuckets() []float64 { return []float64{1, 2, 3, 5, 10, 20, 50, 100, 200} }

// pauseBuckets are few; the runtime itself has some 160.
func pauseBuckets() []float64 {
	return []float64{10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 100e-3}
}

// waitBuckets are for goroutines that wait for a processor: longer than a pause, where there are few.
func waitBuckets() []float64 {
	return []float64{10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 50e-3, 100e-3, 500e-3, 1}
}

// instrumentOf is the instrument of that name, from the table.
func instrumentOf(name string) instrument {
	for _, i := range instruments() {
		if i.name == name {
			return i
		}
	}
	return instrument{name: name}
}

// made is what could be made of an instrument. The API says that one that could not be is good for nothing, and harmless.
func made[T any](i T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return i
}

// duration makes a histogram of durations, or of other fractions.
func (t *Telemetry) duration(name string) metric.Float64Histogram {
	i := instrumentOf(name)
	options := []metric.Float64HistogramOption{metric.WithUnit(i.unit), metric.WithDescription(i.text)}
	if i.buckets != nil {
		options = append(options, metric.WithExplicitBucketBoundaries(i.buckets...))
	}
	return made(t.meter.Float64Histogram(name, options...))
}

// size makes a histogram of sizes.
func (t *Telemetry) size(name string) metric.Int64Histogram {
	i := instrumentOf(name)
	options := []metric.Int64HistogramOption{metric.WithUnit(i.unit), metric.WithDescription(i.text)}
	if i.buckets != nil {
		options = append(options, metric.WithExplicitBucketBoundaries(i.buckets...))
	}
	return made(t.meter.Int64Histogram(name, options...))
}

func (t *Telemetry) counter(name string) metric.Int64Counter {
	i := instrumentOf(name)
	return made(t.meter.Int64Counter(name, metric.WithUnit(i.unit), metric.WithDescription(i.text)))
}

func (t *Telemetry) observedCounter(name string) metric.Int64ObservableCounter {
	i := instrumentOf(name)
	return made(t.meter.Int64ObservableCounter(name, metric.WithUnit(i.unit), metric.WithDescription(i.text)))
}

func (t *Telemetry) observedSeconds(name string) metric.Float64ObservableCounter {
	i := instrumentOf(name)
	return made(t.meter.Float64ObservableCounter(name, metric.WithUnit(i.unit), metric.WithDescription(i.text)))
}

func (t *Telemetry) observedLevel(name string) metric.Int64ObservableUpDownCounter {
	i := instrumentOf(name)
	return made(t.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(i.unit), metric.WithDescription(i.text)))
}

func (t *Telemetry) observedGauge(name string) metric.Int64ObservableGauge {
	i := instrumentOf(name)
	return made(t.meter.Int64ObservableGauge(name, metric.WithUnit(i.unit), metric.WithDescription(i.text)))
}

func (t *Telemetry) observedAge(name string) metric.Float64ObservableGauge {
	i := instrumentOf(name)
	return made(t.meter.Float64ObservableGauge(name, metric.WithUnit(i.unit), metric.WithDescription(i.text)))
}

// measurement is a set of attributes, made once and used for many measurements.
func measurement(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}
