package console

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/web"
	"checkout/internal/wire"
)

const (
	// attentionSize is how many orders that require an operator are looked for on each record, and attentionPages on how many pages
	// of as many orders: most of those in their states may be on their way by themselves.
	attentionSize, attentionPages = 200, 10
	// attentionTime is how long looking for them may take.
	attentionTime = 3 * askTime
)

// missing is a record whose orders are not, or not all, in a list.
type missing struct {
	Service string `json:"service"` // that was asked
	Problem string `json:"problem"`
}

// finding is what was found on one record.
type finding struct {
	service string
	orders  []*checkoutv1.Order
	more    bool
	err     error
}

// attentionList is the orders that require an operator, of all records, oldest first. It fails only when none could be asked: what is missing
// otherwise is said, so that a part is not taken for the whole.
func (c *Console) attentionList(ctx context.Context) (orderList, error) {
	ctx, cancel := context.WithTimeout(ctx, attentionTime)
	defer cancel()
	l := orderList{At: c.now(), Orders: []orderRow{}}
	known := make(map[string]bool) // two services may share a record and have not said so yet
	stake := make(map[money.Currency]money.Amount)
	records, answering := c.attentionByRecord(ctx), false
	for _, on := range records {
		if on.err != nil {
			l.Missing = append(l.Missing, missing{on.service, failureOf(on.err).Message})
		}
		answering = answering || on.err == nil
		for _, o := range on.orders {
			if !known[o.GetOrderId()] {
				known[o.GetOrderId()] = true
				l.Orders = append(l.Orders, rowOf(o))
				add(stake, o.GetTotal())
			}
		}
		if on.more {
			l.Next = c.site.URL("/orders") + filter{States: names(wire.OperatorStates())}.Query("")
		}
	}
	if !answering {
		return l, records[0].err
	}
	slices.SortFunc(l.Orders, func(a, b orderRow) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	for _, currency := range slices.Sorted(maps.Keys(stake)) {
		l.Stake = append(l.Stake, sumOf{string(currency), stake[currency].Decimal()})
	}
	return l, nil
}

// add adds an amount to the sum of its currency. One that cannot be read, or added, is left out.
func add(sums map[money.Currency]money.Amount, m *oteldemo.Money) {
	amount, err := wire.Amount(m)
	if err != nil {
		return
	}
	if sum, ok := sums[amount.Currency()]; ok {
		if amount, err = sum.Add(amount); err != nil {
			return
		}
	}
	sums[amount.Currency()] = amount
}

// attentionByRecord asks one service for each record, all at once.
func (c *Console) attentionByRecord(ctx context.Context) []finding {
	groups := c.history.byRecord()
	found := make([]finding, len(groups))
	var all sync.WaitGroup
	for i, group := range groups {
		var sharing services
		for _, n := range group {
			sharing = append(sharing, c.services[n])
		}
		all.Go(func() { found[i] = sharing.attention(ctx) })
	}
	all.Wait()
	return found
}

// attention looks for the orders that require an operator on the record that the services share.
func (s services) attention(ctx context.Context) finding {
	found := finding{service: s[0].Name}
	req := &checkoutv1.ListOrdersRequest{
		States:   wire.OperatorStates(),
		PageSize: attentionSize,
	}
	for range attentionPages {
		resp, err := s.list(ctx, req)
		if err != nil {
			found.err = err
			return found
		}
		for _, o := range resp.GetOrders() {
			if o.GetRequiresOperator() {
				found.orders = append(found.orders, o)
			}
		}
		req.PageToken = resp.GetNextPageToken()
		found.more = req.GetPageToken() != ""
		if !found.more || len(found.orders) >= attentionSize {
			return found
		}
	}
	return found
}

func (c *Console) showAttention(w http.ResponseWriter, r *http.Request) {
	l, err := c.attentionList(r.Context())
	if err != nil {
		c.fail(w, r, failureOf(err))
		return
	}
	c.answer(w, r, http.StatusOK, "attention", l, web.Page{Title: "Attention", Nav: "/attention", Live: "/live/attention", Data: l})
}

// liveAttention keeps the orders that require an operator fresh.
func (c *Console) liveAttention(w http.ResponseWriter, r *http.Request) {
	c.keepFresh(w, r, "attention", func(ctx context.Context) (any, error) {
		return c.attention.Get(ctx, "", sharedFor, c.attentionList)
	}, "missing", "stake", "rows", "pager")
}
