package storefront

import (
	"context"
	"fmt"
	"maps"
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
	ID, Name string
	at       Troubled
	methods  []string
	set      *demo.Trouble // what somebody has set, while it is something else; nil when it is not
	http     bool
}

// Now is what is wrong with it.
func (s seam) Now() demo.Trouble { return s.at.Troubled(s.methods[0]) }

// Set is what somebody has set to go wrong.
func (s seam) Set() demo.Trouble {
	if s.set != nil {
		return *s.set
	}
	return s.Now()
}

// seams are the calls of checkout. What the shop's own pages call stays well, so that they can be looked at.
func (s *Storefront) seams() []seam {
	return []seam{
		{"cart", "Cart: read it", s.Shop.Cart, []string{"GetCart"}, nil, false},
		{"catalog", "Catalogue: price a product", s.Shop.Catalog, []string{"GetProduct"}, nil, false},
		{"currency", "Currency: convert", s.Shop.Currency, []string{"Convert"}, nil, false},
		{"quote", "Shipping: quote", s.Shop.Shipping, []string{"get-quote"}, nil, true},
		{"charge", "Payment: charge the card", s.Shop.Payment, []string{"Charge"}, nil, false},
		{"ledger", "Payment: look up and reverse", s.Shop.Payment, []string{"Lookup", "Reverse"}, nil, false},
		{"ship", "Shipping: ship the order", s.Shop.Shipping, []string{ShipOrder}, s.usualShipping(), true},
		{"empty", "Cart: empty it", s.Shop.Cart, []string{"EmptyCart"}, nil, false},
		{"email", "E-mail: confirm", s.Shop.Email, []string{"send_order_confirmation"}, nil, true},
	}
}

// fault is a way to go wrong, as the form names it.
type fault struct {
	ID, Name string
	is       demo.Trouble
}

// Faults are the ways in which the call can go wrong.
func (s seam) Faults() []fault {
	all := []fault{
		{"none", "answer well", demo.Trouble{}},
		{"refuse", "refuse: an error, nothing done", demo.Trouble{Fault: demo.Refuse}},
		{"refuse-for-good", "refuse for good, nothing done", demo.Trouble{Fault: demo.Refuse, Status: http.StatusUnprocessableEntity, Code: codes.FailedPrecondition}},
		{"lose", "lose the answer: done, and the connection breaks", demo.Trouble{Fault: demo.LoseAnswer}},
		{"hang", "hang: no answer, nothing done", demo.Trouble{Fault: demo.Hang}},
		{"hang-after", "hang after it was done", demo.Trouble{Fault: demo.HangAfter}},
	}
	if s.http {
		all = append(all, fault{"nonsense", "answer 200 and nonsense, nothing done", demo.Trouble{Fault: demo.Refuse, Status: http.StatusOK, Text: "{}"}})
	}
	return all
}

// Is tells whether a trouble is of that fault.
func (f fault) Is(t demo.Trouble) bool {
	return f.is.Fault == t.Fault && f.is.Status == t.Status && f.is.Text == t.Text
}

// Percent is how many calls are to go wrong.
func (s seam) Percent() string {
	t := s.Set()
	if t.Fault == demo.None || t.Chance == 0 {
		return "100"
	}
	return fmt.Sprintf("%.0f", 100*t.Chance)
}

// Words are what is wrong with a seam, in short.
func (s seam) Words() string {
	t := s.Now()
	var words []string
	if t.Latency > 0 {
		words = append(words, "+"+t.Latency.String())
	}
	if t.Fault != demo.None {
		chance := t.Chance
		if chance == 0 {
			chance = 1 // all of them
		}
		words = append(words, fmt.Sprintf("%.0f %% %s", 100*chance, t.Fault))
		if t.Status != 0 && s.http {
			words = append(words, fmt.Sprint("status ", t.Status))
		}
	}
	if words == nil {
		return "well"
	}
	return strings.Join(words, ", ")
}

// boardPage is the trouble board.
type boardPage struct {
	Seams      []seam
	Neighbours []Neighbour
	Flags      map[string]any
	Shares     []int // of paymentFailure, in percent
	Console    string
	Checkout   checkoutView
	Load       loadView
	MaxRate    int

	KeyedPayment, KeyedShipping bool
}

func (s *Storefront) board(mux *http.ServeMux) {
	s.show(mux, "/trouble", view{"trouble", "Trouble board", "/trouble", s.lookAtBoard, false, func(data any) []part {
		page := data.(boardPage) //nolint:forcetypeassert // lookAtBoard made it
		parts := []part{
			{"checkout", "checkout", page.Checkout},
			{"crash", "crash", page.Checkout},
			{"load", "load", page.Load},
			{"plots", "plots", page.Load},
			{"neighbours", "neighbours", page.Neighbours},
			{"flags-now", "flags-now", page.Flags},
		}
		for _, seam := range page.Seams {
			parts = append(parts, part{"now-" + seam.ID, "seam-now", seam})
		}
		return parts
	}})
	for _, button := range []struct {
		path, to string // to is the part of the page that shows what has happened
		press    func(r *http.Request) error
	}{
		{"/trouble/seam", "#seams", s.troubleSeam},
		{"/trouble/neighbour", "#away", s.sendAway},
		{"/trouble/flag", "#flags", s.setFlag},
		{"/trouble/end", "", s.endTrouble},
		{"/trouble/load", "#load-title", s.setLoad},
		{"/trouble/crash", "#crash", func(r *http.Request) error { _, err := s.crashWith(r.Context(), ""); return err }},
		{"/trouble/crash-order", "#crash", func(r *http.Request) error { return s.buyAndKill(r.Context()) }},
	} {
		mux.HandleFunc("POST "+button.path, func(w http.ResponseWriter, r *http.Request) {
			if err := button.press(r); err != nil {
				s.explain(w, r, err)
				return
			}
			http.Redirect(w, r, "/trouble"+button.to, http.StatusSeeOther)
		})
	}
}

func (s *Storefront) lookAtBoard(ctx context.Context, _ *http.Request) (any, error) {
	return boardPage{
		Seams: s.seams(), Neighbours: Neighbours(s.Shop), Flags: s.Shop.Flags.Values(),
		Shares: []int{0, 10, 25, 50, 75, 90, 100}, KeyedPayment: s.KeyedPayment, KeyedShipping: s.KeyedShipping, Console: s.Console,
		Checkout: s.lookAtCheckout(ctx), Load: s.load.look(), MaxRate: maxRate,
	}, nil
}

// wrong says that a form makes no sense.
func wrong(format string, args ...any) error {
	return &problem{http.StatusUnprocessableEntity, "That cannot be set", fmt.Sprintf(format, args...)}
}

// number is the whole number in a field, which is not below zero and at most so large.
func number(r *http.Request, field string, most int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(r.PostFormValue(field)))
	if err != nil || n < 0 || n > most {
		return 0, wrong("%s is not a number between 0 and %d.", field, most)
	}
	return n, nil
}

func (s *Storefront) troubleSeam(r *http.Request) error {
	latency, err := number(r, "latency", int(maxLatency/time.Millisecond))
	if err != nil {
		return err
	}
	chance, err := number(r, "chance", 100)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.seams(), func(one seam) bool { return one.ID == r.PostFormValue("seam") })
	if i < 0 {
		return wrong("Checkout makes no such call.")
	}
	seam := s.seams()[i]
	for _, f := range seam.Faults() {
		if f.ID != r.PostFormValue("fault") {
			continue
		}
		t := demo.Trouble{}
		if chance > 0 && f.is.Fault != demo.None {
			t = f.is
			t.Chance = float64(chance) / 100
		}
		t.Latency = time.Duration(latency) * time.Millisecond
		seam.at.Trouble(t, seam.methods...)
		return nil
	}
	return wrong("There is no such fault.")
}

func (s *Storefront) sendAway(r *http.Request) error {
	for _, n := range Neighbours(s.Shop) {
		if n.Name != r.PostFormValue("name") {
			continue
		}
		if r.PostFormValue("away") == "yes" {
			n.Server.Leave()
			return nil
		}
		return n.Server.Return()
	}
	return wrong("There is no such neighbour.")
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
	return wrong("There is no such flag.")
}

// endTrouble makes everything well again. The load goes on.
func (s *Storefront) endTrouble(*http.Request) error {
	for _, seam := range s.seams() {
		seam.at.Trouble(demo.Trouble{}, seam.methods...)
		seam.at.Trouble(demo.Trouble{}) // and what the command line asked for
	}
	for _, n := range Neighbours(s.Shop) {
		if err := n.Server.Return(); err != nil {
			return err
		}
	}
	for flag := range maps.Keys(s.Shop.Flags.Values()) {
		var err error
		switch flag {
		case "paymentFailure":
			err = s.Shop.Flags.SetFloat(flag, 0)
		case "paymentUnreachable":
			err = s.Shop.Flags.SetBool(flag, false)
		case "kafkaQueueProblems":
			err = s.Shop.Flags.SetInt(flag, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
