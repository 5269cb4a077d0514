package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/demo"
	"checkout/internal/storefront"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// settleTime is how long deliveries are waited for after the last order.
	settleTime = 90 * time.Second
	// listed is how many differences are printed.
	listed = 10
	// redraw is how often the progress bar is drawn.
	redraw = 100 * time.Millisecond
)

// errMismatch says that the ledgers do not agree.
var errMismatch = errors.New("the ledgers do not match")

// results are the answers to customers.
type results struct {
	mu         sync.Mutex
	placed     map[string]bool   // order ids
	reasons    map[string]string // why orders were not placed, by order id, as answered to customers
	refused    map[codes.Code]int
	unanswered int                   // of the refused: customers who got no answer of checkout's
	example    map[codes.Code]string // of a refusal's text
	times      []time.Duration
}

func newResults() *results {
	return &results{
		placed: map[string]bool{}, reasons: map[string]string{}, refused: map[codes.Code]int{}, example: map[codes.Code]string{},
	}
}

// load places many orders, waits for their deliveries and prints how it went.
func (s *shop) load(ctx context.Context) error {
	s.page.title("%d orders, %d at once, %d products each, in %s", s.options.orders, s.options.concurrency, s.options.lines, s.options.currency)
	s.injectFaults()
	start := time.Now()
	r := s.placeAll(ctx)
	took := time.Since(start)
	s.page.wipe()
	r.print(s.page, took)
	if err := s.endFaults(); err != nil || ctx.Err() != nil {
		return err
	}
	return s.settle(ctx, r)
}

// placeAll places the orders, or as many as can be until ctx ends.
func (s *shop) placeAll(ctx context.Context) *results {
	r := newResults()
	next := make(chan int)
	var customers sync.WaitGroup
	for range s.options.concurrency {
		customers.Go(func() {
			for n := range next {
				s.placeOne(ctx, n, r)
			}
		})
	}
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	start := time.Now()
	for n := 0; n < s.options.orders && ctx.Err() == nil; {
		select {
		case next <- n:
			n++
		case <-ticker.C:
			done := r.done()
			s.page.progress(done, s.options.orders, fmt.Sprintf("%.0f a second", float64(done)/time.Since(start).Seconds()))
		case <-ctx.Done():
		}
	}
	close(next)
	customers.Wait()
	return r
}

func (s *shop) placeOne(ctx context.Context, n int, r *results) {
	ctx, cancel := context.WithTimeout(ctx, storefront.OrderTime)
	defer cancel()
	request := s.fill(n)
	start := time.Now()
	answer, err := s.checkout.PlaceOrder(ctx, request)
	took := time.Since(start)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, took)
	if err != nil {
		r.refused[status.Code(err)]++
		r.example[status.Code(err)] = status.Convert(err).Message()
		info := wire.ErrorInfo(err)
		if info == nil {
			r.unanswered++
		}
		if id := info.GetMetadata()["order_id"]; id != "" {
			r.reasons[id] = info.GetReason()
		}
		return
	}
	r.placed[answer.GetOrder().GetOrderId()] = true
}

func (r *results) done() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// print prints the answers, and how fast they came.
func (r *results) print(p *page, took time.Duration) {
	rows := [][]string{{"placed", fmt.Sprint(len(r.placed)), fmt.Sprintf("in %.2f s: %.0f a second", took.Seconds(), float64(len(r.placed))/took.Seconds())}}
	for _, code := range slices.Sorted(maps.Keys(r.refused)) {
		rows = append(rows, []string{code.String(), fmt.Sprint(r.refused[code]), "such as: " + r.example[code]})
	}
	if len(r.times) > 0 {
		slices.Sort(r.times)
		rows = append(rows, []string{"latency", "", fmt.Sprintf("p50 %.1f   p90 %.1f   p99 %.1f   max %.1f ms",
			millis(web.Quantile(r.times, 0.5)), millis(web.Quantile(r.times, 0.9)), millis(web.Quantile(r.times, 0.99)), millis(r.times[len(r.times)-1]))})
	}
	p.table(rows)
}

// settle waits for the deliveries, and compares the answers with the other services' ledgers.
func (s *shop) settle(ctx context.Context, r *results) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	start := time.Now()
	_ = s.Await(ctx, func() bool { return s.settled(r) }) // whether it did is seen below
	ledgers := s.Ledgers()
	total := ledgers.Total()
	s.page.title("The ledgers, %.1f s later", time.Since(start).Seconds())
	s.page.table([][]string{
		{"answered", "charges", "refunds", "shipments", "e-mails", "events", "booked"},
		{fmt.Sprint(len(r.placed)), fmt.Sprint(total.Charges), fmt.Sprint(total.Refunds), fmt.Sprint(total.Parcels), fmt.Sprint(total.Emails), fmt.Sprint(total.Events), fmt.Sprint(s.Accounting.Booked())},
	})
	waiting := setAside(ledgers, r)
	differences := differences(ledgers, r)
	if more := len(differences) - listed; more > 0 {
		differences = append(differences[:listed], fmt.Sprintf("and %d more", more))
	}
	if waiting == nil || len(ledgers.Orders) > 0 {
		words := summary(ledgers.Total(), differences)
		if waiting != nil {
			words = "Apart from the orders that wait for an operator: " + words
		}
		s.page.say("\n  %s\n", words)
	}
	for _, words := range slices.Sorted(maps.Keys(waiting)) {
		s.page.say("\n  %d %s, waiting for an operator\n", waiting[words], words)
	}
	if s.options.shipping == stock && s.options.lose["shipping"] > 0 {
		s.page.say("\n  Basic shipping honours no idempotency key: a shipment without an answer is sent again, and each may be a parcel.\n  Try --shipping keyed.\n")
	}
	if len(differences) > 0 {
		return errMismatch
	}
	return nil
}

// settled reports whether nothing is missing any more. What happened too often will not pass, so it is not waited for; nor
// is an order that stock payment has left in doubt, which only an operator can settle.
func (s *shop) settled(r *results) bool {
	ledgers := s.Ledgers()
	for id := range r.placed {
		if ledgers.Orders[id].Result(0).Outcome == demo.Pending {
			return false
		}
	}
	for id := range r.reasons {
		if t := ledgers.Orders[id]; s.options.payment == keyed && t.Charges > 0 && t.Result(0).Outcome == demo.Pending {
			return false
		}
	}
	return true
}

// setAside removes the orders from ledgers that only an operator can settle, according to the answers, and counts them.
func setAside(ledgers demo.Ledgers, r *results) (waiting map[string]int) {
	for id, reason := range r.reasons {
		state := map[string]checkoutv1.OrderState{"PAYMENT_UNKNOWN": checkoutv1.OrderState_IN_DOUBT, "SHIPPING_REFUSED": checkoutv1.OrderState_PARKED}[reason]
		result := ledgers.Orders[id].Result(state)
		if result.Outcome != demo.PaymentUnknown && result.Outcome != demo.Parked {
			continue
		}
		if waiting == nil {
			waiting = make(map[string]int)
		}
		waiting[result.Text]++
		delete(ledgers.Orders, id)
	}
	return waiting
}

// differences are those of the ledgers, and between the ledgers and the answers.
func differences(ledgers demo.Ledgers, r *results) []string {
	found := ledgers.Differences()
	for _, id := range slices.Sorted(maps.Keys(r.placed)) {
		if ledgers.Orders[id].Charges == 0 {
			found = append(found, "order "+id+": answered, not charged")
		}
	}
	var silent []string
	for _, id := range slices.Sorted(maps.Keys(ledgers.Orders)) {
		if t := ledgers.Orders[id]; t.Charges > 0 && t.Parcels > 0 && !r.placed[id] && r.reasons[id] == "" {
			silent = append(silent, "order "+id+": charged and shipped, and not answered")
		}
	}
	if len(silent) > r.unanswered { // otherwise their customers did not wait, and have the e-mail
		found = append(found, silent...)
	}
	return found
}
