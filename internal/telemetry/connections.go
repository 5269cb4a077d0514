package telemetry

import (
	"context"
	"log/slog"
	"net"

	"go.opentelemetry.io/otel/attribute"
)

// Evicted returns a function that counts and logs connections closed to make room for new ones: idle ones or, if every
// connection has a call in progress, busy ones.
func (t *Telemetry) Evicted() func(remote net.Addr, idle bool) {
	evicted, ctx := t.counter(metricEvicted), context.Background()
	eviction := func(state string) func(net.Addr) {
		is := connectionStateKey.String(state)
		counted, logged := measurement(is), &limiter{every: noise}
		evicted.Add(ctx, 0, counted) // so that Prometheus sees the first as an increase
		return func(remote net.Addr) {
			evicted.Add(ctx, 1, counted)
			skipped, ok := logged.allow()
			if !ok {
				return
			}
			attrs := append(address(networkPeerAddress, networkPeerPort, remote), is)
			if skipped > 0 {
				attrs = append(attrs, attribute.Int("skipped", skipped))
			}
			t.logger.LogAttrs(ctx, slog.LevelWarn, "too many connections: one was closed to make room", fields(attrs)...)
		}
	}
	idle, busy := eviction("idle"), eviction("busy")
	return func(remote net.Addr, isIdle bool) {
		if isIdle {
			idle(remote)
		} else {
			busy(remote)
		}
	}
}
