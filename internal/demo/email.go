package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"checkout/internal/money"
)

// Confirmation is an e-mail in the mailbox.
type Confirmation struct {
	To      string
	OrderID string
	Key     string // the Idempotency-Key header
	Text    string // what the customer reads
	At      time.Time
}

// Email writes confirmations (POST /send_order_confirmation, JSON) and keeps them in a mailbox instead of sending them.
// As in the stock shop its template fails with 500 without a shipping_cost, a shipping_address or items, and prints
// nothing for anything smaller that is missing.
type Email struct {
	*Server

	catalog *Catalog // has the names of the products

	mu   sync.Mutex
	sent []Confirmation
}

func newEmail(n *Server, c *Catalog) (*Email, func() error) {
	e := &Email{Server: n, catalog: c}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /send_order_confirmation", e.confirm)
	return e, n.serveHTTP(mux)
}

// Sent returns the mailbox, oldest first.
func (e *Email) Sent() []Confirmation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent)
}

// confirmation is what the template needs to know.
type confirmation struct {
	Email string `json:"email"`
	Order struct {
		ID       string   `json:"order_id"`
		Tracking string   `json:"shipping_tracking_id"`
		Cost     *price   `json:"shipping_cost"`
		Address  *address `json:"shipping_address"`
		Items    []struct {
			Item struct {
				ProductID string `json:"product_id"`
				Quantity  int32  `json:"quantity"`
			} `json:"item"`
			Cost price `json:"cost"`
		} `json:"items"`
	} `json:"order"`
}

type price struct {
	Currency string `json:"currency_code"`
	Units    int64  `json:"units"`
	Nanos    int32  `json:"nanos"`
}

// amount is the price as an amount; zero if it is none.
func (p price) amount() money.Amount {
	amount, _ := money.New(money.Currency(p.Currency), p.Units, p.Nanos)
	return amount
}

type address struct {
	Street  string `json:"street_address"`
	City    string `json:"city"`
	State   string `json:"state"`
	Country string `json:"country"`
	Zip     string `json:"zip_code"`
}

func (e *Email) confirm(w http.ResponseWriter, r *http.Request) {
	if !isJSON(w, r) {
		return
	}
	var c confirmation
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if c.Order.Cost == nil || c.Order.Address == nil || c.Order.Items == nil {
		http.Error(w, "the template needs shipping_cost, shipping_address and items", http.StatusInternalServerError)
		return
	}
	e.mu.Lock()
	e.sent = append(e.sent, Confirmation{
		To: c.Email, OrderID: c.Order.ID, Key: r.Header.Get("Idempotency-Key"), Text: e.text(&c), At: time.Now(),
	})
	e.mu.Unlock()
	e.changes.notify()
	w.WriteHeader(http.StatusOK)
}

// text is the e-mail.
func (e *Email) text(c *confirmation) string {
	var b strings.Builder
	o := &c.Order
	fmt.Fprintf(&b, "To: %s\nSubject: Your order is on its way\n\nThank you for your order %s.\n\n", c.Email, o.ID)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, each, cost any) { fmt.Fprintf(table, "%v\t%v\t  %s\n", each, cost, what) }
	total := o.Cost.amount()
	for _, line := range o.Items {
		unit := line.Cost.amount()
		cost, _ := unit.Mul(line.Item.Quantity)
		total, _ = total.Add(cost)
		row(e.catalog.Name(line.Item.ProductID), fmt.Sprintf("%d × %v", line.Item.Quantity, unit), cost)
	}
	row("Shipping", "", o.Cost.amount())
	row("Total", "", total)
	_ = table.Flush() // a strings.Builder takes everything
	a := o.Address
	fmt.Fprintf(&b, "\nShipped to: %s, %s %s %s, %s\nTracking number: %s\n", a.Street, a.City, a.State, a.Zip, a.Country, o.Tracking)
	return b.String()
}
