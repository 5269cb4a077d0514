package storefront

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// shopper is the cookie that tells customers apart. It says nothing of who they are.
	shopper = "shopper"
	// base32 is the alphabet of rand.Text (RFC 4648).
	base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	// maxQuantity is how many pieces of a product are put into a cart at once.
	maxQuantity = 100
)

// The cards that the checkout form proposes: numbers that are made for tests.
const (
	goodCard = "4432-8015-6152-0454"
	amexCard = "3782-822463-10005"
)

func (s *Storefront) shopping(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.showProducts)
	mux.HandleFunc("GET /cart", s.showCart)
	mux.HandleFunc("POST /cart", s.addToCart)
	mux.HandleFunc("POST /cart/empty", s.emptyCart)
	mux.HandleFunc("POST /checkout", s.placeOrder)
}

// customer is the id in the request's cookie; "" for a newcomer. What we have not made ourselves is nobody's id.
func customer(r *http.Request) string {
	cookie, err := r.Cookie(shopper)
	if err != nil || !consistsOf(cookie.Value, 26, base32) {
		return ""
	}
	return cookie.Value
}

// welcome is the customer's id, a new one for newcomers.
func welcome(w http.ResponseWriter, r *http.Request) string {
	id := customer(r)
	if id == "" {
		id = rand.Text()
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // the shop is on the loopback interface, without TLS
			Name: shopper, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	return id
}

func (s *Storefront) showProducts(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	all, err := s.catalog.ListProducts(ctx, &oteldemo.Empty{})
	if err != nil {
		s.explain(w, r, away("The catalogue", err))
		return
	}
	s.pages.Show(w, r, http.StatusOK, "products", web.Page{Title: "Products", Nav: "/", Data: all.GetProducts()})
}

// away says that a neighbour has not answered.
func away(who string, err error) error {
	told := status.Convert(err)
	return &problem{
		http.StatusServiceUnavailable, who + " does not answer",
		fmt.Sprintf("%s: %s. The trouble board may have made it so.", told.Code(), told.Message()),
	}
}

func (s *Storefront) addToCart(w http.ResponseWriter, r *http.Request) {
	quantity, err := strconv.ParseInt(cmp.Or(r.PostFormValue("quantity"), "1"), 10, 32)
	if err != nil || quantity < 1 || quantity > maxQuantity {
		s.apologise(w, r, http.StatusUnprocessableEntity, "Not so many", fmt.Sprintf("A quantity is between 1 and %d.", maxQuantity))
		return
	}
	item := &oteldemo.CartItem{ProductId: r.PostFormValue("product"), Quantity: int32(quantity)}
	if !slices.ContainsFunc(s.Shop.Catalog.Products(), func(p *oteldemo.Product) bool { return p.GetId() == item.GetProductId() }) {
		s.apologise(w, r, http.StatusUnprocessableEntity, "No such product", "The shop does not sell it.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	if _, err := s.cart.AddItem(ctx, &oteldemo.AddItemRequest{UserId: welcome(w, r), Item: item}); err != nil {
		s.explain(w, r, away("The cart", err))
		return
	}
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
}

func (s *Storefront) emptyCart(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	if _, err := s.cart.EmptyCart(ctx, &oteldemo.EmptyCartRequest{UserId: customer(r)}); err != nil {
		s.explain(w, r, away("The cart", err))
		return
	}
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
}

// cartPage is the cart and the form to order it with.
type cartPage struct {
	Lines      []cartLine
	Total      string // in US dollars, without shipping
	Currencies []string
	Cards      []string
	Form       form
	Refusal    *refusal // of the order that was tried just now
}

type cartLine struct {
	Product  *oteldemo.Product
	Quantity int32
}

func (s *Storefront) showCart(w http.ResponseWriter, r *http.Request) {
	s.showForm(w, r, http.StatusOK, newForm(), nil)
}

// showForm shows the cart with the form filled in. refused, unless nil, is why the order was not placed.
func (s *Storefront) showForm(w http.ResponseWriter, r *http.Request, code int, f form, refused *refusal) {
	page := cartPage{Form: f, Refusal: refused, Cards: []string{goodCard, amexCard}}
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	if err := s.readCart(ctx, &page, customer(r)); err != nil && refused == nil { // a refusal is told in any case
		s.explain(w, r, err)
		return
	}
	s.pages.Show(w, r, code, "cart", web.Page{Title: "Cart", Nav: "/cart", Data: page})
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
	if err != nil {
		return away("The cart", err)
	}
	total := money.Zero("USD")
	for _, item := range cart.GetItems() {
		p, err := s.catalog.GetProduct(ctx, &oteldemo.GetProductRequest{Id: item.GetProductId()})
		if err != nil {
			return away("The catalogue", err)
		}
		page.Lines = append(page.Lines, cartLine{p, item.GetQuantity()})
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

// form is what a customer fills in, but for the card.
type form struct {
	Key                               string // of the order: a form that is sent twice is one order
	Currency, Email                   string
	Street, City, State, Country, Zip string
}

func newForm() form {
	return form{
		Key: rand.Text(), Currency: "USD", Email: "ada@example.com",
		Street: "1600 Amphitheatre Parkway", City: "Mountain View", State: "CA", Country: "United States", Zip: "94043",
	}
}

// read reads a form that was sent, and the request that it makes. The card is in the request alone.
func read(r *http.Request) (form, *oteldemo.PlaceOrderRequest) {
	get := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	number := func(name string) int32 {
		n, err := strconv.ParseInt(get(name), 10, 32)
		if err != nil {
			return -1 // is refused by checkout, which says which field it is
		}
		return int32(n)
	}
	f := form{
		Key: get("key"), Currency: get("currency"), Email: get("email"),
		Street: get("street"), City: get("city"), State: get("state"), Country: get("country"), Zip: get("zip"),
	}
	return f, &oteldemo.PlaceOrderRequest{
		UserId: customer(r), UserCurrency: f.Currency, Email: f.Email,
		Address: &oteldemo.Address{StreetAddress: f.Street, City: f.City, State: f.State, Country: f.Country, ZipCode: f.Zip},
		CreditCard: &oteldemo.CreditCardInfo{
			CreditCardNumber: get("card"), CreditCardCvv: number("cvv"),
			CreditCardExpirationYear: number("year"), CreditCardExpirationMonth: number("month"),
		},
	}
}

func (s *Storefront) placeOrder(w http.ResponseWriter, r *http.Request) {
	f, request := read(r)
	if f.Key == "" || request.GetUserId() == "" {
		s.apologise(w, r, http.StatusUnprocessableEntity, "Nothing to order", "The form has no key, or the browser takes no cookie. Begin at the cart.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), OrderTime)
	defer cancel()
	answer := s.place(ctx, request, f.Key)
	if answer.refused == nil {
		http.Redirect(w, r, "/orders/"+answer.order.GetOrderId(), http.StatusSeeOther)
		return
	}
	if !answer.refused.SameKey {
		f.Key = rand.Text()
	}
	s.showForm(w, r, answer.refused.status, f, answer.refused)
}
