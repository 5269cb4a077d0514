package telemetry

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
)

// conventions are the semantic conventions whose names have changed: the old ones, the stable ones, or both.
type conventions struct {
	rpc       []rpcConvention
	messaging []messagingConvention
	http      string // what precedes the method in the name of an HTTP client's span; all else has stable names only
}

// conventions are chosen by OTEL_SEMCONV_STABILITY_OPT_IN, a list: "rpc", "http" and "messaging" are the stable names,
// "rpc/dup", "http/dup" and "messaging/dup" both. Without it they are the old ones, as the specification says.
func (e env) conventions() conventions {
	optIn := strings.FieldsFunc(strings.ToLower(e.get("OTEL_SEMCONV_STABILITY_OPT_IN")), func(r rune) bool { return r == ',' || r == ' ' })
	return conventions{
		rpc:       inForce(optIn, "rpc", oldRPC(), stableRPC()),
		messaging: inForce(optIn, "messaging", oldMessaging(), newMessaging()),
		http:      inForce(optIn, "http", "HTTP ", "")[0], // a span has one name
	}
}

// inForce returns the convention, or both, that optIn chooses in an area.
func inForce[C any](optIn []string, area string, old, stable C) []C {
	switch {
	case slices.Contains(optIn, area+"/dup"): // has precedence
		return []C{old, stable}
	case slices.Contains(optIn, area):
		return []C{stable}
	}
	return []C{old}
}

// rpcConvention is the names of an RPC's attributes and metrics in a convention.
type rpcConvention struct {
	identity       func(service, method string) []attribute.KeyValue
	status         func(codes.Code) attribute.KeyValue
	failing        bool // whether error.type is on the metric too
	server, client rpcMetrics
	perSecond      float64 // units of a duration in a second
}

// rpcMetrics are the names of an RPC's metrics. One that is empty is not emitted.
type rpcMetrics struct{ duration, requestSize, responseSize string }

// oldRPC is the convention before it became stable, which the shop's dashboards and trace tests query.
func oldRPC() rpcConvention {
	return rpcConvention{
		identity: func(service, method string) []attribute.KeyValue {
			return []attribute.KeyValue{
				attribute.String("rpc.system", "grpc"),
				attribute.String("rpc.service", service),
				attribute.String("rpc.method", method),
			}
		},
		status:    func(c codes.Code) attribute.KeyValue { return attribute.Int("rpc.grpc.status_code", int(c)) },
		server:    rpcMetrics{"rpc.server.duration", "rpc.server.request.size", "rpc.server.response.size"},
		client:    rpcMetrics{"rpc.client.duration", "rpc.client.request.size", "rpc.client.response.size"},
		perSecond: 1000,
	}
}

// stableRPC is the stable convention.
func stableRPC() rpcConvention {
	return rpcConvention{
		identity: func(service, method string) []attribute.KeyValue {
			return []attribute.KeyValue{
				attribute.String("rpc.system.name", "grpc"),
				attribute.String("rpc.method", service+"/"+method),
			}
		},
		status: func(c codes.Code) attribute.KeyValue {
			return attribute.String("rpc.response.status_code", codeName(c))
		},
		failing:   true,
		server:    rpcMetrics{duration: "rpc.server.call.duration"},
		client:    rpcMetrics{duration: "rpc.client.call.duration"},
		perSecond: 1,
	}
}

// metrics are the names for one side of the call.
func (c rpcConvention) metrics(kind trace.SpanKind) rpcMetrics {
	if kind == trace.SpanKindServer {
		return c.server
	}
	return c.client
}

// codeName is the name of a status code in gRPC's documentation, such as "NOT_FOUND". grpc-go has "NotFound".
func codeName(c codes.Code) string {
	switch c {
	case codes.OK:
		return "OK"
	case codes.Canceled:
		return "CANCELLED"
	default:
	}
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// messagingConvention is the names of the attributes of a record sent to Kafka. Of two, the first names the span.
type messagingConvention struct {
	span     func(topic string) string
	identity []attribute.KeyValue
	place    func(attrs []attribute.KeyValue, partition int32, offset int64) []attribute.KeyValue // appends the partition and the offset
}

// oldMessaging is the convention of the shop's services, to be kept until the new names are stable.
func oldMessaging() messagingConvention {
	return messagingConvention{
		span:     func(topic string) string { return topic + " publish" },
		identity: []attribute.KeyValue{attribute.String("messaging.operation", "publish")},
		place: func(attrs []attribute.KeyValue, partition int32, offset int64) []attribute.KeyValue {
			return append(attrs,
				attribute.Int("messaging.kafka.destination.partition", int(partition)),
				attribute.Int64("messaging.kafka.message.offset", offset),
			)
		},
	}
}

// newMessaging is the current convention.
func newMessaging() messagingConvention {
	return messagingConvention{
		span:     func(topic string) string { return "send " + topic },
		identity: []attribute.KeyValue{messagingOperationName.String("send"), messagingOperationType.String("send")},
		place: func(attrs []attribute.KeyValue, partition int32, offset int64) []attribute.KeyValue {
			return append(attrs,
				attribute.String("messaging.destination.partition.id", strconv.Itoa(int(partition))),
				attribute.Int64("messaging.kafka.offset", offset),
			)
		},
	}
}
