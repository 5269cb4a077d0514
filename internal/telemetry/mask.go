package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Whatever is emitted, by whomever, passes here: there is one way to spans, one to log records, and one to stdout.
// Nothing is copied unless there is something to hide.

// maskedSpans hides personal data in spans on their way to the processor behind.
type maskedSpans struct{ sdktrace.SpanProcessor }

// OnEnd implements sdktrace.SpanProcessor.
func (m maskedSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	masked := maskedSpan{s, redact(s.Name()), s.Attributes(), s.Events(), s.Links(), s.Status()}
	masked.status.Description = redact(masked.status.Description)
	hit := masked.name != s.Name() || masked.status != s.Status()
	if attrs, found := maskAll(masked.attributes); found {
		masked.attributes, hit = attrs, true
	}
	for i, event := range masked.events {
		attrs, found := maskAll(event.Attributes)
		if name := redact(event.Name); found || name != event.Name {
			masked.events, hit = slices.Clone(masked.events), true
			masked.events[i].Name, masked.events[i].Attributes = name, attrs
		}
	}
	for i, link := range masked.links {
		if attrs, found := maskAll(link.Attributes); found {
			masked.links, hit = slices.Clone(masked.links), true
			masked.links[i].Attributes = attrs
		}
	}
	if hit {
		s = masked
	}
	m.SpanProcessor.OnEnd(s)
}

// maskedSpan is a span that had something to hide.
type maskedSpan struct {
	sdktrace.ReadOnlySpan

	name       string
	attributes []attribute.KeyValue
	events     []sdktrace.Event
	links      []sdktrace.Link
	status     sdktrace.Status
}

func (s maskedSpan) Name() string                     { return s.name }
func (s maskedSpan) Attributes() []attribute.KeyValue { return s.attributes }
func (s maskedSpan) Events() []sdktrace.Event         { return s.events }
func (s maskedSpan) Links() []sdktrace.Link           { return s.links }
func (s maskedSpan) Status() sdktrace.Status          { return s.status }

// maskedLogs hides personal data in log records before the processors behind see them.
type maskedLogs struct{}

// Enabled implements sdklog.Processor.
func (maskedLogs) Enabled(context.Context, sdklog.EnabledParameters) bool { return false } // it wants nothing for itself

// OnEmit implements sdklog.Processor.
func (maskedLogs) OnEmit(_ context.Context, r *sdklog.Record) error {
	if body, found := mask(r.Body()); found {
		r.SetBody(body)
	}
	clean := true
	r.WalkAttributes(func(a attribute.KeyValue) bool {
		_, found := mask(a.Value)
		clean = !found
		return clean
	})
	if clean {
		return nil
	}
	var attrs []attribute.KeyValue
	r.WalkAttributes(func(a attribute.KeyValue) bool {
		a.Value, _ = mask(a.Value)
		attrs = append(attrs, a)
		return true
	})
	r.SetAttributes(attrs...)
	return nil
}

// Shutdown implements sdklog.Processor.
func (maskedLogs) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdklog.Processor.
func (maskedLogs) ForceFlush(context.Context) error { return nil }

// maskAll is attrs, or what is left of them when there was something to hide.
func maskAll(attrs []attribute.KeyValue) (_ []attribute.KeyValue, found bool) {
	for i, a := range attrs {
		value, hit := mask(a.Value)
		if !hit {
			continue
		}
		if !found {
			attrs, found = slices.Clone(attrs), true
		}
		attrs[i].Value = value
	}
	return attrs, found
}

// mask is v without personal data, and whether there was any, in strings however deep they lie.
func mask(v attribute.Value) (_ attribute.Value, found bool) {
	switch v.Type() {
	case attribute.STRING:
		text := v.AsString()
		masked := redact(text)
		return attribute.StringValue(masked), masked != text
	case attribute.BYTESLICE:
		text := string(v.AsByteSlice())
		masked := redact(text)
		return attribute.ByteSliceValue([]byte(masked)), masked != text
	case attribute.STRINGSLICE:
		texts := slices.Clone(v.AsStringSlice())
		for i, text := range texts {
			texts[i] = redact(text)
			found = found || texts[i] != text
		}
		return attribute.StringSliceValue(texts), found
	case attribute.SLICE:
		values := slices.Clone(v.AsSlice())
		for i := range values {
			var hit bool
			values[i], hit = mask(values[i])
			found = found || hit
		}
		return attribute.SliceValue(values...), found
	case attribute.MAP:
		members, found := maskAll(v.AsMap())
		return attribute.MapValue(members...), found
	case attribute.EMPTY, attribute.BOOL, attribute.INT64, attribute.FLOAT64, attribute.BOOLSLICE, attribute.INT64SLICE, attribute.FLOAT64SLICE:
	}
	return v, false
}

// maskField hides personal data in a line of the log on stdout. The ids of trace and span are digits, too, and ours.
func maskField(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == logTraceID || a.Key == logSpanID) {
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, redact(a.Value.String()))
	case slog.KindAny:
		if text, found := maskAny(a.Value.Any()); found {
			return slog.String(a.Key, text)
		}
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime, slog.KindUint64, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

// maskAny is what the log would show of v, if there is something to hide in it.
func maskAny(v any) (text string, found bool) {
	switch v := v.(type) {
	case slog.Level:
		return "", false
	case error:
		text = v.Error()
	default:
		if shown, err := json.Marshal(v); err == nil { // as the log's own handler does
			text = string(shown)
		}
	}
	masked := redact(text)
	return masked, masked != text
}
