package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// toStdout is the log on stdout alone.
func toStdout(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(logHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: maskField}), level, true})
}

// toBoth is the log on stdout and over OTLP.
func toBoth(stdout *slog.Logger, otlp log.LoggerProvider, level slog.Leveler) *slog.Logger {
	bridge := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(otlp))
	return slog.New(logHandler{slog.NewMultiHandler(stdout.Handler(), bridge), level, false})
}

// logLevel is LOG_LEVEL or, without it, OTEL_LOG_LEVEL.
func (e env) logLevel() slog.Level {
	key := "LOG_LEVEL"
	if e.get(key) == "" {
		key = "OTEL_LOG_LEVEL"
	}
	switch e.choice(key, "info", "none", "error", "warn", "warning", "debug", "verbose", "trace") {
	case "debug", "verbose", "trace":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	case "none":
		return math.MaxInt
	}
	return slog.LevelInfo
}

// logHandler drops what is below the level, and replaces errors by exception.type and exception.message, so that a line has
// the same attributes on stdout as over OTLP.
type logHandler struct {
	slog.Handler
	level slog.Leveler
	ids   bool // of the span in the context are added
}

func (h logHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level.Level() && h.Handler.Enabled(ctx, l)
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = errorIn(a) != nil
		return !found
	})
	if found {
		replaced := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
		r.Attrs(func(a slog.Attr) bool {
			replaced.AddAttrs(exceptions([]slog.Attr{a})...)
			return true
		})
		r = replaced
	}
	if span := trace.SpanContextFromContext(ctx); h.ids && span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String(logTraceID, span.TraceID().String()), slog.String(logSpanID, span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(exceptions(attrs)), h.level, h.ids}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.level, h.ids}
}

// exceptions returns attrs with exception.type and exception.message for each that is an error.
func exceptions(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, 0, len(attrs)+1)
	for _, a := range attrs {
		if err := errorIn(a); err != nil {
			out = append(out, slog.String(string(exceptionType), typeOf(err)), slog.String(string(exceptionMessage), err.Error()))
		} else {
			out = append(out, a)
		}
	}
	return out
}

// errorIn returns the error that is the value of an attribute, or nil.
func errorIn(a slog.Attr) error {
	if a.Value.Kind() != slog.KindAny {
		return nil
	}
	err, _ := a.Value.Any().(error)
	return err
}

// typeOf is the Go type of an error, or of its cause if fmt.Errorf made it.
func typeOf(err error) string {
	name := fmt.Sprintf("%T", err)
	if cause := errors.Unwrap(err); cause != nil && (strings.HasPrefix(name, "*fmt.") || strings.HasPrefix(name, "redact.")) {
		return typeOf(cause)
	}
	return name
}

// The ids of the span that a line on stdout belongs to.
const (
	logTraceID = "trace_id"
	logSpanID  = "span_id"
)

// fields converts span attributes to log attributes: both have the same names.
func fields(groups ...[]attribute.KeyValue) []slog.Attr {
	n := 0
	for _, group := range groups {
		n += len(group)
	}
	out := make([]slog.Attr, 0, n)
	for _, group := range groups {
		for _, a := range group {
			out = append(out, field(a))
		}
	}
	return out
}

// field converts one, without an allocation for the usual types.
func field(a attribute.KeyValue) slog.Attr {
	key := string(a.Key)
	switch a.Value.Type() { //nolint:exhaustive // the rest is slog's
	case attribute.STRING:
		return slog.String(key, a.Value.AsString())
	case attribute.INT64:
		return slog.Int64(key, a.Value.AsInt64())
	case attribute.FLOAT64:
		return slog.Float64(key, a.Value.AsFloat64())
	}
	return slog.Any(key, a.Value.AsInterface())
}

// forever makes a limiter let only the first through.
const forever = time.Duration(math.MaxInt64)

// limiter lets the first through, and then one in every period.
type limiter struct {
	every time.Duration

	mu      sync.Mutex
	last    time.Time
	skipped int
}

// allow reports whether this one passes, and how many did not since the last that did.
func (l *limiter) allow() (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.last.IsZero() && now.Sub(l.last) < l.every {
		l.skipped++
		return 0, false
	}
	skipped, l.skipped, l.last = l.skipped, 0, now
	return skipped, true
}

// message is the attributes of an error message, and how many others a limiter has skipped before it.
func message(text string, skipped int) []attribute.KeyValue {
	attrs := []attribute.KeyValue{exceptionMessage.String(text)}
	if skipped > 0 {
		attrs = append(attrs, attribute.Int("skipped", skipped))
	}
	return attrs
}

// The error.types of what was cancelled or timed out.
const (
	canceled = "canceled"
	timeout  = "timeout"
)

// errorKind is the error.type of an error that is not the order's, from a short list.
func errorKind(err error) string {
	var slow interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		return canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return timeout
	}
	return other
}
