package otlp

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// Fields are written by their numbers in opentelemetry-proto 1.x, trace/v1/trace.proto and common/v1/common.proto. A test
// compares the result with the generated messages.

const (
	fieldSpans         = 2 // ScopeSpans.spans
	resourceAttributes = 1 // Resource.attributes
	scopeAttributes    = 3 // InstrumentationScope.attributes
)

// Flags of a span or a link, beyond those of W3C Trace Context: whether the other end is in another process.
const (
	flagRemoteKnown = 0x100
	flagRemote      = 0x200
)

// appendSpan appends the span as an element of ScopeSpans.spans.
func appendSpan(b []byte, s sdktrace.ReadOnlySpan) []byte {
	return appendMessage(b, fieldSpans, func(b []byte) []byte {
		of, parent := s.SpanContext(), s.Parent()
		b = appendIDs(b, 1, 2, of)
		b = appendString(b, 3, of.TraceState().String())
		if id := parent.SpanID(); id.IsValid() {
			b = appendBytes(b, 4, id[:])
		}
		b = appendString(b, 5, s.Name())
		b = appendVarint(b, 6, uint64(s.SpanKind())) //nolint:gosec // the SDK has the numbers of the protocol
		b = appendTime(b, 7, s.StartTime())
		b = appendTime(b, 8, s.EndTime())
		b = appendAttributes(b, 9, s.Attributes())
		b = appendVarint(b, 10, count(s.DroppedAttributes()))
		for _, event := range s.Events() {
			b = appendEvent(b, event)
		}
		b = appendVarint(b, 12, count(s.DroppedEvents()))
		for _, link := range s.Links() {
			b = appendLink(b, link)
		}
		b = appendVarint(b, 14, count(s.DroppedLinks()))
		b = appendStatus(b, s.Status())
		return appendFlags(b, 16, of.TraceFlags(), parent)
	})
}

// appendEvent appends an element of Span.events.
func appendEvent(b []byte, e sdktrace.Event) []byte {
	return appendMessage(b, 11, func(b []byte) []byte {
		b = appendTime(b, 1, e.Time)
		b = appendString(b, 2, e.Name)
		b = appendAttributes(b, 3, e.Attributes)
		return appendVarint(b, 4, count(e.DroppedAttributeCount))
	})
}

// appendLink appends an element of Span.links.
func appendLink(b []byte, l sdktrace.Link) []byte {
	return appendMessage(b, 13, func(b []byte) []byte {
		b = appendIDs(b, 1, 2, l.SpanContext)
		b = appendString(b, 3, l.SpanContext.TraceState().String())
		b = appendAttributes(b, 4, l.Attributes)
		b = appendVarint(b, 5, count(l.DroppedAttributeCount))
		return appendFlags(b, 6, l.SpanContext.TraceFlags(), l.SpanContext)
	})
}

// appendStatus appends Span.status.
func appendStatus(b []byte, s sdktrace.Status) []byte {
	return appendMessage(b, 15, func(b []byte) []byte {
		b = appendString(b, 2, s.Description)
		switch s.Code {
		case codes.Ok:
			b = appendVarint(b, 3, 1)
		case codes.Error:
			b = appendVarint(b, 3, 2)
		case codes.Unset:
		}
		return b
	})
}

// appendFlags appends the flags of a span or a link with this other end.
func appendFlags(b []byte, field protowire.Number, own trace.TraceFlags, there trace.SpanContext) []byte {
	flags := uint32(own) | flagRemoteKnown
	if there.IsRemote() {
		flags |= flagRemote
	}
	b = protowire.AppendTag(b, field, protowire.Fixed32Type)
	return protowire.AppendFixed32(b, flags)
}

func appendIDs(b []byte, traceField, spanField protowire.Number, of trace.SpanContext) []byte {
	traceID, spanID := of.TraceID(), of.SpanID()
	b = appendBytes(b, traceField, traceID[:])
	return appendBytes(b, spanField, spanID[:])
}

func appendAttributes(b []byte, field protowire.Number, attrs []attribute.KeyValue) []byte {
	for _, a := range attrs {
		b = appendMessage(b, field, func(b []byte) []byte {
			b = appendString(b, 1, string(a.Key))
			return appendMessage(b, 2, func(b []byte) []byte { return appendValue(b, a.Value) })
		})
	}
	return b
}

// appendValue appends the fields of AnyValue, even those that are zero: the field is the type of the value.
func appendValue(b []byte, v attribute.Value) []byte {
	switch v.Type() {
	case attribute.STRING:
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		return protowire.AppendString(b, v.AsString())
	case attribute.BOOL:
		return appendBool(b, v.AsBool())
	case attribute.INT64:
		return appendInt(b, v.AsInt64())
	case attribute.FLOAT64:
		return appendDouble(b, v.AsFloat64())
	case attribute.BYTESLICE:
		b = protowire.AppendTag(b, 7, protowire.BytesType)
		return protowire.AppendBytes(b, v.AsByteSlice())
	case attribute.BOOLSLICE:
		return appendArray(b, v.AsBoolSlice(), appendBool)
	case attribute.INT64SLICE:
		return appendArray(b, v.AsInt64Slice(), appendInt)
	case attribute.FLOAT64SLICE:
		return appendArray(b, v.AsFloat64Slice(), appendDouble)
	case attribute.STRINGSLICE:
		return appendArray(b, v.AsStringSlice(), func(b []byte, s string) []byte {
			b = protowire.AppendTag(b, 1, protowire.BytesType)
			return protowire.AppendString(b, s)
		})
	case attribute.SLICE:
		return appendArray(b, v.AsSlice(), appendValue)
	case attribute.MAP:
		return appendMessage(b, 6, func(b []byte) []byte { return appendAttributes(b, 1, v.AsMap()) })
	case attribute.EMPTY:
	}
	return b
}

func appendArray[T any](b []byte, values []T, element func([]byte, T) []byte) []byte {
	return appendMessage(b, 5, func(b []byte) []byte {
		for _, v := range values {
			b = appendMessage(b, 1, func(b []byte) []byte { return element(b, v) })
		}
		return b
	})
}

func appendBool(b []byte, v bool) []byte {
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeBool(v))
}

func appendInt(b []byte, v int64) []byte {
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(v)) //nolint:gosec // as protobuf writes an int64
}

func appendDouble(b []byte, v float64) []byte {
	b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(v))
}

// appendMessage appends a field that is a message. Its length precedes it: one byte is reserved, which is enough for most, and
// longer messages are moved.
func appendMessage(b []byte, field protowire.Number, fields func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = append(b, 0)
	start := len(b)
	b = fields(b)
	end := len(b)
	length := uint64(end - start) //nolint:gosec // b has only become longer
	if more := protowire.SizeVarint(length) - 1; more > 0 {
		b = append(b, make([]byte, more)...)
		copy(b[start+more:], b[start:end])
	}
	protowire.AppendVarint(b[:start-1], length)
	return b
}

// Zero fields of proto3 are omitted.

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func appendTime(b []byte, field protowire.Number, t time.Time) []byte {
	nanos := max(t.UnixNano(), 0) // before 1970 there is no telemetry
	if nanos == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, uint64(nanos))
}

// count is a number of things that were dropped, as a uint32.
func count(n int) uint64 { return uint64(min(max(n, 0), math.MaxUint32)) }
