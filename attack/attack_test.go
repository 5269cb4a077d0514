package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/test/nettest"
	"checkout/internal/test/rawgrpc"
	"checkout/internal/wait"
)

func TestEveryAttackIsMadeAndEndsWithItsTime(t *testing.T) {
	t.Parallel()
	addr := nettest.ServeGRPC(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) }, grpc.MaxConcurrentStreams(streams))
	silent := map[string]bool{none: true, "half-open connections": true, "idle connections": true, "connections come and go": true}
	named := make(map[string]bool)
	for _, a := range attacks() {
		if named[a.name] {
			t.Errorf("two attacks are called %q", a.name)
		}
		named[a.name] = true
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			var frames atomic.Int64
			ended := make(chan struct{})
			go func() {
				v := &victim{addr: addr, perSecond: 2000, frames: &frames}
				for ctx.Err() == nil {
					_ = a.run(ctx, v) // it is thrown out, and comes again
				}
				close(ended)
			}()
			if silent[a.name] {
				wait.For(ctx, 3*tick)
			}
			for !silent[a.name] && frames.Load() == 0 {
				wait.For(ctx, tick)
			}
			cancel()
			<-ended
		})
	}
}

func TestAHeaderBlockInPartsIsTheSameHeaderBlock(t *testing.T) {
	t.Parallel()
	block := rawgrpc.Block("shop", "/a.B/C", rawgrpc.Field{Name: "x", Value: strings.Repeat("x", 50_000)})
	var wire bytes.Buffer
	c := &session{Conn: &rawgrpc.Conn{Framer: http2.NewFramer(&wire, nil)}}
	if err := c.headers(1, block, false); err != nil {
		t.Fatal(err)
	}
	reader := http2.NewFramer(nil, &wire)
	reader.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	frame, err := reader.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	list, ok := frame.(*http2.MetaHeadersFrame)
	if !ok || list.PseudoValue("path") != "/a.B/C" || len(list.Fields[len(list.Fields)-1].Value) != 50_000 {
		t.Errorf("read %v", frame)
	}
}

func TestWhatIsBeyondItsBoundIsAnError(t *testing.T) {
	t.Parallel()
	good := outcome{attack: "pings", conns: 1, honest: share{100, 100}, probe: share{10, 10}, rss: 48 << 20, anon: 16 << 20}
	strict := bounds{rss: 48, anonymous: 16, honest: 95, probe: 100}
	if err := judge([]*outcome{&good}, strict); err != nil {
		t.Errorf("within all bounds: %v", err)
	}
	for name, spoil := range map[string]func(*outcome){
		"it died":                 func(r *outcome) { r.died = "signal: killed" },
		"it could not be stopped": func(r *outcome) { r.stuck = "signal: killed" },
		"it was not back":         func(r *outcome) { r.back = -1 },
		"too few orders":          func(r *outcome) { r.honest.good = 94 },
		"a health check failed":   func(r *outcome) { r.probe.good = 9 },
		"too much was resident":   func(r *outcome) { r.rss++ },
		"too much anonymous":      func(r *outcome) { r.anon++ },
		"nobody bought anything":  func(r *outcome) { r.honest = share{} },
		"nobody asked for health": func(r *outcome) { r.probe = share{} },
	} {
		r := good
		spoil(&r)
		if err := judge([]*outcome{&r}, strict); err == nil {
			t.Errorf("%s, and that is no error", name)
		}
	}
	lax := bounds{rss: -1, anonymous: -1, honest: -1, probe: -1}
	if err := judge([]*outcome{{honest: share{0, 1}, probe: share{0, 1}, rss: 1 << 40, anon: 1 << 40}}, lax); err != nil {
		t.Errorf("without bounds: %v", err)
	}
}

func TestAttacksAreAskedForByFlags(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-attacks", "^rapid", "-conns", "1, 200"}, io.Discard)
	if err != nil || len(o.conns) != 2 || o.conns[1] != 200 || o.rss != 48 || o.time != 6*time.Second {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-conns", "0"}, {"-conns", "many"}, {"-attacks", "("}, {"now"}, {"-time", "0s"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
