// Package console provides the site for operators: the state of the service, the history of each order, and the orders that
// require manual action. It calls the service's operators' listener over gRPC, and never opens the record itself.
//
// Every page is HTML, or JSON for requests that accept application/json; openapi.yaml describes that.
package console

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/web"
)

//go:embed all:pages
var pages embed.FS

//go:embed openapi.yaml
var description []byte

const (
	// maxStreams is how many pages are kept fresh at once.
	maxStreams = 64
	// minToken is the length of a token in bytes that cannot be guessed, if it was made by chance.
	minToken = 16
)

// Service is one process of the service that the console looks at.
type Service struct {
	Name string                   // as people know it, such as its address
	Conn grpc.ClientConnInterface // to its listener for operators
}

// Options configure a console.
type Options struct {
	Services []Service // at least one
	// Base is the path that the console is mounted at, such as "/console"; empty for the root.
	Base string
	// Token is for signing in; at least 16 bytes. None: no sign-in is needed, but only by the name
	// localhost or by an address, unless Proven.
	Token string
	// Proven: the server requires client certificates.
	Proven bool
	// TraceURL is the URL of a trace, with {trace} in the place of its id. None: ids have no link.
	TraceURL string
	// ProductName is what a product is called; empty if that is not known. None: no name is.
	ProductName func(id string) string
	// Links lead from every page to other sites.
	Links []web.Link
	Log   *slog.Logger
}

// Console is the site. It is made by New, and knows of the last ten minutes what it has seen while Watch ran.
type Console struct {
	services services
	traceURL string
	nameOf   func(product string) string
	log      *slog.Logger
	handler  http.Handler
	site     web.Site
	pages    *web.Pages
	bare     *web.Pages // without links, before the sign-in
	streams  *web.Streams
	exports  chan struct{} // a place for each
	history  *history
	gate     *gate // nil: no sign-in

	// What open pages ask for again and again: they ask together.
	lists     web.Shared[*checkoutv1.ListOrdersResponse]
	orders    web.Shared[*checkoutv1.Order]
	attention web.Shared[orderList]

	now func() time.Time
}

// New makes a console. It asks nothing yet.
func New(o Options) (*Console, error) {
	if len(o.Services) == 0 {
		return nil, errors.New("there is no service to look at")
	}
	if o.Token != "" && len(o.Token) < minToken {
		return nil, fmt.Errorf("CHECKOUT_CONSOLE_TOKEN: must have at least %d bytes", minToken)
	}
	if o.TraceURL != "" && !strings.Contains(o.TraceURL, traceMark) {
		return nil, fmt.Errorf("CHECKOUT_TRACE_URL=%q: must contain %s", o.TraceURL, traceMark)
	}
	c := &Console{
		services: o.Services, traceURL: o.TraceURL, nameOf: o.ProductName, log: o.Log,
		streams: web.NewStreams(maxStreams),
		exports: make(chan struct{}, maxExports),
		history: newHistory(len(o.Services)),
		now:     time.Now,
	}
	if c.nameOf == nil {
		c.nameOf = func(string) string { return "" }
	}
	c.site = web.Site{
		Name: "Checkout console", Base: o.Base, Log: o.Log,
		Nav: append([]web.Link{
			{Text: "Overview", Path: "/"},
			{Text: "Orders", Path: "/orders"},
			{Text: "Attention", Path: "/attention", Badge: "badge"},
			{Text: "Audit log", Path: "/audit"},
		}, o.Links...),
		Funcs: template.FuncMap{"tone": web.Tone, "words": words, "age": age, "long": long, "ms": ms, "rate": rate, "whole": whole, "some": some},
	}
	files, err := fs.Sub(pages, "pages")
	if err != nil {
		return nil, err
	}
	if c.pages, err = web.NewPages(c.site, files); err != nil {
		return nil, err
	}
	outside := c.site
	outside.Nav = nil
	if c.bare, err = web.NewPages(outside, files); err != nil {
		return nil, err
	}
	if o.Token != "" {
		c.gate = newGate(o.Token)
	}
	c.handler = c.route()
	if o.Token == "" && !o.Proven {
		c.handler = web.Local(c.handler)
	}
	c.handler = web.Secure(c.handler)
	return c, nil
}

// ServeHTTP implements http.Handler, below the base.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Watch reads the metrics of the services until ctx ends.
func (c *Console) Watch(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		c.history.poll(ctx, c.services)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// route is the table of what can be asked for.
func (c *Console) route() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /{$}":                  c.showOverview,
		"GET /live/overview":        c.liveOverview,
		"GET /orders":               c.showOrders,
		"POST /orders":              c.findOrders,
		"POST /orders/export":       c.exportOrders,
		"POST /audit/export":        c.exportAudit,
		"GET /live/orders":          c.liveOrders,
		"GET /audit":                c.showAudit,
		"GET /attention":            c.showAttention,
		"GET /live/attention":       c.liveAttention,
		"GET /orders/{id}":          c.showOrder,
		"GET /live/orders/{id}":     c.liveOrder,
		"POST /orders/{id}/retry":   c.decide,
		"POST /orders/{id}/resolve": c.decide,
		"POST /orders/{id}/cancel":  c.decide,
		"POST /orders/{id}/refund":  c.decide,
		"GET /openapi.yaml":         describe,
		"/":                         c.showNothing,
	} {
		mux.Handle(pattern, c.behindGate(c.readable(handle)))
	}
	mux.Handle("GET /assets/", web.Assets())
	mux.HandleFunc("GET /login", c.showLogin)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.logout)
	return http.StripPrefix(c.site.Base, mux)
}

// readable is h for requests whose path and form are UTF-8, as the text in gRPC must be.
func (c *Console) readable(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bad := &failure{Status: http.StatusBadRequest, Reason: "INVALID_REQUEST", Message: "the form cannot be read"}
		if err := r.ParseForm(); err != nil {
			c.fail(w, r, bad)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(r.Form)) {
			if !utf8.ValidString(strings.Join(r.Form[name], " ")) {
				bad.Fields = append(bad.Fields, field{strings.ToValidUTF8(name, "\uFFFD"), "is not UTF-8"})
			}
		}
		switch {
		case bad.Fields != nil:
			bad.Message = fmt.Sprintf("the field %q is not UTF-8", bad.Fields[0].Name)
			c.fail(w, r, bad)
		case !utf8.ValidString(r.URL.Path):
			c.showNothing(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// describe answers with the description of the JSON.
func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description) // the reader may have gone
}
