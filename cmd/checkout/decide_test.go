package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"checkout/internal/cli"
	"checkout/internal/demo"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/rpc"
	"checkout/internal/store"
	"checkout/internal/test/nettest"
	"checkout/internal/wire"
)

func TestAnOperatorDecides(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	who := []string{"-by", "grace", "-why", "asked the bank"}
	paid := func(o *order.Order) { o.TransactionID = "tx 1" }
	neither := func(o *order.Order) {
		o.TransactionID, o.TrackingID, o.Undeliverable = "tx 1", "parcel 1", order.EmailSent|order.EventPublished
	}
	for n, test := range []struct {
		from   order.State
		change func(*order.Order)
		args   []string
		status int
		says   string
		to     order.State
	}{
		{order.InDoubt, nil, []string{"resolve", "-paid", "-transaction", "tx of nobody else"}, 0, "is charged", order.Charged},
		{order.InDoubt, nil, []string{"resolve", "-paid"}, 1, "the transaction is missing", order.InDoubt},
		{order.InDoubt, nil, []string{"resolve", "-not-paid"}, 0, "is cancelled", order.Cancelled},
		{order.InDoubt, nil, []string{"retry"}, 1, "the payment service cannot be asked whether it was paid", order.InDoubt},
		{order.Parked, paid, []string{"resolve", "-refunded"}, 0, "is refunded", order.Refunded},
		{order.Parked, paid, []string{"resolve", "-not-paid"}, 1, "DECISION_REFUSED", order.Parked},
		{order.Parked, paid, []string{"retry"}, 0, "is charged", order.Charged},
		{order.Parked, paid, []string{"retry", "-json"}, 0, `"CHARGED"`, order.Charged},
		{order.Parked, paid, []string{"resolve", "-shipped", "-tracking", "parcel 1"}, 0, "is placed", order.Placed},
		{order.Parked, nil, []string{"resolve", "-shipped", "-tracking", "parcel 1"}, 1, "it is not known whether it was paid", order.Parked},
		{order.Parked, paid, []string{"resolve", "-skip", "email"}, 1, "it is parked", order.Parked},
		{order.Undelivered, neither, []string{"retry"}, 0, "is placed", order.Placed},
		{order.Undelivered, neither, []string{"resolve", "-skip", "email"}, 0, "is undelivered", order.Undelivered},
		{order.Undelivered, neither, []string{"resolve", "-skip", "email, event"}, 0, "is completed", order.Completed},
		{order.Undelivered, neither, []string{"resolve", "-refunded"}, 1, "it is undelivered", order.Undelivered},
		{order.Completed, paid, []string{"resolve", "-refunded"}, 1, "it is completed", order.Completed},
		{order.Parked, paid, []string{"resolve", "-shipped", "-tracking", "4432-8015-6152-0454"}, 1, "looks like a card number", order.Parked},
	} {
		t.Run(fmt.Sprint(test.from, test.args), func(t *testing.T) {
			t.Parallel()
			if test.change == nil {
				test.change = func(*order.Order) {}
			}
			off.put(t, n, test.from, test.change)
			args := slices.Concat([]string{"order"}, test.args[:1], []string{id(n)}, test.args[1:], who)
			status, stdout, stderr := call(t, off.environ, "yes\n", args...)
			if status != test.status || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit status %d, stdout %q, stderr %q; want %d and %q", status, stdout, stderr, test.status, test.says)
			}
			if got := off.state(t, n); got != test.to {
				t.Errorf("the order is %v, want %v", got, test.to)
			}
		})
	}
}

func TestADecisionIsShownBeforeItIsConfirmed(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "\n", "no\n", "y\n", "yes"} {
		off := openOffice(t, nil)
		off.put(t, 1, order.InDoubt)
		status, stdout, stderr := call(t, off.environ, answer, "order", "resolve", id(1), "-not-paid", "-by", "grace", "-why", "asked the bank")
		for _, want := range []string{id(1), "in_doubt -> cancelled", "requested once, at ", "no transaction is on record", "A charge that arrives later is not noticed"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("the question lacks %q:\n%s", want, stderr)
			}
		}
		is, made := off.state(t, 1), answer == "yes"
		if made != (is == order.Cancelled) || made != (status == 0) || made != (stdout != "") {
			t.Errorf("the answer %q: exit status %d, %q, and the order is %v", answer, status, stdout, is)
		}
	}
}

func TestWhatOperatorsDidIsListed(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.InDoubt)
	call(t, off.environ, "", "order", "resolve", id(1), "-not-paid", "-yes", "-by", "grace", "-why", "the bank says no")
	call(t, off.environ, "", "order", "retry", id(1), "-yes", "-by", "ada")
	status, stdout, stderr := call(t, off.environ, "", "audit", "list", "-order", id(1), "-newer", "1d")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != 0 || len(lines) != 2 || !strings.Contains(lines[0], "retry refused") ||
		!strings.Contains(lines[1], "not_paid done  "+id(1)+"  in_doubt -> cancelled  by grace (name as given): the bank says no") {
		t.Errorf("exit status %d, %q, %q; want what grace did, and that ada was refused", status, stdout, stderr)
	}
	if _, stdout, stderr = call(t, off.environ, "", "audit", "list", "-o", "json", "-limit", "1"); strings.Count(stdout, "\n") != 1 || !strings.Contains(stderr, "more than 1") {
		t.Errorf("%q, %q; want one entry, and that there are more", stdout, stderr)
	}
}

func TestTheHistoryNamesWhoDecided(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.InDoubt)
	call(t, off.environ, "", "order", "resolve", id(1), "-not-paid", "-yes", "-by", "grace", "-why", "the bank says no")
	if _, stdout, _ := call(t, off.environ, "", "order", "show", id(1)); !strings.Contains(stdout, "cancelled    by grace: the bank says no") {
		t.Errorf("the order is shown as %q, want that grace has cancelled it", stdout)
	}
}

func TestCommandsAboutOrdersAreCheckedBeforeAnybodyIsAsked(t *testing.T) {
	t.Parallel()
	decide := []string{"-paid", "-by", "grace", "-why", "so", "-admin-addr", "localhost:1"}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"list", "now"}, `argument "now"`},
		{[]string{"list", "-state", "paid"}, `--state="paid": must be one of charging, charged`},
		{[]string{"list", "-limit", "0"}, "--limit=0: must be positive"},
		{[]string{"list", "-older", "-1h"}, "must not be negative"},
		{[]string{"list", "-older", "2h", "-newer", "1h"}, "no order can be both"},
		{[]string{"list", "-ca", "ca.pem"}, "add --tls"},
		{[]string{"list", "-tls", "-ca", "/no/such/file"}, "/no/such/file"},
		{[]string{"show"}, "either an order ID, or --user and --key"},
		{[]string{"show", "-user", "ada"}, "either an order ID, or --user and --key"},
		{[]string{"show", id(1), "-user", "ada", "-key", "k"}, "either an order ID, or --user and --key"},
		{[]string{"show", id(1), id(2)}, "unexpected argument"},
		{[]string{"watch", id(1), "-state", "parked"}, "--state cannot be used with an order ID"},
		{[]string{"retry", "-by", "grace", "-admin-addr", "localhost:1"}, "missing argument ID"},
		{[]string{"retry", id(1), "-admin-addr", "localhost:1"}, "missing --by NAME"},
		{append([]string{"resolve", id(1), "-not-paid"}, decide...), "use one of --paid, --not-paid, --refunded, --shipped and --skip"},
		{[]string{"resolve", id(1), "-by", "grace", "-why", "so"}, "use one of --paid, --not-paid, --refunded, --shipped and --skip"},
		{[]string{"resolve", id(1), "-refunded", "-transaction", "tx", "-by", "grace", "-why", "so"}, "--transaction requires --paid"},
		{[]string{"resolve", id(1), "-paid", "-tracking", "t", "-by", "grace", "-why", "so"}, "--tracking requires --shipped"},
		{[]string{"resolve", id(1), "-shipped", "-by", "grace", "-why", "so"}, "--shipped requires --tracking"},
		{[]string{"resolve", id(1), "-skip", "email,cart", "-by", "grace", "-why", "so"}, `"cart" must be email or event`},
		{[]string{"resolve", id(1), "-paid", "-by", "grace"}, "missing --why REASON"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := call(t, nil, "", append([]string{"order"}, test.args...)...)
			if status != 2 || stdout != "" || !strings.Contains(stderr, test.says) {
				t.Errorf("exit status %d, stdout %q, stderr %q; want 2 and %q", status, stdout, stderr, test.says)
			}
		})
	}
}

func TestAnOrderInDoubtIsFoundAndResolvedFromTheTerminal(t *testing.T) {
	shop, environ := shopping(t, map[string]string{"CHECKOUT_ADMIN_ADDR": nettest.Reserve(t)})
	shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer})
	status, _, stderr := call(t, environ, card, "order", "place", "-item", "STICKER020", "-user", "ada", "-email", "ada@example.com", "-street", "1 Main", "-zip", "N1")
	if status != statusUnknown || !strings.Contains(stderr, "PAYMENT_UNKNOWN") {
		t.Fatalf("exit status %d, stderr %q; want an order in doubt", status, stderr)
	}
	_, stdout, _ := call(t, environ, "", "order", "list", "-attention")
	if got := column(stdout, 0); len(got) != 1 || got[0] != "in_doubt" {
		t.Fatalf("what needs a person is %q, want one order in doubt", stdout)
	}
	doubtful := column(stdout, 4)[0]
	status, _, stderr = call(t, environ, "", "order", "resolve", doubtful, "-yes", "-paid", "-transaction", shop.Payment.Charges()[0].TransactionID, "-by", "grace", "-why", "in the books")
	if status != 0 {
		t.Fatalf("exit status %d, stderr %q; want it resolved", status, stderr)
	}
	if status, stdout, stderr = call(t, environ, "", "order", "watch", doubtful); status != 0 || !strings.Contains(stdout, "by grace: in the books") || !strings.Contains(stdout, "completed") {
		t.Errorf("exit status %d, stdout %q, stderr %q; want the order to its good end", status, stdout, stderr)
	}
	if _, stdout, stderr = call(t, environ, "", "order", "list", "-attention"); stdout != "" {
		t.Errorf("what needs a person is then %q, %q; want nothing", stdout, stderr)
	}
}

func TestAnOrderIsRefundedFromTheTerminalInPartAndThenTheRest(t *testing.T) {
	shop, environ := shopping(t, map[string]string{"CHECKOUT_ADMIN_ADDR": nettest.Reserve(t), "PAYMENT_MODE": "keyed"})
	shop.Payment.HonourKeys(true)
	status, stdout, stderr := call(t, environ, card, "order", "place", "-o", "json", "-item", "STICKER020", "-user", "ada", "-email", "ada@example.com", "-street", "1 Main", "-zip", "N1")
	var placed struct{ Order struct{ OrderID string } }
	if err := json.Unmarshal([]byte(stdout), &placed); status != 0 || err != nil || placed.Order.OrderID == "" {
		t.Fatalf("exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	id := placed.Order.OrderID
	settled := func(state string) {
		t.Helper()
		if status, stdout, stderr := call(t, environ, "", "order", "watch", id); status != 0 || !strings.Contains(stdout, state) {
			t.Fatalf("exit status %d, stdout %q, stderr %q; want it to become %s", status, stdout, stderr, state)
		}
	}
	settled("completed")
	charge := shop.Payment.Charges()[0]
	total := wire.Price(charge.Amount)
	refund := func(amount string) (int, string) {
		status, stdout, stderr := call(t, environ, "", "order", "refund", id, "-amount", amount, "-by", "grace", "-why", "broken", "-yes")
		return status, stdout + stderr
	}
	if status, said := refund("USD 0.10"); status != 0 || !strings.Contains(said, "is refunding") {
		t.Fatalf("exit status %d, %s; want a part refunded", status, said)
	}
	settled("refunded USD 0.10 of " + total)
	if got := wire.Price(shop.Payment.Charges()[0].Refunded); got != "USD 0.10" {
		t.Errorf("the payment service has refunded %s, want USD 0.10", got)
	}
	another := sync.OnceFunc(func() {
		if status, said := refund("USD 0.10"); status != 0 {
			t.Errorf("exit status %d, %s; want the other operator's refund", status, said)
		}
		settled("refunded USD 0.20 of " + total)
	})
	status, stdout, stderr = callWith(t, environ, answerer{strings.NewReader("yes\n"), another}, "order", "refund", id, "-amount", "USD 0.10", "-by", "ada", "-why", "broken")
	if refunded := wire.Price(shop.Payment.Charges()[0].Refunded); status != 1 || !strings.Contains(stderr, "it has changed since you looked at it") || refunded != "USD 0.20" {
		t.Errorf("exit status %d, %s%s, and %s refunded; want that a refund is refused whose order another operator refunded meanwhile", status, stdout, stderr, refunded)
	}
	if status, said := refund(total); status != 1 || !strings.Contains(said, "left of the charge") {
		t.Errorf("exit status %d, %s; want no more refunded than is left", status, said)
	}
	if _, stdout, _ := call(t, environ, "", "order", "show", id); !strings.Contains(stdout, "refunded     USD 0.20") {
		t.Errorf("what was refunded is not shown: %s", stdout)
	}
	left, err := wire.Amount(charge.Amount)
	if err != nil {
		t.Fatal(err)
	}
	part, _ := money.New("USD", 0, -200_000_000)
	if left, err = left.Add(part); err != nil {
		t.Fatal(err)
	}
	if status, said := refund(left.String()); status != 0 {
		t.Fatalf("exit status %d, %s; want the rest refunded", status, said)
	}
	settled("refunded")
	if shop.Payment.Charges()[0].Reversed.IsZero() {
		t.Error("the charge was not reversed")
	}
	if _, stdout, _ := call(t, environ, "", "audit", "list", "-order", id); strings.Count(stdout, "refund done") != 3 || strings.Count(stdout, "refund refused") != 2 || !strings.Contains(stdout, "broken: USD 0.10") {
		t.Errorf("the audit log is %s", stdout)
	}
}

// answerer is standard input: it does something before the answer.
type answerer struct {
	io.Reader
	before func()
}

func (a answerer) Read(b []byte) (int, error) {
	a.before()
	return a.Reader.Read(b)
}

func TestAnOrderThatChangesWhileTheConfirmationWaitsIsNotDecidedAbout(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	o := off.put(t, 1, order.Undelivered, func(o *order.Order) {
		o.TransactionID, o.TrackingID, o.Undeliverable = "tx 1", "parcel 1", order.EmailSent
		o.Changed = time.Now()
	})
	seen := o.Changed
	another := func() { // looks the same, and is not
		o.Changed = seen.Add(time.Second)
		if err := off.Save(t.Context(), o, order.Undelivered, order.UntilResolved); err != nil {
			t.Error(err)
		}
	}
	status, stdout, stderr := callWith(t, off.environ, answerer{strings.NewReader("yes\n"), sync.OnceFunc(another)}, "order", "retry", id(1), "-by", "grace")
	if status != 1 || !strings.Contains(stderr, "it has changed since you looked at it") || off.state(t, 1) != order.Undelivered {
		t.Errorf("exit status %d, %s%s, and the order is %v; want that it is refused", status, stdout, stderr, off.state(t, 1))
	}
}

// interrupted loses its answers: the connection breaks when a decision is recorded.
type interrupted struct {
	rpc.Resolver
	stop func()
}

func (i interrupted) Resolve(ctx context.Context, id order.ID, r order.Resolution) (*order.Order, error) {
	o, err := i.Resolver.Resolve(ctx, id, r)
	go i.stop() // it waits for this call
	<-ctx.Done()
	return o, err
}

// full is a disk that takes no more writes.
type full struct{ *store.SQLite }

func (full) Take(context.Context, order.ID) (*order.Order, error) {
	return nil, errors.New("database or disk is full")
}

func TestADecisionThatCertainlyWasNotRecordedIsAPlainFailure(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	placer := order.NewPlacer(order.Dependencies{Store: full{off.SQLite}})
	t.Cleanup(func() { placer.Close(context.Background()) })
	l := listen(t, "localhost:0")
	run(t, rpc.NewAdminServer(placer, health.NewServer(), rpc.Options{Orders: off, Audit: off, Log: slog.New(slog.DiscardHandler)}), l)
	off.environ["CHECKOUT_ADMIN_ADDR"] = l.Addr().String()
	off.put(t, 1, order.InDoubt)
	status, stdout, stderr := call(t, off.environ, "", "order", "resolve", id(1), "-not-paid", "-yes", "-by", "grace", "-why", "asked the bank")
	if status != cli.Failed || stdout != "" || !strings.Contains(stderr, "nothing was recorded") || strings.Contains(stderr, "unknown") {
		t.Errorf("exit status %d, stdout %q, stderr %q; want a failure that is certain", status, stdout, stderr)
	}
}

func TestADecisionWhoseAnswerIsLostMayHaveBeenRecorded(t *testing.T) {
	t.Parallel()
	for n, args := range [][]string{{"resolve", "-not-paid"}, {"resolve", "-not-paid", "-json"}, {"resolve", "-refunded"}} {
		off := openOffice(t, nil)
		placer := order.NewPlacer(order.Dependencies{Store: off})
		t.Cleanup(func() { placer.Close(context.Background()) })
		var server *grpc.Server
		stopped := make(chan struct{})
		lost := interrupted{placer, func() { server.Stop(); close(stopped) }}
		server = rpc.NewAdminServer(lost, health.NewServer(), rpc.Options{Orders: off, Audit: off, Log: slog.New(slog.DiscardHandler)})
		l := listen(t, "localhost:0")
		run(t, server, l)
		off.environ["CHECKOUT_ADMIN_ADDR"] = l.Addr().String()
		off.put(t, n, order.InDoubt)
		decide := slices.Concat([]string{"order"}, args[:1], []string{id(n)}, args[1:], []string{"-yes", "-by", "grace", "-why", "asked the bank"})
		status, stdout, stderr := call(t, off.environ, "", decide...)
		if status != statusUnknown || !strings.Contains(stderr, "it is unknown whether the decision was recorded: see 'checkout order show "+id(n)+"' before you repeat it") || strings.Contains(stderr, "running?") {
			t.Errorf("%v: exit status %d, stdout %q, stderr %q; want that nobody knows", args, status, stdout, stderr)
		}
		<-stopped
		if got := off.state(t, n); got == order.InDoubt {
			t.Errorf("%v: the order is %v, want the decision recorded", args, got)
		}
		if status, stdout, stderr = call(t, off.environ, "", decide...); status != cli.Failed || strings.Contains(stderr, "unknown") {
			t.Errorf("%v, when nobody listens: exit status %d, stdout %q, stderr %q; want a plain failure", args, status, stdout, stderr)
		}
	}
}
