package demo

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
)

// Each promise of proto/checkout/v1/payment.proto is a test here.

// counter is where a test pays, over the wire.
type counter struct {
	t       *testing.T
	ctx     context.Context
	payment *Payment
	charges oteldemo.PaymentServiceClient
	ledger  checkoutv1.PaymentLedgerClient
}

// counterOf is the counter of a payment service. Both its services are at one address.
func counterOf(t *testing.T, payment *Payment) counter {
	t.Helper()
	conn := nettest.DialGRPC(t, payment.Address())
	return counter{t, soon(t), payment, oteldemo.NewPaymentServiceClient(conn), checkoutv1.NewPaymentLedgerClient(conn)}
}

// openCounter opens a payment service that honours keys.
func openCounter(t *testing.T) counter {
	t.Helper()
	payment := open(t, newPayment)
	payment.HonourKeys(true)
	return counterOf(t, payment)
}

func (c counter) tryCharge(key string, req *oteldemo.ChargeRequest) (string, error) {
	answer, err := c.charges.Charge(metadata.AppendToOutgoingContext(c.ctx, "idempotency-key", key), req)
	return answer.GetTransactionId(), err
}

// charge charges a good card and returns the transaction.
func (c counter) charge(key string) string {
	c.t.Helper()
	transaction, err := c.tryCharge(key, visa())
	if err != nil || transaction == "" {
		c.t.Fatalf("charging under %q: transaction %q, error %v", key, transaction, err)
	}
	return transaction
}

// reverse returns the transaction that was given back.
func (c counter) reverse(key string) string {
	c.t.Helper()
	answer, err := c.ledger.Reverse(c.ctx, &checkoutv1.ReverseRequest{IdempotencyKey: key})
	if err != nil {
		c.t.Fatalf("reversing %q: %v", key, err)
	}
	return answer.GetTransactionId()
}

func (c counter) wantLookup(key string, want *checkoutv1.LookupResponse) {
	c.t.Helper()
	got, err := c.ledger.Lookup(c.ctx, &checkoutv1.LookupRequest{IdempotencyKey: key})
	if err != nil {
		c.t.Fatalf("looking %q up: %v", key, err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		c.t.Errorf("looking %q up: %s", key, diff)
	}
}

// wantStanding fails the test unless so many charges were made and so many of them stand.
func (c counter) wantStanding(made, stand int) {
	c.t.Helper()
	var standing int
	charges := c.payment.Charges()
	for _, charge := range charges {
		if charge.Reversed.IsZero() {
			standing++
		}
	}
	if len(charges) != made || standing != stand {
		c.t.Errorf("%d charges of which %d stand, want %d and %d", len(charges), standing, made, stand)
	}
}

func none() *checkoutv1.LookupResponse {
	return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_NONE}
}

func charged(transaction string) *checkoutv1.LookupResponse {
	return &checkoutv1.LookupResponse{
		State: checkoutv1.LookupResponse_CHARGED, TransactionId: transaction, Amount: visa().GetAmount(),
	}
}

func reversed(transaction string) *checkoutv1.LookupResponse {
	return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_REVERSED, TransactionId: transaction}
}

func TestHoweverOftenItIsAskedOneKeyIsChargedOnce(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	transactions := make(map[string]bool)
	for _, key := range []string{"order-1", "order-1", "order-2", "", ""} {
		transactions[c.charge(key)] = true
	}
	if len(transactions) != 4 { // order-1, order-2, and two without a key
		t.Errorf("%d transactions, want 4", len(transactions))
	}
	c.wantStanding(4, 4)
}

func TestAllAtOnceOneKeyIsChargedOnce(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	answers := make(chan string, 20)
	var callers sync.WaitGroup
	for range cap(answers) {
		callers.Go(func() {
			transaction, err := c.tryCharge("order-1", visa())
			if err != nil {
				t.Error(err)
			}
			answers <- transaction
		})
	}
	callers.Wait()
	close(answers)
	c.wantStanding(1, 1)
	for transaction := range answers {
		if want := c.payment.Charges()[0].TransactionID; transaction != want {
			t.Errorf("transaction %q, want %q for all", transaction, want)
		}
	}
}

func TestTheFirstChargesAnswerIsGivenAgainWhateverIsAsked(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	transaction := c.charge("order-1")
	for name, req := range map[string]*oteldemo.ChargeRequest{
		"another amount": {Amount: usd(7, 0), CreditCard: visa().GetCreditCard()},
		"a bad card":     {Amount: visa().GetAmount(), CreditCard: card("4432-8015-6152-0455", 2039, 1)},
	} {
		if got, err := c.tryCharge("order-1", req); got != transaction || err != nil {
			t.Errorf("%s: transaction %q, error %v, want %q", name, got, err, transaction)
		}
	}
	c.wantLookup("order-1", charged(transaction))
}

func TestARefusedCardTakesNoKeyAway(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	if _, err := c.tryCharge("order-1", &oteldemo.ChargeRequest{CreditCard: card("4432-8015-6152-0455", 2039, 1)}); status.Code(err) != codes.Unknown {
		t.Errorf("error %v, want UNKNOWN", err)
	}
	c.wantLookup("order-1", none())
	c.wantLookup("order-1", charged(c.charge("order-1")))
}

func TestLookupSaysWhatHasBeenChargedUnderAKey(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	c.wantLookup("order-1", none())
	transaction := c.charge("order-1")
	c.wantLookup("order-1", charged(transaction))
	c.wantLookup("order-2", none())
	c.reverse("order-1")
	c.wantLookup("order-1", reversed(transaction))
	c.reverse("order-2") // never charged
	c.wantLookup("order-2", reversed(""))
}

// late asks for a charge that is in progress until the fault ends, and returns its outcome.
func (c counter) late(key string) <-chan error {
	c.t.Helper()
	c.payment.Inject(Fault{Kind: Late, Delay: time.Hour}, "Charge")
	outcome := make(chan error, 1)
	var caller sync.WaitGroup
	caller.Go(func() { _, err := c.tryCharge(key, visa()); outcome <- err })
	c.t.Cleanup(caller.Wait)
	if err := c.payment.changes.await(c.ctx, func() bool { return c.payment.Count("Charge") == 1 }); err != nil {
		c.t.Fatal(err)
	}
	return outcome
}

func TestNoneIsNotNever(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	outcome := c.late("order-1")
	c.wantLookup("order-1", none())
	c.payment.Inject(Fault{}, "Charge")
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	c.wantLookup("order-1", charged(c.payment.Charges()[0].TransactionID))
}

func TestReverseGivesBackWhatWasCharged(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	transaction, other := c.charge("order-1"), c.charge("order-2")
	if got := c.reverse("order-1"); got != transaction {
		t.Errorf("gave %q back, want %q", got, transaction)
	}
	c.wantStanding(2, 1)
	if entry := c.payment.Charges()[0]; entry.Reversed.Before(entry.At) {
		t.Errorf("charged at %v, reversed at %v", entry.At, entry.Reversed)
	}
	c.wantLookup("order-2", charged(other))
}

func TestReverseMayBeRepeated(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	transaction := c.charge("order-1")
	c.reverse("order-1")
	at := c.payment.Charges()[0].Reversed
	if got := c.reverse("order-1"); got != transaction {
		t.Errorf("the second time it gave %q back, want %q again", got, transaction)
	}
	if again := c.payment.Charges()[0].Reversed; !again.Equal(at) {
		t.Errorf("reversed at %v, and again at %v", at, again)
	}
	c.wantStanding(1, 0)
}

func TestRefundsAddUpToTheChargeAtMost(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	c.charge("order-1")
	whole := c.payment.Charges()[0].Amount
	refund := func(key string, total *oteldemo.Money) codes.Code {
		_, err := c.ledger.Refund(c.ctx, &checkoutv1.RefundRequest{IdempotencyKey: key, Amount: total})
		return status.Code(err)
	}
	part := &oteldemo.Money{CurrencyCode: whole.GetCurrencyCode(), Nanos: 500_000_000}
	for range 2 { // it may be repeated
		if code := refund("order-1", part); code != codes.OK || !proto.Equal(c.payment.Charges()[0].Refunded, part) {
			t.Errorf("%v, refunded %v; want %v", code, c.payment.Charges()[0].Refunded, part)
		}
	}
	more := proto.CloneOf(whole)
	more.Units++
	other := proto.CloneOf(part)
	other.CurrencyCode = "XXX"
	for name, test := range map[string]struct {
		key   string
		total *oteldemo.Money
		want  codes.Code
	}{
		"more than was charged": {"order-1", more, codes.OutOfRange},
		"in another currency":   {"order-1", other, codes.OutOfRange},
		"nothing":               {"order-1", &oteldemo.Money{CurrencyCode: "USD"}, codes.InvalidArgument},
		"never charged":         {"order-2", part, codes.FailedPrecondition},
		"no key":                {"", part, codes.InvalidArgument},
	} {
		if code := refund(test.key, test.total); code != test.want {
			t.Errorf("%s: %v, want %v", name, code, test.want)
		}
	}
	if code := refund("order-1", whole); code != codes.OK || !proto.Equal(c.payment.Charges()[0].Refunded, whole) {
		t.Errorf("%v, refunded %v; want all of it", code, c.payment.Charges()[0].Refunded)
	}
	c.reverse("order-1")
	if code := refund("order-1", part); code != codes.FailedPrecondition {
		t.Errorf("%v after it was reversed, want FailedPrecondition", code)
	}
}

func TestAChargeThatArrivesAfterItsReversalIsRefused(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(counter){
		"charged":       func(c counter) { c.charge("order-1") },
		"never charged": func(counter) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCounter(t)
			before(c)
			made := len(c.payment.Charges())
			c.reverse("order-1")
			for range 2 {
				if _, err := c.tryCharge("order-1", visa()); status.Code(err) != codes.FailedPrecondition {
					t.Errorf("error %v, want FAILED_PRECONDITION", err)
				}
			}
			c.wantStanding(made, 0)
		})
	}
}

func TestAChargeUnderWayIsRefusedWhenAReversalHasOvertakenIt(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	outcome := c.late("order-1")
	if got := c.reverse("order-1"); got != "" {
		t.Errorf("gave %q back, want nothing: nothing was charged", got)
	}
	c.payment.Inject(Fault{}, "Charge")
	if err := <-outcome; status.Code(err) != codes.FailedPrecondition {
		t.Errorf("error %v, want FAILED_PRECONDITION", err)
	}
	c.wantStanding(0, 0)
}

func TestHoweverChargesAndReversalsMeetTheNetIsZero(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if _, err := c.tryCharge("order-1", visa()); err != nil && status.Code(err) != codes.FailedPrecondition {
				t.Error(err)
			}
		})
		callers.Go(func() {
			if _, err := c.ledger.Reverse(c.ctx, &checkoutv1.ReverseRequest{IdempotencyKey: "order-1"}); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	c.wantStanding(len(c.payment.Charges()), 0)
	if n := len(c.payment.Charges()); n > 1 {
		t.Errorf("charged %d times, want once at most", n)
	}
}

func TestTheLedgerIsNotAskedAboutAllThatCameWithoutAKey(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	c.charge("")
	_, looked := c.ledger.Lookup(c.ctx, &checkoutv1.LookupRequest{})
	_, gave := c.ledger.Reverse(c.ctx, &checkoutv1.ReverseRequest{})
	if status.Code(looked) != codes.InvalidArgument || status.Code(gave) != codes.InvalidArgument {
		t.Errorf("errors %v and %v, want INVALID_ARGUMENT", looked, gave)
	}
	c.wantStanding(1, 1)
}

func TestWithoutHonouringKeysThereIsNoFenceButEverythingCanBeGivenBack(t *testing.T) {
	t.Parallel()
	c := counterOf(t, open(t, newPayment))
	first, _ := c.charge("order-1"), c.charge("order-1")
	if got := c.reverse("order-1"); got != first {
		t.Errorf("gave %q back, want %q", got, first)
	}
	c.wantStanding(2, 0)
	c.wantLookup("order-1", reversed(first))
	c.wantLookup("order-1", charged(c.charge("order-1")))
	c.wantStanding(3, 1)
}

func TestTheLedgerHasTheFaultsOfEveryServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault Fault
		code  codes.Code
		done  bool // whether the charge is given back
	}{
		"refuses":          {Fault{Kind: Refuse, Code: codes.Internal}, codes.Internal, false},
		"hangs":            {Fault{Kind: Hang}, codes.Canceled, false},
		"loses its answer": {Fault{Kind: LoseAnswer}, codes.Unavailable, true},
		"hangs after":      {Fault{Kind: HangAfter}, codes.Canceled, true},
		"too slow":         {Fault{Latency: time.Hour}, codes.Canceled, false},
		"late":             {Fault{Kind: Late}, codes.OK, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCounter(t)
			c.charge("order-1")
			c.payment.Inject(test.fault, "Lookup", "Reverse")
			givenBack := func() bool { return !c.payment.Charges()[0].Reversed.IsZero() }
			patience := func(method string, done func() bool) context.Context {
				if test.code != codes.Canceled {
					return c.ctx
				}
				return until(t, c.payment.Server, func() bool { return c.payment.Count(method) == 1 && done() })
			}
			_, looked := c.ledger.Lookup(patience("Lookup", func() bool { return true }), &checkoutv1.LookupRequest{IdempotencyKey: "order-1"})
			_, gave := c.ledger.Reverse(patience("Reverse", func() bool { return givenBack() || !test.done }), &checkoutv1.ReverseRequest{IdempotencyKey: "order-1"})
			if status.Code(looked) != test.code || status.Code(gave) != test.code {
				t.Errorf("errors %v and %v, want %v", looked, gave, test.code)
			}
			if done := givenBack(); done != test.done {
				t.Errorf("given back: %t, want %t", done, test.done)
			}
		})
	}
}

func TestALedgerThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	c := openCounter(t)
	c.payment.TakeOffline()
	if _, err := c.ledger.Lookup(c.ctx, &checkoutv1.LookupRequest{IdempotencyKey: "order-1"}); status.Code(err) != codes.Unavailable {
		t.Errorf("error %v, want UNAVAILABLE", err)
	}
}
