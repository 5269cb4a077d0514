package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"checkout/internal/redact"
)

// All that is emitted passes here: spans, log records, and lines on stdout. Nothing is copied unless something is masked.

// maskedSpans masks personal data in spans before the next processor gets them.
type maskedSpans struct{ sdktrace.SpanProcessor }

func (m maskedSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	masked := maskedSpan{s, s.SpanContext(), redact.Text(s.Name()), s.Attributes(), s.Events(), s.Links(), s.Status()}
	masked.status.Description = redact.Text(masked.status.Description)
	hit := masked.name != s.Name() || masked.status != s.Status()
	if s.Parent().IsRemote() && masked.context.TraceState().Len() > 0 { // as the caller sent it: the span began before the card was read
		masked.context, hit = masked.context.WithTraceState(trace.TraceState{}), true
	}
	if attrs, found := maskAll(masked.attributes); found {
		masked.attributes, hit = attrs, true
	}
	for i, event := range masked.events {
		attrs, found := maskAll(event.Attributes)
		if name := redact.Text(event.Name); found || name != event.Name {
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

// maskedSpan is a span in which something was masked.
type maskedSpan struct {
	sdktrace.ReadOnlySpan

	context    trace.SpanContext
	name       string
	attributes []attribute.KeyValue
	events     []sdktrace.Event
	links      []sdktrace.Link
	status     sdktrace.Status
}

func (s maskedSpan) SpanContext() trace.SpanContext   { return s.context }
func (s maskedSpan) Name() string                     { return s.name }
func (s maskedSpan) Attributes() []attribute.KeyValue { return s.attributes }
func (s maskedSpan) Events() []sdktrace.Event         { return s.events }
func (s maskedSpan) Links() []sdktrace.Link           { return s.links }
func (s maskedSpan) Status() sdktrace.Status          { return s.status }

// maskedLogs masks personal data in log records before the next processors get them.
type maskedLogs struct{}

func (maskedLogs) Enabled(context.Context, sdklog.EnabledParameters) bool { return false } // it needs no records for itself

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

func (maskedLogs) Shutdown(context.Context) error   { return nil }
func (maskedLogs) ForceFlush(context.Context) error { return nil }

// maskAll masks the values of attributes.
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

// mask returns v without personal data, and whether there was any. A list or a map that has some becomes text.
func mask(v attribute.Value) (_ attribute.Value, found bool) {
	var text string
	switch v.Type() { //nolint:exhaustive // numbers are no text
	case attribute.STRING:
		text = v.AsString()
	case attribute.BYTESLICE:
		text = string(v.AsByteSlice())
	case attribute.STRINGSLICE, attribute.SLICE, attribute.MAP:
		text = v.String()
		found = strings.Contains(text, "\uFFFD") // it may have invalid UTF-8 inside
	}
	masked := redact.Text(text)
	if masked == text && !found {
		return v, false
	}
	return attribute.StringValue(masked), true
}

// maskField masks personal data in a line on stdout, but not the ids of trace and span, which may look like cards.
func maskField(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == logTraceID || a.Key == logSpanID) {
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, redact.Text(a.Value.String()))
	case slog.KindAny:
		if text, found := maskAny(a.Value.Any()); found {
			return slog.String(a.Key, text)
		}
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime, slog.KindUint64, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

// maskAny returns v as the log would show it, masked, and whether something was.
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
	masked := redact.Text(text)
	return masked, masked != text
}
