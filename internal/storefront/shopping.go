package storefront

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// shopper is the cookie that tells customers apart, and orderKey the one with the idempotency key of the cart's order: two
	// tabs with the same cart have the same key, so they place one order.
	shopper, orderKey = "shopper", "order-key"
	// base32 is the alphabet of rand.Text (RFC 4648).
	base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	// maxQuantity is how many pieces of a product a cart may have.
	maxQuantity = 100
	// recent is for how long an empty cart links to the order that emptied it.
	recent = 30 * time.Minute
)

func (s *Storefront) shopping(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.showProducts)
	mux.HandleFunc("GET /cart", s.showCart)
	mux.HandleFunc("POST /cart", s.changeCart(s.addItem))
	mux.HandleFunc("POST /cart/line", s.changeCart(s.changeLine))
	mux.HandleFunc("POST /cart/empty", s.changeCart(func(ctx context.Context, user string, _ *http.Request) error {
		return s.fillCart(ctx, user, nil)
	}))
	mux.HandleFunc("POST /cart/quote", func(w http.ResponseWriter, r *http.Request) {
		f, _ := read(r)
		s.showForm(w, r, http.StatusOK, f, nil)
	})
	mux.HandleFunc("POST /checkout", s.placeOrder)
}

// cookie is the random text in a cookie of ours; "" if there is none.
func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil || !consistsOf(c.Value, 26, base32) {
		return ""
	}
	return c.Value
}

// setCookie gives the browser a random text.
func setCookie(w http.ResponseWriter, name string) string {
	text := rand.Text()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // the shop is on the loopback interface, without TLS
		Name: name, Value: text, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return text
}

// customer is the id of the request's customer; "" for a newcomer.
func customer(r *http.Request) string { return cookie(r, shopper) }

// showShop shows a customer's page, with the number of pieces in their cart.
func (s *Storefront) showShop(w http.ResponseWriter, r *http.Request, code int, name string, page web.Page) {
	pieces := int32(0)
	for _, item := range s.Shop.Cart.Items(customer(r)) {
		pieces += item.GetQuantity()
	}
	if pieces > 0 {
		page.Badges = map[string]string{cartCount: fmt.Sprint(pieces)}
	}
	s.pages.Show(w, r, code, name, page)
}

func (s *Storefront) showProducts(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	all, err := s.catalog.ListProducts(ctx, &oteldemo.Empty{})
	if err != nil {
		s.fail(w, r, unavailable("The catalogue"))
		return
	}
	s.showShop(w, r, http.StatusOK, "products", web.Page{Title: "Products", Nav: "/", Data: all.GetProducts()})
}

// unavailable says that a service has not answered.
func unavailable(what string) error {
	return &problem{http.StatusServiceUnavailable, what + " is not available", "Please try again in a moment."}
}

// changeCart is a handler that changes the cart of a customer, who may be new. A changed cart is another order.
func (s *Storefront) changeCart(change func(ctx context.Context, user string, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTime)
		defer cancel()
		user := customer(r)
		if user == "" {
			user = setCookie(w, shopper)
		}
		if err := change(ctx, user, r); err != nil {
			s.fail(w, r, err)
			return
		}
		setCookie(w, orderKey)
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
	}
}

// quantity reads the field of that name; it is 1 if it is missing.
func quantity(r *http.Request) (int32, error) {
	n, err := strconv.ParseInt(cmp.Or(r.PostFormValue("quantity"), "1"), 10, 32)
	if err != nil || n < 1 || n > maxQuantity {
		return 0, &problem{http.StatusUnprocessableEntity, "Check the quantity", fmt.Sprintf("It must be between 1 and %d.", maxQuantity)}
	}
	return int32(n), nil
}

func (s *Storefront) addItem(ctx context.Context, user string, r *http.Request) error {
	n, err := quantity(r)
	if err != nil {
		return err
	}
	id := r.PostFormValue("product")
	if !slices.ContainsFunc(s.Shop.Catalog.Products(), func(p *oteldemo.Product) bool { return p.GetId() == id }) {
		return &problem{http.StatusUnprocessableEntity, "There is no such product", "The shop does not sell it."}
	}
	return s.put(ctx, user, &oteldemo.CartItem{ProductId: id, Quantity: n})
}

// put adds pieces of a product to a cart; a negative number takes some out.
func (s *Storefront) put(ctx context.Context, user string, item *oteldemo.CartItem) error {
	if _, err := s.cart.AddItem(ctx, &oteldemo.AddItemRequest{UserId: user, Item: item}); err != nil {
		return unavailable("The cart")
	}
	return nil
}

// changeLine sets the quantity of a line, or removes it.
func (s *Storefront) changeLine(ctx context.Context, user string, r *http.Request) error {
	n, err := quantity(r)
	remove := r.PostFormValue("remove") != ""
	if err != nil && !remove {
		return err
	}
	cart, err := s.cart.GetCart(ctx, &oteldemo.GetCartRequest{UserId: user})
	if err != nil {
		return unavailable("The cart")
	}
	items := cart.GetItems()
	i := slices.IndexFunc(items, func(item *oteldemo.CartItem) bool { return item.GetProductId() == r.PostFormValue("product") })
	switch {
	case i < 0: // another tab has removed it
		return nil
	case remove:
		return s.fillCart(ctx, user, slices.Delete(items, i, i+1))
	}
	return s.put(ctx, user, &oteldemo.CartItem{ProductId: items[i].GetProductId(), Quantity: n - items[i].GetQuantity()})
}

// fillCart replaces what a cart holds: the cart service can only add to it and empty it.
func (s *Storefront) fillCart(ctx context.Context, user string, items []*oteldemo.CartItem) error {
	if _, err := s.cart.EmptyCart(ctx, &oteldemo.EmptyCartRequest{UserId: user}); err != nil {
		return unavailable("The cart")
	}
	for _, item := range items {
		if err := s.put(ctx, user, item); err != nil {
			return err
		}
	}
	return nil
}

// cartPage is the cart and the form to order it with.
type cartPage struct {
	Lines      []cartLine
	Gone       bool   // a product is not sold any more
	Total      string // in US dollars, without shipping
	Currencies []string
	Form       *form
	Quote      *checkoutv1.QuoteResponse
	Unpriced   *refusal   // why there is no quote
	Refusal    *refusal   // of the order that was tried just now
	Pending    *orderPage // the recent order that is not settled
	Last       string     // the recent order that emptied the cart
}

// Blocked reports whether nothing can be paid until the pending order is settled. One that is parked may take days.
func (p *cartPage) Blocked() bool {
	return p.Pending != nil && p.Pending.State() != checkoutv1.OrderState_PARKED
}

type cartLine struct {
	ID       string
	Product  *oteldemo.Product // nil when the shop does not sell it any more
	Quantity int32
}

func (s *Storefront) showCart(w http.ResponseWriter, r *http.Request) {
	s.showForm(w, r, http.StatusOK, newForm(cookie(r, orderKey)), nil)
}

// showForm shows the cart with the form filled in. refused, unless nil, is why the order was not placed.
func (s *Storefront) showForm(w http.ResponseWriter, r *http.Request, code int, f *form, refused *refusal) {
	if f.Key == "" {
		f.Key = setCookie(w, orderKey)
	}
	page := cartPage{Form: f, Refusal: refused}
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	if err := s.readCart(ctx, &page, customer(r)); err != nil && refused == nil { // a refusal is shown in any case
		s.fail(w, r, err)
		return
	}
	if len(page.Lines) > 0 && !page.Gone && !page.Blocked() {
		s.quote(ctx, &page, customer(r))
	}
	s.showShop(w, r, code, "cart", web.Page{Title: "Cart", Nav: "/cart", Data: &page})
}

// readCart fills in what the cart holds and what it can be paid in.
func (s *Storefront) readCart(ctx context.Context, page *cartPage, user string) error {
	page.Currencies = []string{page.Form.Currency} // unless the currency service knows more
	if known, err := s.currency.GetSupportedCurrencies(ctx, &oteldemo.Empty{}); err == nil {
		page.Currencies = known.GetCurrencyCodes()
	}
	if user == "" {
		return nil
	}
	cart, err := s.cart.GetCart(ctx, &oteldemo.GetCartRequest{UserId: user})
	if err == nil && len(cart.GetItems()) == 0 { // it was ordered, if only after there was no answer
		if o, err := s.get(ctx, &checkoutv1.GetOrderRequest{UserId: user, IdempotencyKey: page.Form.Key}); err == nil {
			s.receipts.keep(receipt{ID: o.GetOrderId(), User: user})
		}
	}
	page.Pending, page.Last = s.lastOrder(ctx, user)
	if err != nil {
		return unavailable("The cart")
	}
	total := money.Zero("USD")
	for _, item := range cart.GetItems() {
		p, err := s.catalog.GetProduct(ctx, &oteldemo.GetProductRequest{Id: item.GetProductId()})
		page.Lines = append(page.Lines, cartLine{item.GetProductId(), p, item.GetQuantity()})
		switch {
		case status.Code(err) == codes.NotFound:
			page.Gone = true
			continue
		case err != nil:
			return unavailable("The catalogue")
		}
		cost, err := wire.Amount(p.GetPriceUsd())
		if err == nil {
			cost, err = cost.Mul(item.GetQuantity())
		}
		if err == nil {
			total, err = total.Add(cost)
		}
		if err != nil {
			return fmt.Errorf("adding up %s: %w", p.GetId(), err)
		}
	}
	page.Total = total.String()
	return nil
}

// quote fills in what the order would cost.
func (s *Storefront) quote(ctx context.Context, page *cartPage, user string) {
	f := page.Form
	quote, err := s.quotes.Quote(ctx, &checkoutv1.QuoteRequest{UserId: user, UserCurrency: f.Currency, Address: f.address()})
	switch {
	case err == nil:
		page.Quote = quote
	case status.Code(err) != codes.Unimplemented: // by another program in checkout's place, which shows the total afterwards
		page.Unpriced = refusalOf(err)
		for _, violation := range page.Unpriced.fields {
			f.markField(violation.GetField())
		}
	}
}

// lastOrder is the customer's recent order: pending if it is not settled, or placed.
func (s *Storefront) lastOrder(ctx context.Context, user string) (pending *orderPage, placed string) {
	last := s.receipts.last(user)
	if last.Order != nil && !last.Late || last.ID == "" {
		return nil, last.ID
	}
	o, err := s.get(ctx, &checkoutv1.GetOrderRequest{OrderId: last.ID})
	page := &orderPage{ID: last.ID, Order: o, Receipt: last}
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, ""
	case page.News().Open: // also if checkout cannot be asked: better safe than paid twice
		return page, ""
	case len(page.Steps()) == 0:
		return nil, ""
	}
	return nil, last.ID
}

func (s *Storefront) placeOrder(w http.ResponseWriter, r *http.Request) {
	f, request := read(r)
	user := customer(r)
	if f.Key == "" || user == "" {
		s.showProblem(w, r, http.StatusUnprocessableEntity, "Your session has ended", "Your card has not been charged, and your cart is empty. Please choose your products again. This shop needs cookies.")
		return
	}
	if f.incomplete() {
		s.showForm(w, r, http.StatusUnprocessableEntity, f, nil)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), OrderTime)
	defer cancel()
	if total := r.PostFormValue("total"); total != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "checkout-expected-total", total)
	}
	got := s.place(ctx, request, f.Key)
	if id := s.orderOf(r.Context(), user, f.Key, got); id != "" {
		http.Redirect(w, r, "/orders/"+id, http.StatusSeeOther) //nolint:gosec // to a page of this site
		return
	}
	for _, violation := range got.refused.fields {
		f.markField(violation.GetField())
	}
	if !got.refused.SameKey {
		f.Key = ""
	}
	s.showForm(w, r, got.refused.status, f, got.refused)
}

// orderOf is the order that the customer is led to, whether this request has placed it or another one before; "" when there
// is none, so that the form is shown again.
func (s *Storefront) orderOf(ctx context.Context, user, key string, got answer) string {
	if got.refused == nil {
		s.receipts.keep(receipt{ID: got.order.GetOrderId(), User: user, Order: got.order, TraceID: got.trace, Late: got.late})
		return got.order.GetOrderId()
	}
	id := ""
	switch got.refused.Reason {
	case "PAYMENT_UNKNOWN", "SHIPPING_REFUSED", "ORDER_REFUNDED", "IDEMPOTENCY_KEY_REUSED", "ORDER_UNDER_WAY", "INTERNAL":
		id = got.refused.OrderID
	case "CART_EMPTY": // another tab has ordered it
		var pending *orderPage
		if pending, id = s.lastOrder(ctx, user); pending != nil {
			id = pending.ID
		}
	case "": // no answer
		if o, err := s.get(ctx, &checkoutv1.GetOrderRequest{UserId: user, IdempotencyKey: key}); err == nil && o.GetState() != checkoutv1.OrderState_CANCELLED {
			id = o.GetOrderId()
		}
	}
	if id != "" {
		s.receipts.keep(receipt{ID: id, User: user, TraceID: got.trace})
	}
	return id
}
