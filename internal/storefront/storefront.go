// Package storefront provides the demo shop's web site: products, cart and orders for customers; and all orders, e-mails,
// events, traces and ledgers, with fault injection: every service can be made to fail, load can be applied, and the serving
// process can be killed, to see that no order is lost.
//
// It calls the shop over gRPC, as other frontends do.
package storefront

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/storefront/child"
	"checkout/internal/wait"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// maxStreams is how many pages are kept fresh at once.
	maxStreams = 32
	// refresh is how often an open page is made again.
	refresh = 500 * time.Millisecond
	// shareTime is how long what one page shows is good for all others that show the same.
	shareTime = time.Second
	// askTime is how long a call may take that only asks.
	askTime = 2 * time.Second
	// OrderTime is a customer's patience with an order.
	OrderTime = 15 * time.Second
	// cartCount is the id of the element that returns how many pieces are in the cart.
	cartCount = "cart-count"
)

//go:embed all:templates
var files embed.FS

// Options are what a Storefront is made of.
type Options struct {
	Shop          *demo.Shop
	Checkout      *grpc.ClientConn // where customers' orders go
	Orders        *grpc.ClientConn // reports orders: checkout.v1.OrderService
	Child         *child.Child     // the process of checkout
	KeyedPayment  bool             // payment honours keys, and can be asked
	KeyedShipping bool             // shipping honours keys
	Console       string           // where the operators' console is, such as "/console"; empty for nowhere
	Log           *slog.Logger
}

// Storefront is the site. It has goroutines of its own, until Close.
type Storefront struct {
	Options

	pages    *web.Pages
	streams  *web.Streams
	conns    []*grpc.ClientConn
	cart     oteldemo.CartServiceClient
	catalog  oteldemo.ProductCatalogServiceClient
	currency oteldemo.CurrencyServiceClient
	checkout oteldemo.CheckoutServiceClient
	quotes   checkoutv1.QuoteServiceClient
	orders   checkoutv1.OrderServiceClient
	receipts receipts
	shared   web.Shared[any]
	load     *load

	life context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup // Close waits for it: see begin

	mu       sync.Mutex
	crash    *crash    // the last one; nil when there was none
	incident *incident // the last one; nil when there was none
}

// New makes the site of an open shop.
func New(o Options) (*Storefront, error) {
	s := &Storefront{
		Options:  o,
		streams:  web.NewStreams(maxStreams),
		checkout: oteldemo.NewCheckoutServiceClient(o.Checkout),
		quotes:   checkoutv1.NewQuoteServiceClient(o.Checkout),
		orders:   checkoutv1.NewOrderServiceClient(o.Orders),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.load = newLoad(s)
	var err error
	if s.pages, err = s.parse(); err != nil {
		return nil, fmt.Errorf("the storefront's templates: %w", err)
	}
	dial := func(address string) *grpc.ClientConn {
		conn, failure := Dial(address)
		if failure == nil {
			s.conns = append(s.conns, conn)
		}
		err = errors.Join(err, failure)
		return conn
	}
	s.cart = oteldemo.NewCartServiceClient(dial(o.Shop.Cart.Address()))
	s.catalog = oteldemo.NewProductCatalogServiceClient(dial(o.Shop.Catalog.Address()))
	s.currency = oteldemo.NewCurrencyServiceClient(dial(o.Shop.Currency.Address()))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Dial makes a connection to a server of the shop, a host:port: one that is soon there again when the server is.
func Dial(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(), // it would read the cards
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return conn, nil
}

// Close ends the load and everything else that goes on, and waits for it.
func (s *Storefront) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.work.Wait()
	var failures []error
	for _, conn := range s.conns {
		failures = append(failures, conn.Close())
	}
	s.conns = nil
	return errors.Join(failures...)
}

// begin lets something go on that Close waits for, and reports whether it could: after Close nothing begins any more, although
// requests may still come in.
func (s *Storefront) begin(work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.work.Go(work)
	return true
}

func (s *Storefront) parse() (*web.Pages, error) {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	nav := []web.Link{
		{Text: "Products", Path: "/"},
		{Text: "Cart", Path: "/cart", Badge: cartCount},
		{Text: "All orders", Path: "/orders", Group: "Behind the scenes"},
		{Text: "Confirmation e-mails", Path: "/emails"},
		{Text: "Event log", Path: "/events"},
		{Text: "Reconciliation", Path: "/reconciliation"},
		{Text: "Fault injection", Path: "/faults"},
	}
	if s.Console != "" {
		nav = append(nav, web.Link{Text: "Console", Path: s.Console + "/"})
	}
	return web.NewPages(web.Site{
		Name: "Astronomy shop", Nav: nav, Log: s.Log,
		Funcs: template.FuncMap{
			"price":   wire.Price,
			"times":   wire.Times,
			"sum":     func(items []*oteldemo.OrderItem) string { return wire.Sum(items) },
			"product": s.Shop.Catalog.Name,
			"picture": picture,
			"state":   stateName,
			"tone":    stateTone,
			"moment":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") },
			"since":   func(from, to time.Time) string { return web.Took(to.Sub(from)) },
		},
	}, templates)
}

// Handler serves the site at the root.
func (s *Storefront) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", web.Assets())
	s.shopping(mux)
	s.backOffice(mux)
	s.faultInjection(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.showProblem(w, r, http.StatusNotFound, "There is no such page", "Please check the address.")
	})
	return web.Secure(mux)
}

// view is a page that stays fresh.
type view struct {
	name, title, nav string
	// look reads what the page shows. Its error is shown to the reader: a *problem has words of its own.
	look func(ctx context.Context, r *http.Request) (any, error)
	// shared is for what costs much to make and need not be newer than a second.
	shared bool
	// parts are the elements that change.
	parts func(data any) []part
}

// part is an element of a page, by its id, and what template makes its contents of which data.
type part struct {
	id, template string
	data         any
}

// whole is for a page with one changing element, whose template bears its id.
func whole(id string) func(any) []part {
	return func(data any) []part { return []part{{id, id, data}} }
}

// show serves a view at a path, and its stream below that.
func (s *Storefront) show(mux *http.ServeMux, path string, v view) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		data, err := s.look(r.Context(), r, v)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.showShop(w, r, http.StatusOK, v.name, web.Page{Title: v.title, Nav: v.nav, Live: r.URL.Path + "/live", Data: data})
	})
	mux.HandleFunc("GET "+path+"/live", func(w http.ResponseWriter, r *http.Request) {
		s.streams.Serve(w, r, func(ctx context.Context, emit web.Emit) error { return s.keepFresh(ctx, r, v, emit) })
	})
}

// look reads what a view shows.
func (s *Storefront) look(ctx context.Context, r *http.Request, v view) (any, error) {
	if !v.shared {
		return v.look(ctx, r)
	}
	return s.shared.Get(ctx, strings.TrimSuffix(r.URL.Path, "/live"), shareTime, func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		return v.look(ctx, r)
	})
}

// keepFresh emits the changing parts of a view until ctx ends.
func (s *Storefront) keepFresh(ctx context.Context, r *http.Request, v view, emit web.Emit) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	for ok := true; ok; ok = wait.For(ctx, refresh) {
		data, err := s.look(ctx, r, v)
		if err != nil {
			continue // what is shown stays
		}
		for _, p := range v.parts(data) {
			if err := s.pages.Emit(ctx, emit, v.name, p.template, p.id, p.data); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// problem is an error with words for the reader, and a status.
type problem struct {
	status       int
	title, words string
}

func (p *problem) Error() string { return p.title + ": " + p.words }

// fail answers with what went wrong.
func (s *Storefront) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{http.StatusServiceUnavailable, "This cannot be shown now", err.Error()}
	}
	s.showProblem(w, r, p.status, p.title, p.words)
}

func (s *Storefront) showProblem(w http.ResponseWriter, r *http.Request, status int, title, words string) {
	s.showShop(w, r, status, "problem", web.Page{Title: title, Data: map[string]string{"Title": title, "Words": words}})
}
