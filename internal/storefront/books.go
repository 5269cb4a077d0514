package storefront

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"checkout/internal/demo"
)

// event is a record of the topic, read.
type event struct {
	demo.Event

	JSON string // its value; empty when it is no order
}

func (s *Storefront) lookAtTopic(context.Context, *http.Request) (any, error) {
	var events []event
	for _, e := range newest(s.Shop.Accounting.Events()) {
		one := event{Event: e}
		if e.Order != nil {
			one.JSON = protojson.MarshalOptions{Multiline: true, Indent: "  "}.Format(e.Order)
		}
		events = append(events, one)
	}
	return events, nil
}

// booksPage is the neighbours' ledgers side by side.
type booksPage struct {
	KeyedShipping bool

	Total  demo.Tally
	Booked int

	Balanced, GivenBack, Open, Wrong int // orders

	Rows []booksRow
}

type booksRow struct {
	OrderID string
	demo.Tally
	verdict
}

// verdict is what the ledgers say of an order.
type verdict struct{ Words, Tone string }

func (s *Storefront) lookAtBooks(ctx context.Context, _ *http.Request) (any, error) {
	booked, err := s.Shop.Accounting.Booked(ctx)
	if err != nil {
		return nil, err
	}
	books := s.Shop.Books()
	page := booksPage{KeyedShipping: s.KeyedShipping, Total: books.Total(), Booked: booked}
	for id, t := range books.Orders {
		row := booksRow{id, t, judge(t)}
		page.count(row.verdict)
		page.Rows = append(page.Rows, row)
	}
	// What is wrong comes first, then what is open, then the newest: ids begin with the time.
	rank := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortFunc(page.Rows, func(a, b booksRow) int {
		return cmp.Or(cmp.Compare(rank[a.Tone], rank[b.Tone]), strings.Compare(b.OrderID, a.OrderID))
	})
	page.Rows = page.Rows[:min(len(page.Rows), listed)]
	return page, nil
}

func (p *booksPage) count(v verdict) {
	switch {
	case v == givenBack():
		p.GivenBack++
	case v.Tone == "good":
		p.Balanced++
	case v.Tone == "warn":
		p.Open++
	default:
		p.Wrong++
	}
}

func givenBack() verdict { return verdict{"given back", "good"} }

// judge tells whether an order's entries are as they should be (good), may become so (warn), or never can (bad).
func judge(t demo.Tally) verdict {
	told := t.Letters+t.Events > 0
	switch {
	case t.Net() > 1:
		return verdict{"charged more than once", "bad"}
	case t.Net() < 1 && t.Parcels > 0:
		return verdict{"shipped, and not paid", "bad"}
	case t.Parcels > 1:
		return verdict{"shipped more than once", "bad"}
	case t.Charges == 0 && told:
		return verdict{"told of, and never charged", "bad"}
	case t.Net() < 1 && told:
		return verdict{"told of, and given back", "bad"}
	case t.Net() < 1:
		return givenBack()
	case t.Parcels == 0:
		return verdict{"paid, not shipped yet", "warn"}
	case t.Letters == 0 || t.Events == 0:
		return verdict{"shipped, not told everybody yet", "warn"}
	case t.Letters > 1 || t.Events > 1:
		return verdict{"balanced, and told more than once", "good"}
	}
	return verdict{"balanced", "good"}
}
