package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"checkout/internal/console"
	"checkout/internal/storefront"
	"checkout/internal/web"
)

// site8088 is where the site is unless that is taken. Its port lies below those that a system gives away by itself.
const site8088 = "127.0.0.1:8088"

// consoleBase is where the operators' console is.
const consoleBase = "/console"

// site is the shop's web site while it is served.
type site struct {
	url      string
	console  string // URL; empty: there is none
	front    *storefront.Storefront
	end      context.CancelFunc
	ended    chan error     // gets how the server ended
	watching sync.WaitGroup // of the console
}

// hasSite reports whether there is to be a site: not when the shop closes by itself.
func (o options) hasSite() bool { return o.http != "" && (o.orders == 0 || o.keep) }

// openSite serves the site. On the loopback interface it has the operators' console below it; elsewhere
// that would need a token.
func (s *shop) openSite(ctx context.Context) error {
	listener, err := listenNear(ctx, s.options.http)
	if err != nil {
		return fmt.Errorf("--http=%s: %w", s.options.http, err)
	}
	s.site = &site{url: "http://" + listener.Addr().String() + "/", ended: make(chan error, 1)}
	ctx, s.site.end = context.WithCancel(context.WithoutCancel(ctx)) // until close
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	handler, err := s.newSite(ctx, web.IsLoopback(listener.Addr().String()), log)
	if err != nil {
		s.site.ended <- listener.Close()
		return err
	}
	go func() { s.site.ended <- web.Serve(ctx, listener, nil, handler, log) }()
	return nil
}

// newSite makes what the site serves, until ctx ends.
func (s *shop) newSite(ctx context.Context, local bool, log *slog.Logger) (http.Handler, error) {
	o := storefront.Options{
		Shop: s.Shop, Checkout: s.conns[0], Orders: s.conns[1], Child: s.child, KeyedPayment: s.options.payment == keyed, KeyedShipping: s.options.shipping == keyed, Log: log,
	}
	if local {
		o.Console = consoleBase
	}
	var err error
	if s.site.front, err = storefront.New(o); err != nil {
		return nil, err
	}
	if !local {
		return web.Local(s.site.front.Handler()), nil // it has no sign-in, whatever its address
	}
	desk, err := console.New(console.Options{
		Services: []console.Service{{Name: "checkout", Conn: s.conns[1]}},
		Base:     consoleBase, TraceURL: s.site.url + "traces/{trace}", ProductName: s.Catalog.Name,
		Links: []web.Link{{Text: "To the shop", Path: s.site.url}}, Log: log,
	})
	if err != nil {
		return nil, err
	}
	s.site.watching.Go(func() { desk.Watch(ctx) })
	s.site.console = s.site.url + consoleBase[1:] + "/"
	mux := http.NewServeMux()
	mux.Handle("/", s.site.front.Handler())
	mux.Handle(consoleBase+"/", desk)
	return web.Local(mux), nil
}

// listenNear listens on an address or, if the port is in use, on any port of its host.
func listenNear(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		return listener, nil
	}
	host, _, wrong := net.SplitHostPort(address)
	if wrong != nil {
		return nil, wrong
	}
	if other, again := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0")); again == nil {
		return other, nil
	}
	return nil, err
}

// siteEnded gets how the site ended, if there is one.
func (s *shop) siteEnded() <-chan error {
	if s.site == nil {
		return nil
	}
	return s.site.ended
}

// close ends the site: first what it does by itself, so that its streams end too.
func (s *site) close() error {
	var err error
	if s.front != nil {
		err = s.front.Close()
	}
	s.end()
	s.watching.Wait()
	if served := <-s.ended; served != nil && !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
