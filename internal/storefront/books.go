package storefront

import (
	"cmp"
	"context"
	"maps"
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
	Keyed                 bool
	Total                 demo.Tally
	Booked                int
	Balanced, Open, Wrong int // orders
	Rows                  []booksRow
}

type booksRow struct {
	OrderID string
	demo.Tally
	Verdict, Tone string
}

func (s *Storefront) lookAtBooks(ctx context.Context, _ *http.Request) (any, error) {
	booked, err := s.Shop.Accounting.Booked(ctx)
	if err != nil {
		return nil, err
	}
	books := s.Shop.Books()
	page := booksPage{Keyed: s.Keyed, Total: books.Total(), Booked: booked}
	for _, t := range books.Orders {
		switch _, tone := judge(t); tone {
		case "good":
			page.Balanced++
		case "warn":
			page.Open++
		default:
			page.Wrong++
		}
	}
	// What is wrong comes first, then what is open, then the newest: ids begin with the time.
	rank := map[string]int{"bad": 0, "warn": 1, "good": 2}
	ids := slices.SortedFunc(maps.Keys(books.Orders), func(a, b string) int {
		_, toneA := judge(books.Orders[a])
		_, toneB := judge(books.Orders[b])
		return cmp.Or(cmp.Compare(rank[toneA], rank[toneB]), strings.Compare(b, a))
	})
	for _, id := range ids[:min(len(ids), listed)] {
		words, tone := judge(books.Orders[id])
		page.Rows = append(page.Rows, booksRow{id, books.Orders[id], words, tone})
	}
	return page, nil
}

// judge tells whether an order's entries are as they should be (good), may become so (warn), or never can (bad).
func judge(t demo.Tally) (words, tone string) {
	switch {
	case t.Net() > 1:
		return "charged more than once", "bad"
	case t.Net() < 1 && t.Parcels > 0:
		return "shipped, and not paid", "bad"
	case t.Parcels > 1:
		return "shipped more than once", "bad"
	case t.Net() == 0:
		return "given back", "good"
	case t.Parcels == 0:
		return "paid, not shipped yet", "warn"
	case t.Letters == 0 || t.Events == 0:
		return "shipped, not told everybody yet", "warn"
	case t.Letters > 1 || t.Events > 1:
		return "balanced, and told more than once", "good"
	}
	return "balanced", "good"
}
