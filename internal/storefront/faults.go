package storefront

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/demo"
)

const (
	// maxLatency is how much slower a call can be made.
	maxLatency = 30 * time.Second
	// maxCopies is the largest value of the flag kafkaQueueProblems.
	maxCopies = 1000
)

// seam is a call that checkout makes and that can go wrong.
type seam struct {
	ID, Name, What string
	at             Injector
	methods        []string
	more           []fault // beyond those that every call can have
}

// group are seams with the same consequence.
type group struct {
	ID, Name, What string
	Seams          []seam
}

// Open reports whether something is wrong with one of them.
func (g group) Open() bool {
	return slices.ContainsFunc(g.Seams, func(s seam) bool { return s.Now() != demo.Fault{} })
}

// Now is what is wrong with it.
func (s seam) Now() demo.Fault { return s.at.Injected(s.methods[0]) }

// groups are the calls of checkout, in the order of an order's steps.
func (s *Storefront) groups() []group {
	shop := s.Shop
	nonsense := []fault{{"nonsense", "answer 200 with an invalid body; nothing is done", demo.Fault{Kind: demo.Refuse, Status: http.StatusOK, Text: "{}"}}}
	gone := []fault{{"gone", "not found: the product is not sold any more", demo.Fault{Kind: demo.Refuse, Code: codes.NotFound}}}
	return []group{
		{"pricing", "Pricing", "Before the charge. A fault refuses orders; no card is charged.", []seam{
			{"cart", "Read the cart", "every order, and customers' cart pages", shop.Cart, []string{"GetCart"}, nil},
			{"catalog", "Read a product", "every order, and customers' cart pages", shop.Catalog, []string{"GetProduct"}, gone},
			{"currency", "Convert a price", "orders that are not paid in US dollars", shop.Currency, []string{"Convert"}, nil},
			{"quote", "Quote shipping", "every order", shop.Shipping, []string{"get-quote"}, nonsense},
		}},
		{"payment", "Payment", s.paymentWords(), []seam{
			{"charge", "Charge the card", "every order, once", shop.Payment, []string{"Charge"}, nil},
			{"ledger", "Look up and reverse", "orders whose payment is unknown or that cannot be shipped; with --payment keyed only", shop.Payment, []string{"Lookup", "Reverse", "Refund"}, nil},
		}},
		{"shipping", "Shipping", s.shippingWords(), []seam{
			{"ship", "Ship the order", "paid orders. Refused permanently, an order is parked, or refunded with --payment keyed", shop.Shipping, []string{ShipOrder}, nonsense},
		}},
		{"deliveries", "After the order", "The customer is not affected; checkout retries until it is done.", []seam{
			{"empty", "Empty the cart", "every shipped order", shop.Cart, []string{"EmptyCart"}, nil},
			{"email", "Send the confirmation", "every shipped order", shop.Email, []string{"send_order_confirmation"}, nonsense},
		}},
	}
}

func (s *Storefront) paymentWords() string {
	if s.KeyedPayment {
		return "Payment is idempotent: a charge without an answer is looked up."
	}
	return "Payment is basic: a charge without an answer leaves payment unknown, for an operator."
}

func (s *Storefront) shippingWords() string {
	if s.KeyedShipping {
		return "Shipping is idempotent: an order is one parcel however often it is sent."
	}
	return "Shipping is basic: each shipment without an answer may be a parcel. After three the order is parked, for an operator."
}

// seams are those of all groups.
func (s *Storefront) seams() (all []seam) {
	for _, g := range s.groups() {
		all = append(all, g.Seams...)
	}
	return all
}

// fault is a way to go wrong, as the form names it.
type fault struct {
	ID, Name string
	is       demo.Fault
}

// Faults are the ways in which the call can go wrong.
func (s seam) Faults() []fault {
	return append([]fault{
		{"none", "none", demo.Fault{}},
		{"refuse", "refuse; nothing is done", demo.Fault{Kind: demo.Refuse}},
		{"refuse-for-good", "refuse permanently; nothing is done", demo.Fault{Kind: demo.Refuse, Status: http.StatusUnprocessableEntity, Code: codes.FailedPrecondition}},
		{"lose", "lose the answer: it is done, and the connection breaks", demo.Fault{Kind: demo.LoseAnswer}},
		{"hang", "hang; nothing is done", demo.Fault{Kind: demo.Hang}},
		{"hang-after", "hang after it is done", demo.Fault{Kind: demo.HangAfter}},
	}, s.more...)
}

// Is reports whether an injected fault is this one.
func (f fault) Is(t demo.Fault) bool {
	return f.is.Kind == t.Kind && f.is.Status == t.Status && f.is.Code == t.Code && f.is.Text == t.Text
}

// Percent is how many calls are to go wrong.
func (s seam) Percent() string {
	t := s.Now()
	if t.Kind == demo.None || t.Chance == 0 {
		return "100"
	}
	return fmt.Sprintf("%.0f", 100*t.Chance)
}

// Words say what is wrong with a seam.
func (s seam) Words() string {
	t := s.Now()
	var words []string
	if t.Latency > 0 {
		words = append(words, "+"+t.Latency.String())
	}
	if t.Kind != demo.None {
		chance := t.Chance
		if chance == 0 {
			chance = 1 // all of them
		}
		words = append(words, fmt.Sprintf("%.0f %% %s", 100*chance, t.Kind))
		switch {
		case t.Status == http.StatusUnprocessableEntity:
			words = append(words, "permanently")
		case t.Status != 0:
			words = append(words, fmt.Sprint("status ", t.Status))
		}
	}
	if words == nil {
		return "no fault"
	}
	return strings.Join(words, ", ")
}

// faultsPage is the page of fault injection.
type faultsPage struct {
	Presets  []preset
	Incident incidentView
	Groups   []group
	Services []Service
	Flags    map[string]any
	Shares   []int // of paymentFailure, in percent
	Failing  int   // paymentFailure, in percent
	Flagged  bool  // a flag is not as usual
	Offline  bool  // a service is
	Checkout checkoutView
	Load     loadView
	MaxRate  int
}

func (s *Storefront) faultInjection(mux *http.ServeMux) {
	s.show(mux, "/faults", view{"faults", "Fault injection", "/faults", s.lookAtFaults, false, func(data any) []part {
		page := data.(faultsPage) //nolint:forcetypeassert // lookAtFaults made it
		parts := []part{
			{"incident", "incident", page.Incident},
			{"checkout", "checkout", page.Checkout},
			{"crash", "crash", page.Checkout},
			{"load", "load", page.Load},
			{"plots", "plots", page.Load},
			{"services", "services", page.Services},
			{"flags-now", "flags-now", page.Flags},
		}
		for _, seam := range s.seams() {
			parts = append(parts, part{"now-" + seam.ID, "seam-now", seam})
		}
		return parts
	}})
	for _, button := range []struct {
		path, to string // to is the part of the page that shows what has happened
		press    func(r *http.Request) error
	}{
		{"/faults/preset", "#presets", s.startPreset},
		{"/faults/preset/stop", "#presets", s.stopPreset},
		{"/faults/call", "#calls", s.injectFault},
		{"/faults/availability", "#availability", s.setAvailability},
		{"/faults/flag", "#flags", s.setFlag},
		{"/faults/reset", "", s.resetAll},
		{"/faults/load", "#load-title", s.setLoad},
		{"/faults/kill", "#crash", func(r *http.Request) error { _, err := s.crashWith(r.Context(), ""); return err }},
	} {
		mux.HandleFunc("POST "+button.path, func(w http.ResponseWriter, r *http.Request) {
			if err := button.press(r); err != nil {
				s.fail(w, r, err)
				return
			}
			http.Redirect(w, r, "/faults"+button.to, http.StatusSeeOther)
		})
	}
}

func (s *Storefront) lookAtFaults(ctx context.Context, _ *http.Request) (any, error) {
	flags := s.Shop.Flags.Values()
	failing, _ := flags["paymentFailure"].(float64)
	services := Services(s.Shop)
	return faultsPage{
		Flagged: failing != 0 || flags["paymentUnreachable"] != false || flags["kafkaQueueProblems"] != int64(0),
		Offline: slices.ContainsFunc(services, Service.Offline),
		Presets: s.presets(), Incident: s.lookAtIncident(), Groups: s.groups(), Services: services, Flags: flags,
		Shares: []int{0, 10, 25, 50, 75, 90, 100}, Failing: int(math.Round(100 * failing)),
		Checkout: s.lookAtCheckout(ctx), Load: s.load.look(), MaxRate: maxRate,
	}, nil
}

// invalid says that a form makes no sense.
func invalid(format string, args ...any) error {
	return &problem{http.StatusUnprocessableEntity, "That cannot be set", fmt.Sprintf(format, args...)}
}

// number is the whole number in a field, which is not below zero and at most so large.
func number(r *http.Request, field string, most int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(r.PostFormValue(field)))
	if err != nil || n < 0 || n > most {
		return 0, invalid("%s=%q must be a number between 0 and %d.", field, r.PostFormValue(field), most)
	}
	return n, nil
}

func (s *Storefront) injectFault(r *http.Request) error {
	latency, err := number(r, "latency", int(maxLatency/time.Millisecond))
	if err != nil {
		return err
	}
	chance, err := number(r, "chance", 100)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.seams(), func(one seam) bool { return one.ID == r.PostFormValue("call") })
	if i < 0 {
		return invalid("There is no such call.")
	}
	seam := s.seams()[i]
	for _, f := range seam.Faults() {
		if f.ID != r.PostFormValue("fault") {
			continue
		}
		t := demo.Fault{}
		if chance > 0 && f.is.Kind != demo.None {
			t = f.is
			t.Chance = float64(chance) / 100
		}
		t.Latency = time.Duration(latency) * time.Millisecond
		seam.at.Inject(t, seam.methods...)
		return nil
	}
	return invalid("There is no such fault.")
}

func (s *Storefront) setAvailability(r *http.Request) error {
	for _, n := range Services(s.Shop) {
		if n.Name != r.PostFormValue("name") {
			continue
		}
		if r.PostFormValue("offline") == "yes" {
			n.TakeOffline()
			return nil
		}
		return n.BringOnline()
	}
	return invalid("There is no such service.")
}

func (s *Storefront) setFlag(r *http.Request) error {
	switch flag := r.PostFormValue("flag"); flag {
	case "paymentFailure":
		share, err := number(r, "value", 100)
		if err != nil {
			return err
		}
		return s.Shop.Flags.SetFloat(flag, float64(share)/100)
	case "paymentUnreachable":
		return s.Shop.Flags.SetBool(flag, r.PostFormValue("value") == "on")
	case "kafkaQueueProblems":
		copies, err := number(r, "value", maxCopies)
		if err != nil {
			return err
		}
		return s.Shop.Flags.SetInt(flag, int64(copies))
	}
	return invalid("There is no such flag.")
}

// resetAll ends the preset and all faults. The load goes on.
func (s *Storefront) resetAll(r *http.Request) error {
	_ = s.stopPreset(r) // if one runs
	for _, seam := range s.seams() {
		seam.at.Inject(demo.Fault{}, seam.methods...)
		seam.at.Inject(demo.Fault{}) // and what the command line asked for
	}
	failures := []error{
		s.Shop.Flags.SetFloat("paymentFailure", 0), s.Shop.Flags.SetBool("paymentUnreachable", false), s.Shop.Flags.SetInt("kafkaQueueProblems", 0),
	}
	for _, n := range Services(s.Shop) {
		failures = append(failures, n.BringOnline())
	}
	return errors.Join(failures...)
}
