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

// The numbers of the fields are those of opentelemetry-proto 1.x: trace/v1/trace.proto and common/v1/common.proto.

const (
	fieldSpans         = 2 // ScopeSpans.spans
	resourceAttributes = 1 // Resource.attributes
	scopeAttributes    = 3 // InstrumentationScope.attributes
)

// Fields of Span.
const (
	spanTraceID           = 1
	spanSpanID            = 2
	spanTraceState        = 3
	spanParent            = 4
	spanName              = 5
	spanKind              = 6
	spanStart             = 7
	spanEnd               = 8
	spanAttributes        = 9
	spanDroppedAttributes = 10
	spanEvents            = 11
	spanDroppedEvents     = 12
	spanLinks             = 13
	spanDroppedLinks      = 14
	spanStatus            = 15
	spanFlags             = 16
)

// Fields of Span.Event, Span.Link, and Status.
const (
	eventTime       = 1
	eventName       = 2
	eventAttributes = 3
	eventDropped    = 4

	linkTraceID    = 1
	linkSpanID     = 2
	linkTraceState = 3
	linkAttributes = 4
	linkDropped    = 5
	linkFlags      = 6

	statusMessage = 2
	statusCode    = 3
)

// Fields of KeyValue, AnyValue, ArrayValue and KeyValueList.
const (
	keyValueKey   = 1
	keyValueValue = 2

	valueString = 1
	valueBool   = 2
	valueInt    = 3
	valueDouble = 4
	valueArray  = 5
	valueMap    = 6
	valueBytes  = 7

	listValues = 1
)

// Flags of a span or a link, beyond those of W3C Trace Context: whether it is known that the other end is another process.
const (
	flagRemoteKnown = 0x100
	flagRemote      = 0x200
)

// appendSpan appends the span as an element of ScopeSpans.spans.
func appendSpan(b []byte, s sdktrace.ReadOnlySpan) []byte {
	return appendMessage(b, fieldSpans, func(b []byte) []byte {
		of, parent := s.SpanContext(), s.Parent()
		b = appendIDs(b, spanTraceID, spanSpanID, of)
		b = appendString(b, spanTraceState, of.TraceState().String())
		if id := parent.SpanID(); id.IsValid() {
			b = appendBytes(b, spanParent, id[:])
		}
		b = appendString(b, spanName, s.Name())
		b = appendVarint(b, spanKind, kind(s.SpanKind()))
		b = appendTime(b, spanStart, s.StartTime())
		b = appendTime(b, spanEnd, s.EndTime())
		b = appendAttributes(b, spanAttributes, s.Attributes())
		b = appendVarint(b, spanDroppedAttributes, count(s.DroppedAttributes()))
		for _, event := range s.Events() {
			b = appendEvent(b, event)
		}
		b = appendVarint(b, spanDroppedEvents, count(s.DroppedEvents()))
		for _, link := range s.Links() {
			b = appendLink(b, link)
		}
		b = appendVarint(b, spanDroppedLinks, count(s.DroppedLinks()))
		b = appendStatus(b, s.Status())
		return appendFlags(b, spanFlags, of.TraceFlags(), parent)
	})
}

func appendEvent(b []byte, e sdktrace.Event) []byte {
	return appendMessage(b, spanEvents, func(b []byte) []byte {
		b = appendTime(b, eventTime, e.Time)
		b = appendString(b, eventName, e.Name)
		b = appendAttributes(b, eventAttributes, e.Attributes)
		return appendVarint(b, eventDropped, count(e.DroppedAttributeCount))
	})
}

func appendLink(b []byte, l sdktrace.Link) []byte {
	return appendMessage(b, spanLinks, func(b []byte) []byte {
		b = appendIDs(b, linkTraceID, linkSpanID, l.SpanContext)
		b = appendString(b, linkTraceState, l.SpanContext.TraceState().String())
		b = appendAttributes(b, linkAttributes, l.Attributes)
		b = appendVarint(b, linkDropped, count(l.DroppedAttributeCount))
		return appendFlags(b, linkFlags, l.SpanContext.TraceFlags(), l.SpanContext)
	})
}

func appendStatus(b []byte, s sdktrace.Status) []byte {
	return appendMessage(b, spanStatus, func(b []byte) []byte {
		b = appendString(b, statusMessage, s.Description)
		switch s.Code {
		case codes.Ok:
			b = appendVarint(b, statusCode, 1)
		case codes.Error:
			b = appendVarint(b, statusCode, 2)
		case codes.Unset:
		}
		return b
	})
}

// appendFlags appends the flags of a span, or of a link, whose other end is there.
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
			b = appendString(b, keyValueKey, string(a.Key))
			return appendMessage(b, keyValueValue, func(b []byte) []byte { return appendValue(b, a.Value) })
		})
	}
	return b
}

// appendValue appends the fields of AnyValue. One that is set is there even if it is zero, since it says of what type it is.
func appendValue(b []byte, v attribute.Value) []byte {
	switch v.Type() {
	case attribute.STRING:
		b = protowire.AppendTag(b, valueString, protowire.BytesType)
		return protowire.AppendString(b, v.AsString())
	case attribute.BOOL:
		return appendBool(b, v.AsBool())
	case attribute.INT64:
		return appendInt(b, v.AsInt64())
	case attribute.FLOAT64:
		return appendDouble(b, v.AsFloat64())
	case attribute.BYTESLICE:
		b = protowire.AppendTag(b, valueBytes, protowire.BytesType)
		return protowire.AppendBytes(b, v.AsByteSlice())
	case attribute.BOOLSLICE:
		return appendArray(b, v.AsBoolSlice(), appendBool)
	case attribute.INT64SLICE:
		return appendArray(b, v.AsInt64Slice(), appendInt)
	case attribute.FLOAT64SLICE:
		return appendArray(b, v.AsFloat64Slice(), appendDouble)
	case attribute.STRINGSLICE:
		return appendArray(b, v.AsStringSlice(), func(b []byte, s string) []byte {
			b = protowire.AppendTag(b, valueString, protowire.BytesType)
			return protowire.AppendString(b, s)
		})
	case attribute.SLICE:
		return appendArray(b, v.AsSlice(), appendValue)
	case attribute.MAP:
		return appendMessage(b, valueMap, func(b []byte) []byte { return appendAttributes(b, listValues, v.AsMap()) })
	case attribute.EMPTY:
	}
	return b
}

func appendArray[T any](b []byte, values []T, element func([]byte, T) []byte) []byte {
	return appendMessage(b, valueArray, func(b []byte) []byte {
		for _, v := range values {
			b = appendMessage(b, listValues, func(b []byte) []byte { return element(b, v) })
		}
		return b
	})
}

func appendBool(b []byte, v bool) []byte {
	b = protowire.AppendTag(b, valueBool, protowire.VarintType)
	return protowire.AppendVarint(b, protowire.EncodeBool(v))
}

func appendInt(b []byte, v int64) []byte {
	b = protowire.AppendTag(b, valueInt, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(v)) //nolint:gosec // as protobuf writes an int64
}

func appendDouble(b []byte, v float64) []byte {
	b = protowire.AppendTag(b, valueDouble, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(v))
}

// appendMessage appends a field that is a message. Its length stands before it and is known after it: room is left for
// one byte, which is enough for most, and what is longer moves.
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

// The fields of proto3 that are zero are left out.

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

func kind(k trace.SpanKind) uint64 {
	switch k {
	case trace.SpanKindInternal:
		return 1
	case trace.SpanKindServer:
		return 2
	case trace.SpanKindClient:
		return 3
	case trace.SpanKindProducer:
		return 4
	case trace.SpanKindConsumer:
		return 5
	case trace.SpanKindUnspecified:
	}
	return 0
}
