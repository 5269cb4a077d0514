package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"checkout/gen/oteldemo"
)

// Parcel is an entry in the shipping service's ledger.
type Parcel struct {
	TrackingID string
	Key        string // the Idempotency-Key header: checkout's order id
	Address    *oteldemo.Address
	Items      []*oteldemo.CartItem
	At         time.Time
}

// Shipping quotes 8.99 US dollars a piece and ships parcels. It speaks JSON over HTTP (POST /get-quote, /ship-order)
// and insists on every key of the body, as the stock shop's later releases do; snake_case and camelCase are both fine.
// Like stock it ships again when asked again, unless HonourKeys.
type Shipping struct {
	*Server

	mu      sync.Mutex
	parcels []Parcel
	byKey   map[string]string // a key's first tracking id
	keyed   bool
}

func newShipping(n *Server) (*Shipping, func() error) {
	s := &Shipping{Server: n, byKey: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /get-quote", s.quote)
	mux.HandleFunc("POST /ship-order", s.ship)
	return s, n.serveHTTP(mux)
}

// HonourKeys makes a second order with the same Idempotency-Key answer like the first, and send no parcel.
func (s *Shipping) HonourKeys(keyed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keyed = keyed
}

// Parcels is the ledger, oldest entry first.
func (s *Shipping) Parcels() []Parcel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parcels)
}

func (s *Shipping) quote(w http.ResponseWriter, r *http.Request) {
	parcel, ok := readParcel(w, r)
	if !ok {
		return
	}
	cents := int64(0)
	for _, item := range parcel.Items {
		cents += 899 * int64(item.GetQuantity())
	}
	answer(w, map[string]any{"cost_usd": map[string]any{
		"currency_code": "USD", "units": cents / 100, "nanos": cents % 100 * 10_000_000,
	}})
}

func (s *Shipping) ship(w http.ResponseWriter, r *http.Request) {
	parcel, ok := readParcel(w, r)
	if !ok {
		return
	}
	parcel.TrackingID, parcel.Key, parcel.At = uuid.NewString(), r.Header.Get("Idempotency-Key"), time.Now()
	answer(w, map[string]string{"tracking_id": s.book(parcel)})
}

// book writes a parcel down and returns its tracking id, or the one that stands for its key.
func (s *Shipping) book(parcel Parcel) string {
	defer s.changes.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.byKey[parcel.Key]
	if known && s.keyed && parcel.Key != "" {
		return before
	}
	if !known {
		s.byKey[parcel.Key] = parcel.TrackingID
	}
	s.parcels = append(s.parcels, parcel)
	return parcel.TrackingID
}

// readParcel reads a request's body. When that is wrong it answers the request.
func readParcel(w http.ResponseWriter, r *http.Request) (Parcel, bool) {
	if !isJSON(w, r) {
		return Parcel{}, false
	}
	var body object
	var parcel Parcel
	err := json.NewDecoder(r.Body).Decode(&body)
	if err == nil {
		parcel, err = body.parcel()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return Parcel{}, false
	}
	return parcel, true
}

// object is a JSON object that can tell a missing key from an empty value.
type object map[string]json.RawMessage

func (o object) parcel() (Parcel, error) {
	var address object
	var items []object
	if err := errors.Join(o.read("address", &address), o.read("items", &items)); err != nil {
		return Parcel{}, err
	}
	to := new(oteldemo.Address)
	err := errors.Join(
		address.read("street_address", &to.StreetAddress),
		address.read("city", &to.City),
		address.read("state", &to.State),
		address.read("country", &to.Country),
		address.read("zip_code", &to.ZipCode),
	)
	parcel := Parcel{Address: to}
	for _, o := range items {
		item := new(oteldemo.CartItem)
		err = errors.Join(err, o.read("product_id", &item.ProductId), o.read("quantity", &item.Quantity))
		parcel.Items = append(parcel.Items, item)
	}
	return parcel, err
}

// read reads the value of a key, which must be there in snake_case or in camelCase.
func (o object) read(key string, into any) error {
	value, ok := o[key]
	if !ok {
		value, ok = o[camelCase(key)]
	}
	if !ok || string(value) == "null" {
		return fmt.Errorf("missing field `%s`", key)
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("field `%s`: %w", key, err)
	}
	return nil
}

func camelCase(snake string) string {
	words := strings.Split(snake, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// isJSON answers the request with 415 when its body claims to be something else.
func isJSON(w http.ResponseWriter, r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		http.Error(w, "the body must be application/json", http.StatusUnsupportedMediaType)
		return false
	}
	return true
}

// answer answers with JSON.
func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // text and numbers; the caller may be gone
}
