package demo

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
)

func TestCallsOfALimitedRateAreDoneOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, began := newQueue(), time.Now()
		done := make(chan time.Duration, 3)
		for range 3 {
			go func() {
				q.pass(t.Context(), 10)
				done <- time.Since(began)
			}()
		}
		for i := range 3 {
			if got, want := <-done, time.Duration(i+1)*100*time.Millisecond; got != want {
				t.Errorf("call %d was done after %v, want %v", i, got, want)
			}
		}
		time.Sleep(time.Hour) // what was not used is not saved up
		began = time.Now()
		q.pass(t.Context(), 10)
		if got := time.Since(began); got != 100*time.Millisecond {
			t.Errorf("after a quiet hour a call was done after %v, want 100ms", got)
		}
	})
}

func TestACallWhoseCallerLeavesTheQueueTakesNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, began := newQueue(), time.Now()
		go q.pass(t.Context(), 1)
		synctest.Wait()
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		if q.pass(ctx, 1) {
			t.Error("a call whose caller has left was done")
		}
		if !q.pass(t.Context(), 1) || time.Since(began) != 2*time.Second {
			t.Errorf("the next one was done after %v, want 2s", time.Since(began))
		}
	})
}

func TestAPersistentServiceDoesCallsWhoseCallerHasLeft(t *testing.T) {
	t.Parallel()
	payment := open(t, newPayment)
	payment.Inject(Fault{Rate: 20, Persist: true}, "Charge")
	client := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address()))
	for calls := range 2 { // the first has its turn at once, the second waits for it when its caller leaves
		gone := until(t, payment.Server, func() bool { return payment.Count("Charge") == calls+1 })
		_, _ = client.Charge(gone, visa())
	}
	if _, err := client.Charge(soon(t), visa()); err != nil {
		t.Fatal(err)
	}
	if n := len(payment.Charges()); n != 3 {
		t.Errorf("%d charges, want those of the two who left and that of the one who stayed", n)
	}
}

func TestASuppliedCartIsFullUntilItIsEmptied(t *testing.T) {
	t.Parallel()
	cart := open(t, newCart)
	cart.Supply(func(user string) ([]*oteldemo.CartItem, bool) {
		return []*oteldemo.CartItem{{ProductId: "A", Quantity: 1}}, user == "endless"
	})
	for user, want := range map[string]int{"ada": 0, "endless": 1} {
		if n := len(cart.Items(user)); n != 1 {
			t.Errorf("%d lines in the cart of %s, want 1", n, user)
		}
		if _, err := cart.EmptyCart(t.Context(), &oteldemo.EmptyCartRequest{UserId: user}); err != nil {
			t.Fatal(err)
		}
		if n := len(cart.Items(user)); n != want {
			t.Errorf("%d lines in the cart of %s once it was emptied, want %d", n, user, want)
		}
	}
	cart.Put("ada", "B", 1)
	if items := cart.Items("ada"); len(items) != 1 || items[0].GetProductId() != "B" {
		t.Errorf("%v in a cart that was filled again, want B", items)
	}
}
