// Package telemetry provides traces, metrics and logs of the service.
//
//   - set-up from the environment: telemetry.go, env.go, settings.go, export.go, collect.go
//   - all names: names.go, dialect.go, conventions.go, metrics.go
//   - transports: rpc.go, http.go, kafka.go, flags.go; what callers propagate: inbound.go
//   - orders, as decorators of the ports of package order: order.go, steps.go, recovery.go, watch.go
//   - the process: process.go, runtime.go, container.go, connections.go
//   - the log and privacy: log.go, mask.go
//
// Telemetry never fails an order: an invalid setting is a warning, an unavailable collector costs a bounded queue. No card or
// e-mail address is emitted.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"checkout/internal/container"
	"checkout/internal/redact"
)

const (
	// shutdownLimit is how long Shutdown waits for the last exports.
	shutdownLimit = 3 * time.Second
	// abortLimit is how long exports may take to return after they were cancelled.
	abortLimit = 300 * time.Millisecond
)

// Options configures Start.
type Options struct {
	// Getenv reads the environment. What OpenTelemetry's SDK itself understands (endpoints, timeouts,
	// certificates, samplers, limits) it reads from the process's environment, whatever Getenv says.
	Getenv func(string) string
	// Stdout gets the log, as lines of JSON, and the output of the console exporters.
	Stdout io.Writer
	// Names is the dialect of an order's attributes: "app" (the default) as in the demo's release 2.1, "demo" as in later
	// ones, or "both".
	Names string
	// Baggage is the keys of callers' baggage that are propagated; none: all.
	Baggage []string
	// Synthetic reports whether the caller may send the baggage synthetic_request; nil: all may.
	Synthetic func(ctx context.Context) bool
	// Version is service.version unless the environment sets it; empty: none.
	Version string
	// Collect says that Telemetry.Collect will be called: metrics are kept even when none are exported.
	Collect bool
}

// Telemetry is the telemetry of one process. Its methods may be called by many goroutines.
type Telemetry struct {
	tracer      trace.Tracer
	meter       metric.Meter
	logger      *slog.Logger
	events      log.Logger // of the log, over OTLP alone
	propagator  propagation.TextMapPropagator
	names       dialect
	conventions conventions
	steps       steps
	reports     sync.Map // report → *limiter

	local    sdkmetric.Reader              // for Collect; nil: nothing is kept
	shutdown []func(context.Context) error // of the providers
	abort    context.CancelFunc            // cancels all exports
}

// Start starts the telemetry that the environment configures with the variables of OpenTelemetry's specification. It does not
// wait for a collector and never fails: a signal that cannot be exported is off, with a warning.
//
// OpenTelemetry's error handler and logger are global; Start directs them to stdout. It changes no other global.
func Start(ctx context.Context, o Options) *Telemetry {
	level := new(slog.LevelVar)
	out := &shared{w: o.Stdout}
	stdout := toStdout(out, level)
	e := env{o, stdout}
	level.Set(e.logLevel())
	handleErrors(stdout, e)

	exports, abort := context.WithCancel(context.Background())
	p := e.providers(ctx, pipeline{stop: exports, stdout: out})
	t := assemble(p, e.propagator(), toBoth(stdout, p.logs, level), newDialect(o.Names), e.conventions())
	t.abort = abort
	t.observeProcess()
	t.observeRuntime()
	t.observeContainer(container.OwnMemory)
	if err := runtime.Start(runtime.WithMeterProvider(p.meters), runtime.WithMinimumReadMemStatsInterval(time.Second)); err != nil {
		stdout.WarnContext(ctx, "no runtime metrics", "error", err)
	}
	return t
}

// providers are those of the three signals.
type providers struct {
	traces trace.TracerProvider
	meters metric.MeterProvider
	logs   log.LoggerProvider
	local  sdkmetric.Reader // of meters; may be nil
}

// silent are no-op providers.
func silent() providers {
	return providers{traces: tracenoop.NewTracerProvider(), meters: metricnoop.NewMeterProvider(), logs: lognoop.NewLoggerProvider()}
}

// providers starts the configured signals.
func (e env) providers(ctx context.Context, p pipeline) providers {
	ps := silent()
	wrong := e.checkAttributes()
	if e.disabled() {
		e.Getenv = func(string) string { return none } // every OTEL_…_EXPORTER
	}
	if e.checkExporters() || wrong {
		hush() // warned already
		defer handleErrors(e.log, e)
	}
	p.resource = e.resource(ctx)
	if tp := e.traces(ctx, p); tp != nil {
		ps.traces = tp
	}
	if mp, local := e.metrics(ctx, p); mp != nil {
		ps.meters, ps.local = mp, local
	}
	if lp := e.logs(ctx, p); lp != nil {
		ps.logs = lp
	}
	return ps
}

// assemble makes a Telemetry from its parts.
func assemble(p providers, propagator propagation.TextMapPropagator, logger *slog.Logger, names dialect, c conventions) *Telemetry {
	t := &Telemetry{
		tracer:      p.traces.Tracer(scope),
		meter:       p.meters.Meter(scope),
		logger:      logger,
		events:      p.logs.Logger(scope),
		propagator:  propagator,
		names:       names,
		conventions: c,
		local:       p.local,
		abort:       func() {},
	}
	t.steps = t.newSteps()
	for _, provider := range []any{p.traces, p.meters, p.logs} {
		if s, ok := provider.(interface{ Shutdown(context.Context) error }); ok {
			t.shutdown = append(t.shutdown, s.Shutdown)
		}
	}
	return t
}

// Logger is the log: JSON on stdout, with trace_id and span_id, and over OTLP.
func (t *Telemetry) Logger() *slog.Logger { return t.logger }

// Shutdown exports what is left and stops. It takes at most 3.3 seconds, or as long as ctx; what is not exported by then is
// lost, which is an error. Nothing runs when it returns.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	// When time is up the exports are cancelled, and not the providers, which then end in order.
	defer context.AfterFunc(ctx, t.abort)()
	defer t.abort()
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit+abortLimit)
	defer cancel()

	errs := make([]error, len(t.shutdown))
	var all sync.WaitGroup
	for i, shutdown := range t.shutdown {
		all.Go(func() { errs[i] = shutdown(hard) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		errs = append(errs, fmt.Errorf("telemetry left unsent: %w", err))
	}
	return errors.Join(errs...)
}

// pipeline is common to the exporters of all signals.
type pipeline struct {
	stop     context.Context // done when exports are to be cancelled
	stdout   io.Writer
	resource *resource.Resource
}

// during is ctx until stop is done.
func during(ctx, stop context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(stop, cancel)
	return ctx, func() { release(); cancel() }
}

// handleErrors logs the SDK's errors on stdout, and not over OTLP, which has failed. Without a configured endpoint it logs one.
func handleErrors(log *slog.Logger, e env) {
	every := time.Minute
	if cmp.Or(e.get("OTEL_EXPORTER_OTLP_ENDPOINT"), e.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
		e.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), e.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")) == "" {
		every = forever
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	l := limiter{every: every}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if skipped, ok := l.allow(); ok {
			attrs := append(message(redact.Text(err.Error()), skipped), errorType.String(errorKind(err)))
			log.LogAttrs(context.Background(), slog.LevelWarn, "telemetry was lost", fields(attrs)...)
		}
	}))
}
