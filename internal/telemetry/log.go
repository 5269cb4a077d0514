package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// toStdout is the log on stdout alone.
func toStdout(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(traced{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: maskField})})
}

// toBoth sends what is logged to stdout and to OTLP.
func toBoth(stdout *slog.Logger, otlp log.LoggerProvider, level slog.Leveler) *slog.Logger {
	bridge := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(otlp))
	return slog.New(slog.NewMultiHandler(stdout.Handler(), leveled{bridge, level}))
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
func fields(attrs ...attribute.KeyValue) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = slog.Any(string(a.Key), a.Value.AsInterface())
	}
	return out
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

// repeated is what a line says of err when it stands for others, too, that a limiter has kept back.
func repeated(err error, skipped int) []attribute.KeyValue {
	attrs := []attribute.KeyValue{exceptionMessage.String(redact(err.Error()))}
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
