package demo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
	"checkout/internal/wait"
)

func TestGRPCCallsMeetTheirFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault Fault
		code  codes.Code
		text  string // if it matters
		done  bool   // whether the charge is in the ledger
	}{
		"none":             {fault: Fault{}, code: codes.OK, done: true},
		"refuses":          {fault: Fault{Kind: Refuse}, code: codes.Unavailable},
		"refuses its way":  {fault: Fault{Kind: Refuse, Code: codes.Internal, Text: "boom"}, code: codes.Internal, text: "boom"},
		"hangs":            {fault: Fault{Kind: Hang}, code: codes.Canceled},
		"loses its answer": {fault: Fault{Kind: LoseAnswer}, code: codes.Unavailable, done: true},
		"hangs after":      {fault: Fault{Kind: HangAfter}, code: codes.Canceled, done: true},
		"is late":          {fault: Fault{Kind: Late, Delay: time.Millisecond}, code: codes.OK, done: true},
		"is too late":      {fault: Fault{Kind: Late, Delay: time.Hour}, code: codes.Canceled},
		"too slow":         {fault: Fault{Latency: time.Hour}, code: codes.Canceled},
		"never by chance":  {fault: Fault{Kind: Refuse, Chance: 1e-300}, code: codes.OK, done: true},
		"always by chance": {fault: Fault{Kind: Refuse, Chance: 1}, code: codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payment := open(t, newPayment)
			payment.Inject(test.fault, "Charge")
			ctx := soon(t)
			if test.code == codes.Canceled {
				ctx = until(t, payment.Server, func() bool { return payment.Count("") == 1 && (len(payment.Charges()) == 1 || !test.done) })
			}

			_, err := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address())).Charge(ctx, visa())

			if status.Code(err) != test.code || test.text != "" && status.Convert(err).Message() != test.text {
				t.Errorf("error %v, want %v %q", err, test.code, test.text)
			}
			if done := len(payment.Charges()) == 1; done != test.done {
				t.Errorf("charged: %t, want %t", done, test.done)
			}
		})
	}
}

func TestHTTPCallsMeetTheirFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  Fault
		status int // 0: no answer
		done   bool
	}{
		"none":             {fault: Fault{}, status: 200, done: true},
		"refuses":          {fault: Fault{Kind: Refuse}, status: 503},
		"refuses its way":  {fault: Fault{Kind: Refuse, Status: 418}, status: 418},
		"hangs":            {fault: Fault{Kind: Hang}},
		"loses its answer": {fault: Fault{Kind: LoseAnswer}, done: true},
		"hangs after":      {fault: Fault{Kind: HangAfter}, done: true},
		"is late":          {fault: Fault{Kind: Late, Delay: time.Millisecond}, status: 200, done: true},
		"is too late":      {fault: Fault{Kind: Late, Delay: time.Hour}},
		"too slow":         {fault: Fault{Latency: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shipping := open(t, newShipping)
			shipping.Inject(test.fault, "ship-order")
			ctx := soon(t)
			if test.status == 0 && test.fault.Kind != LoseAnswer {
				ctx = until(t, shipping.Server, func() bool { return shipping.Count("") == 1 && (len(shipping.Parcels()) == 1 || !test.done) })
			}

			code, _, err := post(ctx, shipping.Address(), "/ship-order", parcelBody)

			if code != test.status || (err != nil) != (test.status == 0) {
				t.Errorf("status %d, error %v, want status %d", code, err, test.status)
			}
			if done := len(shipping.Parcels()) == 1; done != test.done {
				t.Errorf("shipped: %t, want %t", done, test.done)
			}
		})
	}
}

// until is the context of a caller who gives up some time after a server is as done says: an answer would have come by then.
func until(t *testing.T, n *Server, done func() bool) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer cancel()
		if err := n.changes.await(ctx, done); err != nil {
			t.Error(err)
		}
		wait.For(ctx, 300*time.Millisecond)
	})
	t.Cleanup(waiting.Wait)
	return ctx
}

// giveUp asks for something, gives up as soon as it has arrived, and returns once the caller is gone.
func giveUp(t *testing.T, n *Server, ask func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	var caller sync.WaitGroup
	caller.Go(func() {
		if ask(ctx) == nil {
			t.Error("there is an answer before it is done")
		}
	})
	if err := n.changes.await(ctx, func() bool { return n.Count("") == 1 }); err != nil {
		t.Error(err)
	}
	cancel()
	caller.Wait()
}

func TestALateCallIsDoneAfterItsCallerHasGivenUp(t *testing.T) {
	t.Parallel()
	const delay = time.Second
	for name, end := range map[string]func(*Server){
		"when its time has come":  func(*Server) {},
		"when the fault is ended": func(n *Server) { n.Inject(Fault{}) },
	} {
		fault := Fault{Kind: Late, Delay: delay}
		if strings.Contains(name, "ended") {
			fault.Delay = time.Hour
		}
		t.Run("gRPC, "+name, func(t *testing.T) {
			t.Parallel()
			payment := open(t, newPayment)
			payment.Inject(fault)
			client := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address()))
			start := time.Now()
			giveUp(t, payment.Server, func(ctx context.Context) error {
				_, err := client.Charge(ctx, visa())
				return err
			})
			end(payment.Server)
			if err := payment.changes.await(soon(t), func() bool { return len(payment.Charges()) == 1 }); err != nil {
				t.Fatal(err)
			}
			if waited := payment.Charges()[0].At.Sub(start); fault.Delay == delay && waited < delay {
				t.Errorf("charged after %v, want %v at least", waited, delay)
			}
		})
		t.Run("HTTP, "+name, func(t *testing.T) {
			t.Parallel()
			shipping := open(t, newShipping)
			shipping.Inject(fault)
			giveUp(t, shipping.Server, func(ctx context.Context) error {
				_, _, err := post(ctx, shipping.Address(), "/ship-order", parcelBody)
				return err
			})
			end(shipping.Server)
			if err := shipping.changes.await(soon(t), func() bool { return len(shipping.Parcels()) == 1 }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestALateCallIsNeverDoneOnceTheServiceHasClosed(t *testing.T) {
	t.Parallel()
	d, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	payment, stop := newPayment(newServer(d, newNotifier()))
	payment.Inject(Fault{Kind: Late, Delay: time.Hour})
	client := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address()))
	giveUp(t, payment.Server, func(ctx context.Context) error {
		_, err := client.Charge(ctx, visa())
		return err
	})
	if err := stop(); err != nil { // waits for the call, so it must not wait for an hour
		t.Error(err)
	}
	if n := len(payment.Charges()); n != 0 {
		t.Errorf("%d charges, want none", n)
	}
}

func TestARedirectionAndAWrongAnswerAreFaultsToo(t *testing.T) {
	t.Parallel()
	shipping := open(t, newShipping)

	shipping.Inject(Fault{Kind: Refuse, Status: 307, Location: "http://elsewhere.example/"})
	code, header, err := post(soon(t), shipping.Address(), "/ship-order", parcelBody)
	if err != nil || code != 307 || header.Get("Location") != "http://elsewhere.example/" {
		t.Errorf("status %d, location %q, error %v, want a redirection", code, header.Get("Location"), err)
	}

	shipping.Inject(Fault{Kind: Refuse, Status: 200, Text: `{"tracking_id":7}`})
	code, _, err = post(soon(t), shipping.Address(), "/ship-order", parcelBody)
	if err != nil || code != 200 || len(shipping.Parcels()) != 0 {
		t.Errorf("status %d, error %v, %d parcels, want 200 and no parcel", code, err, len(shipping.Parcels()))
	}
}

func TestEveryThirdCallOfAMethodFails(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	client := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, cart.Address()))
	cart.Inject(Fault{Kind: Refuse, Every: 3}, "GetCart")

	var got []codes.Code
	for range 7 {
		_, err := client.GetCart(soon(t), &oteldemo.GetCartRequest{})
		got = append(got, status.Code(err))
		if _, err := client.EmptyCart(soon(t), &oteldemo.EmptyCartRequest{}); err != nil {
			t.Error("another method:", err)
		}
	}

	bad := codes.Unavailable
	if diff := cmp.Diff([]codes.Code{0, 0, bad, 0, 0, bad, 0}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMethodsOwnFaultGoesBeforeTheServers(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	client := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, cart.Address()))
	get := func() codes.Code {
		_, err := client.GetCart(soon(t), &oteldemo.GetCartRequest{})
		return status.Code(err)
	}

	cart.Inject(Fault{Kind: Refuse, Code: codes.Aborted})
	cart.Inject(Fault{Kind: Refuse, Code: codes.Internal}, "GetCart")
	if got := get(); got != codes.Internal {
		t.Errorf("its own fault: %v", got)
	}
	if own, others := cart.Injected("GetCart"), cart.Injected("EmptyCart"); own.Code != codes.Internal || others.Code != codes.Aborted {
		t.Errorf("its own fault is %+v, and that of others %+v", own, others)
	}
	cart.Inject(Fault{}, "GetCart")
	if got := get(); got != codes.Aborted {
		t.Errorf("the server's: %v", got)
	}
	cart.Inject(Fault{})
	if got := get(); got != codes.OK {
		t.Errorf("none: %v", got)
	}
}

func TestAServiceRemembersWhatArrived(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	ctx := metadata.AppendToOutgoingContext(soon(t), "idempotency-key", "k1")
	req := &oteldemo.GetCartRequest{UserId: "ann"}
	if _, err := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, cart.Address())).GetCart(ctx, req); err != nil {
		t.Fatal(err)
	}
	shipping := open(t, newShipping)
	if _, _, err := post(soon(t), shipping.Address(), "/get-quote", parcelBody); err != nil {
		t.Fatal(err)
	}

	calls := cart.Calls("GetCart")
	if len(calls) != 1 || calls[0].Header["idempotency-key"][0] != "k1" {
		t.Fatalf("calls of GetCart: %+v", calls)
	}
	if diff := cmp.Diff(req, calls[0].Message, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	calls = shipping.Calls("")
	if len(calls) != 1 || string(calls[0].Body) != parcelBody || calls[0].Header["Content-Type"][0] != "application/json" {
		t.Errorf("calls of shipping: %+v", calls)
	}
	if shipping.Count("get-quote") != 1 || shipping.Count("ship-order") != 0 || shipping.Count("") != 1 {
		t.Error("the counts are wrong")
	}
}

func TestPeakIsHowManyCalledAtOnce(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	cart.Inject(Fault{Kind: Hang})
	client := oteldemo.NewCartServiceClient(nettest.DialGRPC(t, cart.Address()))
	ctx, cancel := context.WithCancel(soon(t))
	var callers sync.WaitGroup
	for range 5 {
		callers.Go(func() {
			if _, err := client.GetCart(ctx, &oteldemo.GetCartRequest{}); status.Code(err) != codes.Canceled {
				t.Error(err)
			}
		})
	}

	err := cart.changes.await(ctx, func() bool { return cart.Peak() == 5 })

	cancel()
	callers.Wait()
	if err != nil {
		t.Errorf("peak %d, want 5: %v", cart.Peak(), err)
	}
}

func TestAwaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tired := errors.New("tired")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(tired)
	if err := newNotifier().await(ctx, func() bool { return false }); !errors.Is(err, tired) {
		t.Errorf("error %v, want %v", err, tired)
	}
}

func TestATailKeepsTheLastItemsInTheirOrder(t *testing.T) {
	t.Parallel()
	kept := tail[int]{limit: 3}
	for i := range 100 {
		kept.add(i)
		if n := len(kept.items); n > 6 {
			t.Fatalf("%d items are held", n)
		}
	}
	if diff := cmp.Diff([]int{97, 98, 99}, kept.last()); diff != "" {
		t.Error(diff)
	}
}

// post posts JSON without following redirections.
func post(ctx context.Context, address, path, body string) (int, http.Header, error) {
	code, header, _, err := exchange(ctx, http.MethodPost, address, path, "application/json", body)
	return code, header, err
}

func exchange(ctx context.Context, method, address, path, contentType, body string) (int, http.Header, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Idempotency-Key", "order-1")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close() // read to its end
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(answer), err
}
