package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
	"checkout/internal/wait"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// pageSize is how many orders a page shows.
	pageSize = 50
	// freshEvery is how often an open page looks for what is new.
	freshEvery = time.Second
	// sharedFor is how long an answer is given to other open pages: less than freshEvery, or pages would be fresh every other time.
	sharedFor = freshEvery * 9 / 10
	// idLength is the length of the id of an order.
	idLength = len("01890a5d-ac96-774b-bcce-b302099a8057")
	// minute is a time in a form of HTML, in UTC.
	minute = "2006-01-02T15:04"
)

// orderList is a page of orders.
type orderList struct {
	At     time.Time  `json:"at"`
	Orders []orderRow `json:"orders"`
	Next   string     `json:"next_page,omitempty"` // the page after it
	Token  string     `json:"-"`                   // the same, of a search that is in no address
	Filter *filter    `json:"filter,omitempty"`
	// Stake is the money of the orders, in each currency; of those that require an operator alone.
	Stake []sumOf `json:"at_stake,omitempty"`
	// Missing are the records that are not, or not all, in it.
	Missing []missing `json:"missing,omitempty"`
}

// orderRow is an order in short.
type orderRow struct {
	ID               string    `json:"order_id"`
	State            string    `json:"state"`
	RequiresOperator bool      `json:"requires_operator"`
	Created          time.Time `json:"created"`
	Changed          time.Time `json:"changed"` // when it came into its state
	Total            sumOf     `json:"total"`
	User             string    `json:"user_hash"` // the first 8 hex digits of the SHA-256 of the user's id
	Reason           string    `json:"reason,omitempty"`
	Pending          []string  `json:"pending,omitempty"`       // deliveries that are pending
	Undeliverable    []string  `json:"undeliverable,omitempty"` // deliveries that failed for good, or for a day
	Skipped          []string  `json:"skipped,omitempty"`       // deliveries that an operator has decided to do without
	Attempts         int32     `json:"attempts,omitempty"`      // failed tries since it came into its state
	Decisions        []string  `json:"decisions,omitempty"`     // that an operator can make
}

// Why is why the order is where it is, as far as that is not plain.
func (r orderRow) Why() string {
	var parts []string
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	if len(r.Pending) > 0 {
		parts = append(parts, "pending: "+strings.Join(r.Pending, ", "))
	}
	if len(r.Undeliverable) > 0 && r.State == "placed" { // of an undelivered order the reason names them
		parts = append(parts, "undelivered: "+strings.Join(r.Undeliverable, ", "))
	}
	return strings.Join(parts, "; ")
}

func rowOf(o *checkoutv1.Order) orderRow {
	return orderRow{
		ID:               o.GetOrderId(),
		State:            wire.StateName(o.GetState()),
		RequiresOperator: o.GetRequiresOperator(),
		Created:          o.GetCreated().AsTime(),
		Changed:          o.GetChanged().AsTime(),
		Total:            moneyOf(o.GetTotal()),
		User:             userHash(o.GetUserId()),
		Reason:           o.GetReason(),
		Pending:          o.GetPending(),
		Undeliverable:    o.GetUndeliverable(),
		Skipped:          o.GetSkipped(),
		Attempts:         o.GetAttempts(),
		Decisions:        o.GetDecisions(),
	}
}

// filter selects orders, as the query of the address, or a form, says.
type filter struct {
	States      []string   `json:"states,omitempty"`
	From        *time.Time `json:"from,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Order       string     `json:"order,omitempty"` // how the id begins
	User        string     `json:"-"`               // users are not named
	Transaction string     `json:"transaction,omitempty"`
	Tracking    string     `json:"tracking,omitempty"`
	Email       string     `json:"-"` // never part of an address: browsers and proxies keep those
	Page        string     `json:"-"`
}

// texts are the fields that are taken as they are, by their names in a form.
func (f *filter) texts() map[string]*string {
	return map[string]*string{"order": &f.Order, "user": &f.User, "transaction": &f.Transaction, "tracking": &f.Tracking}
}

// parseFilter reads a filter. What is wrong with it is in the failure.
func parseFilter(query url.Values) (f filter, _ *failure) {
	bad := &failure{Status: http.StatusBadRequest, Reason: "INVALID_REQUEST", Message: "these orders cannot be looked for"}
	known := f.AllStates()
	for _, s := range query["state"] {
		if slices.Contains(known, s) {
			f.States = append(f.States, s)
			continue
		}
		bad.Fields = append(bad.Fields, field{"state", "must be one of " + strings.Join(known, ", ")})
	}
	for name, into := range map[string]**time.Time{"from": &f.From, "until": &f.Until} {
		value := query.Get(name)
		if value == "" {
			continue
		}
		t, err := time.Parse(minute, value)
		if err != nil {
			t, err = time.Parse(time.RFC3339, value)
		}
		if err != nil {
			bad.Fields = append(bad.Fields, field{name, "is not a time such as 2026-11-22T15:04, in UTC"})
			continue
		}
		t = t.UTC()
		*into = &t
	}
	for name, into := range f.texts() {
		*into = strings.TrimSpace(query.Get(name))
	}
	f.Page = query.Get("page")
	if bad.Fields != nil {
		return f, bad
	}
	return f, nil
}

// AllStates are the names of all states.
func (filter) AllStates() (names []string) {
	for _, s := range order.States() {
		names = append(names, s.String())
	}
	return names
}

// Has reports whether orders of that state are asked for by name.
func (f filter) Has(state string) bool { return slices.Contains(f.States, state) }

// Input is a time as the form has it.
func (filter) Input(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(minute)
}

// Query is the filter as a query, with another page.
func (f filter) Query(page string) string {
	if text := f.values(page).Encode(); text != "" {
		return "?" + text
	}
	return ""
}

// values are the filter as a form, but for the e-mail address.
func (f filter) values(page string) url.Values {
	q := url.Values{}
	if f.States != nil {
		q["state"] = f.States
	}
	for name, t := range map[string]*time.Time{"from": f.From, "until": f.Until} {
		if t != nil {
			q.Set(name, t.Format(time.RFC3339))
		}
	}
	for name, text := range f.texts() {
		if *text != "" {
			q.Set(name, *text)
		}
	}
	if page != "" {
		q.Set("page", page)
	}
	return q
}

// Hidden are the filter as the hidden fields of a form.
func (f filter) Hidden() url.Values { return f.values("") }

func (f filter) request() *checkoutv1.ListOrdersRequest {
	req := &checkoutv1.ListOrdersRequest{
		PageSize: pageSize, PageToken: f.Page,
		OrderIdPrefix: f.Order, UserId: f.User, Email: f.Email, TransactionId: f.Transaction, TrackingId: f.Tracking,
	}
	for _, s := range order.States() {
		if f.Has(s.String()) {
			req.States = append(req.States, checkoutv1.OrderState(s))
		}
	}
	if f.From != nil {
		req.CreatedAfter = timestamppb.New(*f.From)
	}
	if f.Until != nil {
		req.CreatedBefore = timestamppb.New(*f.Until)
	}
	return req
}

// listOf is the page that a service answered with.
func (c *Console) listOf(resp *checkoutv1.ListOrdersResponse, f filter) orderList {
	l := orderList{At: c.now(), Filter: &f, Orders: []orderRow{}}
	for _, o := range resp.GetOrders() {
		l.Orders = append(l.Orders, rowOf(o))
	}
	switch token := resp.GetNextPageToken(); {
	case token != "" && f.Email != "":
		l.Token = token
	case token != "":
		l.Next = c.site.URL("/orders") + f.Query(token)
	}
	return l
}

func (c *Console) showOrders(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if len(strings.TrimSpace(query.Get("order"))) == idLength || query.Get("key") != "" {
		c.search(w, r, query)
		return
	}
	f, bad := parseFilter(query)
	if bad != nil {
		c.fail(w, r, bad)
		return
	}
	c.listOrders(w, r, f)
}

// findOrders takes a search as a form. One without an e-mail address has an address of its own.
func (c *Console) findOrders(w http.ResponseWriter, r *http.Request) {
	f, bad := formFilter(r)
	switch {
	case bad != nil:
		c.fail(w, r, bad)
	case f.Email == "":
		http.Redirect(w, r, c.site.URL("/orders")+f.Query(f.Page), http.StatusSeeOther) //nolint:gosec // to a page of this site
	default:
		c.listOrders(w, r, f)
	}
}

// formFilter is the filter in a form.
func formFilter(r *http.Request) (filter, *failure) {
	f, bad := parseFilter(r.PostForm)
	f.Email = strings.TrimSpace(r.PostForm.Get("email"))
	return f, bad
}

func (c *Console) listOrders(w http.ResponseWriter, r *http.Request, f filter) {
	resp, err := c.services.list(r.Context(), f.request())
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	l := c.listOf(resp, f)
	page := web.Page{Title: "Orders", Nav: "/orders", Data: l}
	if f.Page == "" && f.Email == "" { // what comes in changes the first page only
		page.Live = "/live/orders" + f.Query("")
	}
	c.answer(w, r, http.StatusOK, "orders", l, page)
}

// search leads to the one order that is looked for.
func (c *Console) search(w http.ResponseWriter, r *http.Request, query url.Values) {
	req := &checkoutv1.GetOrderRequest{OrderId: strings.TrimSpace(query.Get("order"))}
	if req.GetOrderId() == "" {
		req.UserId, req.IdempotencyKey = query.Get("user"), query.Get("key")
	}
	o, err := c.services.order(r.Context(), req)
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	http.Redirect(w, r, c.site.URL("/orders/"+o.GetOrderId()), http.StatusSeeOther)
}

// liveOrders keeps the first page of a list fresh.
func (c *Console) liveOrders(w http.ResponseWriter, r *http.Request) {
	f, bad := parseFilter(r.URL.Query())
	if bad != nil {
		c.fail(w, r, bad)
		return
	}
	f.Page = ""
	c.keepFresh(w, r, "orders", func(ctx context.Context) (any, error) {
		resp, err := c.lists.Get(ctx, f.Query(""), sharedFor, func(ctx context.Context) (*checkoutv1.ListOrdersResponse, error) {
			return c.services.list(ctx, f.request())
		})
		return c.listOf(resp, f), err
	}, "rows", "pager")
}

// keepFresh asks for what is new every second, and emits parts of the page made of it, until the browser goes away. The
// element "stale" says why there is nothing new.
func (c *Console) keepFresh(w http.ResponseWriter, r *http.Request, page string, ask func(context.Context) (any, error), parts ...string) {
	c.streams.Serve(w, r, func(ctx context.Context, emit web.Emit) error {
		for ok := true; ok; ok = wait.For(ctx, freshEvery) {
			data, err := ask(ctx)
			if err == nil {
				err = errors.Join(c.emitAll(ctx, emit, page, data, parts...), emit("stale", nil))
			} else {
				err = c.emitAll(ctx, emit, page, failureOf(err), "stale")
			}
			if err := errors.Join(err, emit("badge", c.badge())); err != nil {
				return err
			}
		}
		return nil
	})
}
