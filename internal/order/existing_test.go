package order

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheSameKeyHasTheSameAnswer(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		first, err := ask(t, p, keyed("k1"))
		if err != nil {
			t.Fatal(err)
		}
		p.runs.Wait()
		s.carts["ada"] = []Line{{"lens", 1}} // the next purchase has begun
		time.Sleep(6 * 24 * time.Hour)
		for name, p := range map[string]*Placer{"the same replica": p, "another replica": s.open(t)} {
			again, err := ask(t, p, keyed("k1"))
			if err != nil || again.ID != first.ID || again.TrackingID != first.TrackingID {
				t.Errorf("asked again on %s: %v, %v; want order %s", name, again, err, first.ID)
			}
		}
		s.wantMoved(t, [4]int{1, 1, 1, 1})
	})
}

func TestAKeyBelongsToOneRequestOfOneUser(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		first, err := ask(t, p, keyed("k1"))
		if err != nil {
			t.Fatal(err)
		}
		other := keyed("k1")
		other.Address.City = "Paris"
		_, err = ask(t, p, other)
		if failure, ok := errors.AsType[*Error](err); !ok || failure.Kind != ErrKeyReused || failure.OrderID != first.ID {
			t.Errorf("the key with another address: %v, want that it was reused, and by which order", err)
		}
		s.carts["eve"] = []Line{{"lens", 1}}
		eve := keyed("k1")
		eve.UserID = "eve"
		if o, err := ask(t, p, eve); err != nil || o.ID == first.ID {
			t.Errorf("another user's key of the same name: %v, %v; want an order of their own", o, err)
		}
	})
}

// Whatever becomes of an order, and whoever asks at the same time, with or without a key: it is one order with one answer.
func TestAskingTwiceAtOnceIsOneOrder(t *testing.T) {
	for name, test := range map[string]struct {
		step  Step
		times int
		err   error
		kind  Kind
	}{
		"placed":   {},
		"declined": {StepCharge, 1, ErrRefused, ErrDeclined},
		"in doubt": {StepCharge, 1, errAway, ErrInDoubt},
		"parked":   {StepShip, 1, ErrRefused, ErrUnshippable},
		"charged":  {StepShip, shipTries, errAway, ""},
	} {
		for _, key := range []string{"", "k1"} {
			t.Run(name+" "+key, func(t *testing.T) {
				inShop(t, func(t *testing.T, s *shop) {
					fail := failing(test.step, test.times, test.err)
					s.before = func(ctx context.Context, step Step) error {
						time.Sleep(10 * time.Millisecond)
						return fail(ctx, step)
					}
					replicas := []*Placer{s.open(t), s.open(t)}
					ids := make([]ID, 4)
					var clicks sync.WaitGroup
					var counted atomic.Int32 // by what is not a repetition
					for i := range ids {
						clicks.Go(func() {
							time.Sleep(time.Duration(i) * 13 * time.Millisecond)
							o, err := ask(t, replicas[i%2], keyed(key))
							var failure *Error
							switch {
							case err == nil && test.kind == "":
								ids[i] = o.ID
								if !o.Repeated {
									counted.Add(1)
								}
							case errors.As(err, &failure) && failure.Kind == test.kind:
								ids[i] = failure.OrderID
								if !failure.Repeated {
									counted.Add(1)
								}
							default:
								t.Errorf("click %d: %v, %v; want %q", i, o, err, test.kind)
							}
						})
					}
					clicks.Wait()
					if got := counted.Load(); got != 1 {
						t.Errorf("%d of the calls count as an order, want 1", got)
					}
					for _, id := range ids {
						if id != ids[0] || id == "" {
							t.Errorf("the clicks made the orders %v, want one", ids)
						}
					}
					if got := s.count(StepCharge); got != 1 {
						t.Errorf("payment was asked %d times, want once", got)
					}
				})
			})
		}
	}
}

func TestAnEmptyCartIsALostAnswerForADay(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.open(t)
		first, err := ask(t, p, request())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(23 * time.Hour)
		if o, err := ask(t, p, request()); err != nil || o.ID != first.ID {
			t.Errorf("the same request with an empty cart: %v, %v; want order %s", o, err, first.ID)
		}
		other := request()
		other.Address.Street = "2 Main"
		if _, err := ask(t, p, other); !errors.Is(err, ErrEmptyCart) {
			t.Errorf("another request with an empty cart: %v, want that it is empty", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := ask(t, p, request()); !errors.Is(err, ErrEmptyCart) {
			t.Errorf("a day later: %v, want that the cart is empty", err)
		}
	})
}

func TestAFullCartIsANewOrderHoweverSoon(t *testing.T) {
	for name, mail := range map[string]time.Duration{"right away": 0, "while the e-mail takes its time": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = taking(StepEmail, mail)
				p := s.open(t)
				for i := range 3 {
					s.mu.Lock()
					s.carts["ada"] = []Line{{"lens", 1}}
					s.mu.Unlock()
					began := time.Now()
					if _, err := ask(t, p, request()); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("order %d took %v, want it not to wait for the e-mail of the one before", i+1, took)
					}
				}
				if got := s.books()[0]; got != 3 || len(s.rows) != 3 {
					t.Errorf("%d charges for %d orders, want three", got, len(s.rows))
				}
			})
		})
	}
}

func TestAnotherCartIsNeverAnsweredByTheOrderBefore(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = hanging(StepEmail) // so that it is not on record for a while that the cart has been emptied
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.carts["ada"] = []Line{{"lens", 7}}
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if o, err := p.Place(ctx, request()); !errors.Is(err, ErrBusy) {
			t.Errorf("another cart: %v, %v; want that another order is under way", o, err)
		}
	})
}

func TestAnotherOrderWaitsForTheOneUnderWay(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = taking(StepShip, 2*time.Second)
		p := s.open(t)
		var tabs sync.WaitGroup
		tabs.Go(func() {
			if _, err := ask(t, p, keyed("k1")); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		tabs.Go(func() {
			if _, err := ask(t, p, keyed("k2")); !errors.Is(err, ErrEmptyCart) {
				t.Errorf("the other tab: %v, want that the first has bought the cart", err)
			}
		})
		tabs.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, err := p.Place(ctx, keyed("k3")); !errors.Is(err, ErrBusy) {
				t.Errorf("the impatient tab: %v, want that another order is under way", err)
			}
		})
		tabs.Wait()
		if got := s.books()[0]; got != 1 {
			t.Errorf("%d charges, want one", got)
		}
	})
}

func TestAnOrderThatWaitsForAnOperatorIsSupersededByAnotherCart(t *testing.T) {
	for name, test := range map[string]struct {
		step   Step
		err    error
		change func(*shop, *Request)
		want   Kind
	}{
		"in doubt, the same":              {StepCharge, errAway, func(*shop, *Request) {}, ErrInDoubt},
		"in doubt, to another address":    {StepCharge, errAway, func(_ *shop, r *Request) { r.Address.City = "Paris" }, ErrInDoubt},
		"in doubt, with a key of its own": {StepCharge, errAway, func(_ *shop, r *Request) { r.Key = "k2" }, ErrInDoubt},
		"in doubt, another cart":          {StepCharge, errAway, func(s *shop, _ *Request) { s.carts["ada"] = []Line{{"lens", 1}} }, ""},
		"unshippable, the same":           {StepShip, ErrRefused, func(*shop, *Request) {}, ErrUnshippable},
		"unshippable, to another address": {StepShip, ErrRefused, func(_ *shop, r *Request) { r.Address.City = "Paris" }, ""},
		"unshippable, another cart":       {StepShip, ErrRefused, func(s *shop, _ *Request) { s.carts["ada"] = []Line{{"lens", 1}} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = failing(test.step, 1, test.err)
				p := s.open(t)
				if _, err := ask(t, p, request()); err == nil {
					t.Fatal("the first order was placed")
				}
				next := request()
				test.change(s, &next)
				_, err := ask(t, p, next)
				var failure *Error
				if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &failure) || failure.Kind != test.want) {
					t.Errorf("the next order: %v, want %q", err, test.want)
				}
			})
		})
	}
}

func TestAKeyWhoseOrderWasNeverChargedIsFreeForAnotherTry(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepCharge, 1, ErrUnsent)
		p := s.open(t)
		if _, err := ask(t, p, keyed("k1")); !errors.Is(err, ErrPaymentUnreachable) {
			t.Fatalf("the first try: %v, want payment unreachable", err)
		}
		if o, err := ask(t, p, keyed("k1")); err != nil || o.Key != "k1" {
			t.Errorf("the second try: %v, %v; want an order", o, err)
		}
		if got := s.books()[0]; got != 1 {
			t.Errorf("%d charges, want one", got)
		}
	})
}

func TestADeclinedCardIsTheAnswerToItsKey(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepCharge, 1, ErrRefused)
		p := s.open(t)
		for range 2 {
			if _, err := ask(t, p, keyed("k1")); !errors.Is(err, ErrDeclined) {
				t.Errorf("%v, want declined", err)
			}
		}
		if _, err := ask(t, p, keyed("k2")); err != nil { // another card
			t.Errorf("with another key: %v", err)
		}
	})
}

func TestAStoreWhoseClockWasSetBackMakesNoBusyLoop(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		p := s.placed(t)
		for _, r := range s.rows {
			r.settled = time.Now().Add(time.Minute)
		}
		s.carts["ada"] = []Line{{"lens", 1}}
		before := s.count(StepCart)
		if _, err := ask(t, p, request()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v, want unavailable", err)
		}
		if got := s.count(StepCart) - before; got > 100 {
			t.Errorf("the cart was read %d times in 15 s, want at most 100", got)
		}
		time.Sleep(time.Minute)
		if _, err := ask(t, p, request()); err != nil {
			t.Errorf("once the clock is where it was: %v", err)
		}
	})
}

func TestWhatTheRecordHasRefusedForCertainIsNotAbandoned(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing("open", 1, ErrUnsent)
		p := s.open(t)
		if _, err := ask(t, p, request()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v, want unavailable", err)
		}
		p.runs.Wait()
		if got := s.count("save cancelled"); got != 0 || len(s.reports) != 0 {
			t.Errorf("%d writes and reports %v, want none: there is nothing to take back", got, s.reports)
		}
	})
}

func TestWhileTheRecordCannotBeReadNothingIsPlaced(t *testing.T) {
	for name, req := range map[string]Request{"with a key": keyed("k1"), "with an empty cart": request()} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				if req.Key == "" {
					delete(s.carts, "ada")
				}
				s.before = failing("look", 1, errAway)
				if _, err := ask(t, s.open(t), req); !errors.Is(err, ErrUnavailable) {
					t.Errorf("%v, want unavailable", err)
				}
			})
		})
	}
}

// An order that is paid, and may have been shipped, was answered as one on its way. Its cart is as it was.
func TestWhatMayHaveBeenShippedIsNotBoughtAgain(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.ships, s.after = 1, failing(StepShip, 1, errAway)
		p := s.open(t)
		first, err := ask(t, p, request())
		if err != nil || first.State != Parked {
			t.Fatalf("the first order is %v, %v; want it parked, and an answer", first, err)
		}
		if again, err := ask(t, p, request()); err != nil || again.ID != first.ID {
			t.Errorf("the same once more: %v, %v; want the first order", again, err)
		}
		elsewhere := request()
		elsewhere.Address.City = "Paris"
		if _, err := ask(t, p, elsewhere); !errors.Is(err, ErrBusy) {
			t.Errorf("the same things to another address: %v, want to be told of the first order", err)
		}
		s.carts["ada"] = []Line{{"lens", 5}}
		if next, err := ask(t, p, request()); err != nil || next.ID == first.ID {
			t.Errorf("other things: %v, %v; want an order of their own", next, err)
		}
	})
}

// As long as its cart might still be emptied and filled again, the same cart may be another purchase; then it is not.
func TestAPlacedOrderWhoseCartCannotBeEmptiedIsAnsweredSoon(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = failing(StepEmptyCart, -1, errAway)
		p := s.open(t)
		first, err := ask(t, p, request())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if again, err := ask(t, p, request()); err != nil || again.ID != first.ID || again.State != Placed {
			t.Errorf("the same once more: %v, %v; want the first order, placed", again, err)
		}
		if took := time.Since(began); took > cartHaste+time.Second {
			t.Errorf("it was answered after %v, want about %v", took, cartHaste)
		}
		recovering(t, p, 23*time.Hour)
		if again, err := ask(t, p, request()); err != nil || again.ID != first.ID {
			t.Errorf("the same after 23 hours: %v, %v; want the first order", again, err)
		}
		s.before = nil
		recovering(t, p, time.Minute)
		if len(s.carts["ada"]) != 0 || s.the(t).State != Completed {
			t.Errorf("the cart has %v, and the order is %v; want it empty, and completed", s.carts["ada"], s.the(t).State)
		}
	})
}

func TestADuplicateOfAnOrderThatCouldNotBeRecordedIsPlaced(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		lost := failing("open", 1, errAway)
		s.after = func(ctx context.Context, step Step) error {
			err := lost(ctx, step)
			if err != nil {
				time.Sleep(time.Second)
			}
			return err
		}
		one, other := s.open(t), s.open(t) // two replicas
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := ask(t, one, request()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("the first caller is told %v, want that the record is unavailable", err)
			}
		})
		time.Sleep(time.Second / 2)
		if _, err := ask(t, other, request()); err != nil {
			t.Errorf("the second caller is told %v, want an order", err)
		}
		first.Wait()
		other.runs.Wait()
		s.wantMoved(t, [4]int{1, 1, 1, 1})
	})
}

// A customer whose answer was lost asks again, and is not told that nothing was charged unless that is known.
func TestACallThatCannotFindAnEarlierOrderDoesNotSayThatNothingWasCharged(t *testing.T) {
	for name, test := range map[string]struct {
		key    string
		before func(context.Context, Step) error
		admit  bool // there is no place
		cart   []Line
		later  time.Duration
		next   func(*Request)
		want   Kind
		known  bool
	}{
		"record away, with a key":               {key: "k", before: failing("look", 9, errAway), want: ErrUnavailable},
		"record away":                           {before: failing("look", 9, errAway), want: ErrUnavailable},
		"record and cart away":                  {before: both(failing("look", 9, errAway), failing(StepCart, 9, errAway)), want: ErrUnavailable},
		"cart away":                             {before: failing(StepCart, 9, errAway), want: ErrUnavailable},
		"cart away, with a key nobody has used": {before: failing(StepCart, 9, errAway), next: func(r *Request) { r.Key = "new" }, want: ErrUnavailable, known: true},
		"cart away, for another address":        {before: failing(StepCart, 9, errAway), next: func(r *Request) { r.Address.City = "Paris" }, want: ErrUnavailable, known: true},
		"catalog away":                          {cart: []Line{{"lens", 7}}, before: failing(StepCatalog, 9, errAway), want: ErrUnavailable},
		"catalog away, after a day":             {cart: []Line{{"lens", 7}}, later: emptyCartTime, before: failing(StepCatalog, 9, errAway), want: ErrUnavailable, known: true},
		"another cart, record away":             {cart: []Line{{"lens", 7}}, before: failing("open", 9, errAway), want: ErrUnavailable},
		"no place":                              {admit: true, want: ErrOverloaded, known: true}, // it says only that this call has done nothing
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				p := s.open(t)
				req := keyed(test.key)
				if _, err := ask(t, p, req); err != nil {
					t.Fatal(err)
				}
				p.runs.Wait()
				time.Sleep(test.later)
				s.carts["ada"], s.before = test.cart, test.before
				p.Admission = &house{Admission: s, full: test.admit}
				if test.next != nil {
					test.next(&req)
				}
				_, err := ask(t, p, req)
				if failure, _ := errors.AsType[*Error](err); failure == nil || failure.Kind != test.want || failure.MayBePaid == test.known {
					t.Errorf("answered %+v, want %v, known: %t", failure, test.want, test.known)
				}
			})
		})
	}
}

func TestWhileTheCartOfAPaidOrderIsFullAFailureDoesNotSayThatNothingWasCharged(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		var away atomic.Value
		away.Store(StepEmptyCart)
		s.before = func(_ context.Context, step Step) error {
			if step == StepEmptyCart || step == away.Load() {
				return errAway
			}
			return nil
		}
		p := s.open(t)
		if _, err := ask(t, p, request()); err != nil {
			t.Fatal(err)
		}
		for step, patience := range map[Step]time.Duration{StepCatalog: 15 * time.Second, "": leastTime / 2} {
			away.Store(step)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := p.Place(ctx, request())
			if failure, _ := errors.AsType[*Error](err); failure == nil || failure.Kind != ErrUnavailable || !failure.MayBePaid {
				t.Errorf("the same request while step %q fails, within %v: %+v, want unavailable, and perhaps paid", step, patience, failure)
			}
		}
	})
}

func TestACallWhoseTimeEndsBehindAnotherMayBePaidByIt(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = taking(StepCart, 2*time.Second)
		p := s.open(t)
		var first sync.WaitGroup
		first.Go(func() { _, _ = ask(t, p, keyed("k")) })
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Place(ctx, keyed("k"))
		if failure, _ := errors.AsType[*Error](err); failure == nil || failure.Kind != ErrBusy || !failure.MayBePaid {
			t.Errorf("the second click is answered %+v, want busy, and perhaps paid", failure)
		}
		first.Wait()
		p.runs.Wait()
		s.wantMoved(t, [4]int{1, 1, 1, 1})
	})
}
