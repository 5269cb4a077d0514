package telemetry

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestACollectorThatSwallowsEverythingDelaysNoShutdown(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			const forEver = "3600000" // ms: without a limit of its own, Shutdown would take as long
			tel := startWith(t, io.Discard, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+swallowing(t), "OTEL_EXPORTER_OTLP_PROTOCOL", protocol,
				"OTEL_EXPORTER_OTLP_TIMEOUT", forEver, "OTEL_BSP_EXPORT_TIMEOUT", forEver, "OTEL_BLRP_EXPORT_TIMEOUT", forEver, "OTEL_METRIC_EXPORT_TIMEOUT", forEver)
			emit(t, tel)
			for range 2 * queueSize { // more than fits, and more than one batch
				_, span := tel.tracer.Start(t.Context(), "more")
				span.End()
			}
			begin := time.Now()
			if err := tel.Shutdown(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("shut down: %v, want it to say that time was up", err)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("shutting down took %v", took)
			}
		})
	}
}

// swallowing is the address of a collector that the kernel connects to, and that reads nothing.
func swallowing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestShutdownBreaksOffWhatGoesOnWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		patience time.Duration // of the caller
		deaf     bool          // what goes on does not notice
		want     time.Duration
	}{
		"its own":                     {time.Hour, false, shutdownLimit},
		"its caller's":                {50 * time.Millisecond, false, 50 * time.Millisecond},
		"its own, and nobody notices": {time.Hour, true, shutdownLimit + abortLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stop, abort := context.WithCancel(t.Context())
				exporting := func(ctx context.Context) error {
					if !test.deaf {
						var release context.CancelFunc
						ctx, release = during(ctx, stop)
						defer release()
					}
					<-ctx.Done()
					return ctx.Err()
				}
				tel := &Telemetry{abort: abort, shutdown: []func(context.Context) error{exporting}}
				ctx, cancel := context.WithTimeout(t.Context(), test.patience)
				defer cancel()
				begin := time.Now()
				if err := tel.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("shut down: %v, want it to say that time was up", err)
				}
				if took := time.Since(begin); took != test.want {
					t.Errorf("shutting down took %v, want %v", took, test.want)
				}
			})
		})
	}
}

func TestShutdownTakesNoLongerThanItsCallerAllows(t *testing.T) {
	tel := startWith(t, io.Discard, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+swallowing(t))
	emit(t, tel)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := tel.Shutdown(ctx); err == nil {
		t.Error("what was not sent is not told")
	}
	if took := time.Since(begin); took > shutdownLimit { // its own limit, which would end it next
		t.Errorf("shutting down took %v", took)
	}
}
