package order

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnEMailAddressPrintsAsStars(t *testing.T) {
	t.Parallel()
	if got := EmailAddress("ada@example.com").String(); got != "***" {
		t.Errorf("it prints as %q", got)
	}
}

func TestAnOrderCountsItsPieces(t *testing.T) {
	t.Parallel()
	o := &Order{Items: []Item{{Line: Line{"telescope", 2}}, {Line: Line{"lens", 3}}}}
	if got := o.Quantity(); got != 5 {
		t.Errorf("%d pieces, want 5", got)
	}
}

func TestEveryStateHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, s := range States() {
		names[s.String()] = true
	}
	if len(names) != len(States()) || names[State(99).String()] {
		t.Errorf("the names are %v", names)
	}
}

// What an operator can do depends on what is on record: nothing may contradict it.
func TestTheDecisionsThatDoNotContradictTheRecord(t *testing.T) {
	t.Parallel()
	refunding := []HistoryEntry{{State: Refunding}, {State: Parked}}
	for name, test := range map[string]struct {
		order       Order
		basic, keys []ResolutionKind // with a payment service that cannot be asked, and with one that honours keys
	}{
		"in doubt": {
			Order{State: InDoubt},
			[]ResolutionKind{Paid, NotPaid, PaidBack},
			[]ResolutionKind{Paid, NotPaid, PaidBack, Retry},
		},
		"paid, and refused by shipping": {
			Order{State: Parked, TransactionID: "tx"},
			[]ResolutionKind{Paid, Shipped, PaidBack, Retry},
			[]ResolutionKind{Paid, Shipped, PaidBack, Retry, Cancel},
		},
		"perhaps shipped": {
			Order{State: Parked, TransactionID: "tx", ShipAttempts: 1},
			[]ResolutionKind{Shipped, PaidBack, Retry},
			[]ResolutionKind{Shipped, PaidBack, Retry, Refund},
		},
		"perhaps paid back": {
			Order{State: Parked, TransactionID: "tx", History: refunding},
			[]ResolutionKind{PaidBack},
			[]ResolutionKind{PaidBack, Retry},
		},
		"undelivered": {
			Order{State: Undelivered, TransactionID: "tx", Undeliverable: EmailSent},
			[]ResolutionKind{SkipDeliveries, Retry},
			[]ResolutionKind{SkipDeliveries, Retry, Refund},
		},
		"completed": {
			Order{State: Completed, TransactionID: "tx", TrackingID: "parcel"},
			nil,
			[]ResolutionKind{Refund},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.order.Total = usd("10.00")
			if diff := cmp.Diff(test.basic, test.order.Decisions(false)); diff != "" {
				t.Errorf("without keys (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.keys, test.order.Decisions(true)); diff != "" {
				t.Errorf("with keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARefusedResolutionNamesTheFieldAndWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		order Order
		r     Resolution
		field string
	}{
		{Order{State: InDoubt}, Resolution{Kind: Paid}, "transaction_id"},
		{Order{State: InDoubt}, Resolution{Kind: NotPaid, TransactionID: "tx"}, "transaction_id"},
		{Order{State: InDoubt}, Resolution{Kind: Shipped, TrackingID: "T-1"}, "resolution"},
		{Order{State: InDoubt}, Resolution{Kind: "other"}, "resolution"},
		{Order{State: Parked, TransactionID: "tx"}, Resolution{Kind: Paid, TransactionID: "another"}, "transaction_id"},
		{Order{State: Undelivered, Undeliverable: EmailSent}, Resolution{Kind: SkipDeliveries, Skip: EventPublished}, "skip"},
		{Order{State: InDoubt, Changed: time.UnixMilli(2)}, Resolution{Kind: NotPaid, Seen: time.UnixMilli(1)}, "seen"},
	} {
		_, err := test.order.resolved(test.r, false)
		violation, ok := errors.AsType[Violation](err)
		if !ok || !errors.Is(err, ErrRefused) || violation.Field != test.field || err.Error() != fmt.Sprintf("%v: %s", ErrRefused, violation.Problem) {
			t.Errorf("%s of an order that is %v: %v, want a refusal of %s", test.r.Kind, test.order.State, err, test.field)
		}
	}
}

func TestALongHistoryKeepsItsBeginningAndItsEnd(t *testing.T) {
	t.Parallel()
	o := &Order{}
	for i := range 2 * historyLength {
		o.append(HistoryEntry{Problem: fmt.Sprint(i)})
	}
	if len(o.History) != historyLength || o.History[0].Problem != "0" || o.History[len(o.History)-1].Problem != fmt.Sprint(2*historyLength-1) {
		t.Errorf("%d entries, from %v to %v", len(o.History), o.History[0], o.History[len(o.History)-1])
	}
}
