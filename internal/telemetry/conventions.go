package telemetry

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
)

// conventions are the names of things that are not this service's own, and whose names have changed: those of the time
// before a convention was stable, those since, or both.
type conventions struct {
	rpc       []rpcConvention
	messaging []messagingConvention
	http      string // what stands before the method in the name of an HTTP client's span
}

// conventions are chosen by OTEL_SEMCONV_STABILITY_OPT_IN, a list: "rpc", "http" and "messaging" are the stable names,
// "rpc/dup", "http/dup" and "messaging/dup" both. Where it does not name RPCs or HTTP, they are as old as the names of the
// order's facts.
func (e env) conventions(dialect string) conventions {
	c := conventions{messaging: []messagingConvention{oldMessaging()}}
	switch dialect {
	case dialectApp:
		c.rpc, c.http = []rpcConvention{oldRPC()}, oldHTTP
	case dialectDemo:
		c.rpc = []rpcConvention{stableRPC()}
	case dialectBoth:
		c.rpc, c.http = []rpcConvention{oldRPC(), stableRPC()}, oldHTTP
	}
	chosen := map[string]bool{}
	for name := range strings.SplitSeq(strings.ToLower(e.get("OTEL_SEMCONV_STABILITY_OPT_IN")), ",") {
		chosen[strings.TrimSpace(name)] = true
	}
	switch { // of the two, the one with /dup has precedence
	case chosen["rpc/dup"]:
		c.rpc = []rpcConvention{oldRPC(), stableRPC()}
	case chosen["rpc"]:
		c.rpc = []rpcConvention{stableRPC()}
	}
	switch {
	case chosen["http/dup"]: // a span has one name
		c.http = oldHTTP
	case chosen["http"]:
		c.http = ""
	}
	switch {
	case chosen["messaging/dup"]:
		c.messaging = []messagingConvention{oldMessaging(), newMessaging()}
	case chosen["messaging"]:
		c.messaging = []messagingConvention{newMessaging()}
	}
	return c
}

// oldHTTP begins the span's name in the time before the convention was stable: "HTTP POST". All else of HTTP has its stable
// names only.
const oldHTTP = "HTTP "

// rpcConvention is one way to name what is known of an RPC. More than one can be in force at a time.
type rpcConvention struct {
	identity       func(service, method string) []attribute.KeyValue
	status         func(codes.Code) attribute.KeyValue
	failing        bool // whether error.type is on the metric, too
	server, client rpcMetrics
	perSecond      float64 // how many units of a duration a second is
}

// rpcMetrics are the names of an RPC's metrics; an empty one is not emitted.
type rpcMetrics struct{ duration, requestSize, responseSize string }

// oldRPC is the convention before it became stable: what the shop's dashboards and trace tests ask for.
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

// codeName is the name of a status code in gRPC's own documents: "NOT_FOUND". grpc-go says "NotFound".
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

// messagingConvention is one way to name what is known of a record that is sent to Kafka. Of two, the first names the
// span.
type messagingConvention struct {
	span     func(topic string) string
	identity []attribute.KeyValue
	place    func(attrs []attribute.KeyValue, partition int32, offset int64) []attribute.KeyValue // what it adds to attrs
}

// oldMessaging is what the shop's own services call it. The conventions want it kept until the new names are stable.
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

// newMessaging is the convention as it stands now.
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
