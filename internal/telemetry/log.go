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
	return slog.New(excepted{traced{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: maskField})}})
}

// toBoth sends what is logged to stdout and to OTLP.
func toBoth(stdout *slog.Logger, otlp log.LoggerProvider, level slog.Leveler) *slog.Logger {
	bridge := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(otlp))
	return slog.New(excepted{slog.NewMultiHandler(stdout.Handler(), leveled{bridge, level})})
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

// The span that a line on stdout belongs to.
const (
	logTraceID = "trace_id"
	logSpanID  = "span_id"
)

// excepted tells of an error by the attributes that the conventions have for it, exception.type and exception.message,
// whatever it is called in the call: so that a line has the same attributes on stdout as in OTLP, whose bridge for slog
// would have seen to its own side alone.
type excepted struct{ slog.Handler }

func (h excepted) Handle(ctx context.Context, r slog.Record) error {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = errorIn(a) != nil
		return !found
	})
	if found {
		told := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
		r.Attrs(func(a slog.Attr) bool {
			told.AddAttrs(exceptions(a)...)
			return true
		})
		r = told
	}
	return h.Handler.Handle(ctx, r)
}

func (h excepted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return excepted{h.Handler.WithAttrs(exceptions(attrs...))}
}

func (h excepted) WithGroup(name string) slog.Handler { return excepted{h.Handler.WithGroup(name)} }

// exceptions are attrs, with two for each that is an error.
func exceptions(attrs ...slog.Attr) []slog.Attr {
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

// errorIn is the error that an attribute is, or nil.
func errorIn(a slog.Attr) error {
	if a.Value.Kind() != slog.KindAny {
		return nil
	}
	err, _ := a.Value.Any().(error)
	return err
}

// typeOf is the Go type of an error, that of the cause where package fmt has put words before it.
func typeOf(err error) string {
	name := fmt.Sprintf("%T", err)
	if cause := errors.Unwrap(err); cause != nil && strings.HasPrefix(name, "*fmt.") {
		return typeOf(cause)
	}
	return name
}

// traced adds the ids of the span that the context is in.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String(logTraceID, span.TraceID().String()), slog.String(logSpanID, span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }

// leveled leaves out what is below the level.
type leveled struct {
	slog.Handler
	level slog.Leveler
}

func (h leveled) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level.Level() && h.Handler.Enabled(ctx, l)
}

func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.level}
}

func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}

// fields are span attributes as attributes of a log line: the same facts have the same names in both.
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

// field is one of them. The types that are told of are made without a detour by way of an interface.
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

// forever is for a limiter that lets only the first through.
const forever = time.Duration(math.MaxInt64)

// limiter lets the first through, and then one in every period.
type limiter struct {
	every time.Duration

	mu      sync.Mutex
	last    time.Time
	skipped int
}

// allow tells whether this one passes, and how many did not since the last that did.
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

// repeated is what a line says of an error that reads text, and stands for others, too, that a limiter has kept back.
func repeated(text string, skipped int) []attribute.KeyValue {
	attrs := []attribute.KeyValue{exceptionMessage.String(text)}
	if skipped > 0 {
		attrs = append(attrs, attribute.Int("skipped", skipped))
	}
	return attrs
}

// The error.types of what did not end by itself.
const (
	canceled = "canceled"
	timeout  = "timeout"
)

// errorKind is the error.type of an error that is not the order's: of a short list, so that it can be counted.
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
