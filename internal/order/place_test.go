package order

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/wait"
)

func TestAnOrderIsPaidShippedAndDelivered(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		o, err := s.open(t).Place(t.Context(), request())
		if err != nil {
			t.Fatal(err)
		}
		if o.State != Placed || o.TrackingID == "" || o.TransactionID == "" {
			t.Errorf("the answer is %+v, want a placed order with its receipt and its parcel", o)
		}
		if want := usd("213.11"); o.Total != want || s.charges[o.ID][0] != want {
			t.Errorf("answered %v and charged %v, want 2 × 101.96 + 0.20 + 8.99 = %v", o.Total, s.charges[o.ID], want)
		}
		synctest.Wait()
		if got := s.the(t).State; got != Completed {
			t.Errorf("on record it is %v, want completed", got)
		}
		s.wantMoved(t, [4]int{1, 1, 1, 1})
		if len(s.carts["ada"]) > 0 {
			t.Error("the cart still holds what was bought")
		}
	})
}

func TestWhatIsRefusedBeforeAnythingMoves(t *testing.T) {
	for name, test := range map[string]struct {
		shop func(*shop)
		req  func(*Request)
		want Kind
	}{
		"no user":                 {req: func(r *Request) { r.UserID = "" }, want: ErrInvalid},
		"no such currency":        {req: func(r *Request) { r.Currency = "XYZ" }, want: ErrInvalid},
		"no address":              {req: func(r *Request) { r.Address = Address{} }, want: ErrInvalid},
		"an address of blanks":    {req: func(r *Request) { r.Address = Address{Street: " ", City: "\t", ZipCode: "\u3000\n"} }, want: ErrInvalid},
		"a control character":     {req: func(r *Request) { r.Address.City = "San\x00Francisco" }, want: ErrInvalid},
		"no e-mail address":       {req: func(r *Request) { r.Email = "ada" }, want: ErrInvalid},
		"card with a wrong digit": {req: func(r *Request) { r.Card = creditcard.New("4432-8015-6152-0455", 672, 2039, 1) }, want: ErrInvalid},
		"expired card":            {req: func(r *Request) { r.Card = creditcard.New("4432-8015-6152-0454", 672, 1999, 1) }, want: ErrInvalid},
		"another total":           {req: func(r *Request) { r.Expected = usd("1.00") }, want: ErrPriceChanged},
		"total in other currency": {req: func(r *Request) { r.Expected = amount("EUR", "1.00") }, want: ErrInvalid},
		"empty cart":              {shop: func(s *shop) { s.carts["ada"] = nil }, want: ErrEmptyCart},
		"cart away":               {shop: func(s *shop) { s.before = failing(StepCart, 9, errAway) }, want: ErrUnavailable},
		"catalog away":            {shop: func(s *shop) { s.before = failing(StepCatalog, 9, errAway) }, want: ErrUnavailable},
		"store away":              {shop: func(s *shop) { s.before = failing("open", 9, ErrUnsent) }, want: ErrUnavailable},
		"a bug":                   {shop: func(s *shop) { s.before = func(context.Context, Step) error { panic("bug") } }, want: ErrInternal},
	} {
		t.Run(name, func(t *testing.T) {
			s, req := newShop(), request()
			if test.shop != nil {
				test.shop(s)
			}
			if test.req != nil {
				test.req(&req)
			}
			_, err := s.open(t).Place(t.Context(), req)
			if failure, ok := errors.AsType[*Error](err); !ok || failure.Kind != test.want {
				t.Errorf("Place says %v, want %v", err, test.want)
			}
			if s.books() != [4]int{} || len(s.rows) > 0 {
				t.Errorf("moved: %v, on record: %d orders; want nothing", s.books(), len(s.rows))
			}
		})
	}
}

// The shop's own checkout takes all of these.
func TestHonestCustomersAreNotTurnedAway(t *testing.T) {
	for name, test := range map[string]struct {
		shop  func(*shop)
		req   func(*Request)
		total string
		is    func(*Order) bool
	}{
		"lines in the address": {
			req: func(r *Request) { r.Address.Street = "1 Main St\r\nApt 4\tleft\u2028rear" }, total: "USD 213.11",
			is: func(o *Order) bool { return o.Address.Street == "1 Main St Apt 4 left rear" },
		},
		"blanks around the e-mail address": {
			req: func(r *Request) { r.Email = " ada@example.com\n" }, total: "USD 213.11",
			is: func(o *Order) bool { return o.Email == "ada@example.com" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, req := newShop(), request()
			if test.shop != nil {
				test.shop(s)
			}
			if test.req != nil {
				test.req(&req)
			}
			p := s.open(t)
			o, err := p.Place(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			p.runs.Wait()
			if o.Total.String() != test.total {
				t.Errorf("the total is %v, want %s", o.Total, test.total)
			}
			if recorded := s.the(t); test.is != nil && !test.is(&recorded) {
				t.Errorf("on record are %v, to %+v", recorded.Items, recorded.Address)
			}
			if recorded := s.the(t); recorded.State != Completed || len(s.carts["ada"]) > 0 {
				t.Errorf("the order is %v and the cart holds %v, want it completed and the cart empty", recorded.State, s.carts["ada"])
			}
		})
	}
}

func TestTheSameAddressWithOtherBlanksIsTheSameRequest(t *testing.T) {
	s := newShop()
	p := s.open(t)
	req := keyed("k")
	req.Address.Street, req.Email = "1 Main St\nApt 4", "ada@example.com "
	first, err := p.Place(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	req.Address.Street, req.Email = "1 Main St Apt 4", "ada@example.com"
	again, err := p.Place(t.Context(), req)
	if err != nil || again.ID != first.ID {
		t.Errorf("asked again it is %v, %v; want order %s", again, err, first.ID)
	}
}

func TestEveryViolationIsNamed(t *testing.T) {
	err := (&Request{Card: creditcard.New("1", -1, 0, 13)}).Validate(time.Now())
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("Validate says %v", err)
	}
	named := map[string]bool{}
	for _, v := range failure.Violations {
		named[v.Field] = true
	}
	for _, field := range []string{"user_id", "user_currency", "address", "email", "credit_card.credit_card_number", "credit_card.credit_card_cvv", "credit_card.credit_card_expiration_month"} {
		if !named[field] {
			t.Errorf("%s is wrong and not named in %v", field, err)
		}
	}
}

// Given other services that fail around the charge and after it: what is answered, what is on record, what has moved.
func TestFailuresAfterTheIntentIsOnRecord(t *testing.T) {
	away := errors.New("503")
	for name, test := range map[string]struct {
		before, after func(context.Context, Step) error
		answer        Kind // empty: OK
		state         State
		books         [4]int
	}{
		"card refused":                        {before: failing(StepCharge, 1, ErrRefused), answer: ErrDeclined, state: Declined},
		"payment not reached":                 {before: failing(StepCharge, 1, ErrUnsent), answer: ErrPaymentUnreachable, state: Cancelled},
		"charge fails, unknown how":           {before: failing(StepCharge, 1, away), answer: ErrInDoubt, state: InDoubt},
		"answer to the charge lost":           {after: failing(StepCharge, 1, away), answer: ErrInDoubt, state: InDoubt, books: [4]int{1, 0, 0, 0}},
		"charge hangs":                        {before: hanging(StepCharge), answer: ErrInDoubt, state: InDoubt},
		"shipping refused for good":           {before: failing(StepShip, 1, ErrRefused), answer: ErrUnshippable, state: Parked, books: [4]int{1, 0, 0, 0}},
		"shipping not reached, twice":         {before: failing(StepShip, 2, ErrUnsent), state: Completed, books: [4]int{1, 1, 1, 1}},
		"shipping fails, unknown how":         {before: failing(StepShip, 1, away), state: Charged, books: [4]int{1, 0, 0, 0}},
		"answer of the shipping service lost": {after: failing(StepShip, 1, away), state: Charged, books: [4]int{1, 1, 0, 0}},
		"shipping hangs":                      {before: hanging(StepShip), state: Charged, books: [4]int{1, 0, 0, 0}},
		"cart cannot be emptied at first":     {before: failing(StepEmptyCart, 1, away), state: Completed, books: [4]int{1, 1, 1, 1}},
		"e-mail away":                         {before: failing(StepEmail, 99, away), state: Placed, books: [4]int{1, 1, 0, 1}},
		"e-mail refused for good":             {before: failing(StepEmail, 1, ErrRefused), state: Undelivered, books: [4]int{1, 1, 0, 1}},
		"broker hangs":                        {before: hanging(StepPublish), state: Placed, books: [4]int{1, 1, 1, 0}},
		"charged fails to be recorded":        {before: failing("save charged", 1000, away), answer: ErrInDoubt, state: Completed, books: [4]int{1, 1, 1, 1}},
		"recorded at the second try":          {before: failing("save charged", 1, away), state: Completed, books: [4]int{1, 1, 1, 1}},
		"taken over meanwhile":                {before: failing("save charged", 1000, ErrFenced), answer: ErrInDoubt, state: Charging, books: [4]int{1, 0, 0, 0}},
		"placed fails to be recorded":         {before: failing("save placed", 1000, away), state: Placed, books: [4]int{1, 1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before, s.after = test.before, test.after
				p := s.open(t)
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				_, err := p.Place(ctx, request())
				var failure *Error
				if test.answer == "" && err != nil || test.answer != "" && (!errors.As(err, &failure) || failure.Kind != test.answer) {
					t.Errorf("Place says %v, want %v", err, test.answer)
				}
				if failure != nil && failure.OrderID != s.the(t).ID {
					t.Errorf("the failure names order %q, want %q", failure.OrderID, s.the(t).ID)
				}
				p.runs.Wait()
				if got := s.the(t).State; got != test.state {
					t.Errorf("on record it is %v, want %v", got, test.state)
				}
				s.wantMoved(t, test.books)
			})
		})
	}
}

func TestACallerWhoHangsUpAfterTheChargeLosesNothing(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		ctx, hangUp := context.WithCancel(t.Context())
		s.after = func(_ context.Context, step Step) error {
			if step == StepCharge {
				hangUp()
				time.Sleep(time.Second)
			}
			return nil
		}
		p := s.open(t)
		_, err := p.Place(ctx, request())
		if failure, ok := errors.AsType[*Error](err); !ok || failure.Kind != ErrInDoubt {
			t.Errorf("the caller who left gets %v, want in doubt", err)
		}
		p.runs.Wait()
		if got := s.the(t).State; got != Completed {
			t.Errorf("the order is %v, want completed", got)
		}
	})
}

func TestAnOrderThatWasOpenedWithoutOurHearingOfItIsNotInDoubt(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.after = failing("open", 1, errAway)
		p := s.open(t)
		if _, err := p.Place(t.Context(), request()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Place says %v, want unavailable", err)
		}
		recovering(t, p, time.Minute)
		if got := s.the(t).State; got != Cancelled {
			t.Errorf("on record it is %v, want cancelled: it was never charged", got)
		}
	})
}

func TestTheAnswerComesWithinTheCallersDeadline(t *testing.T) {
	for step, want := range map[Step]Kind{
		StepCart: ErrUnavailable, StepCatalog: ErrUnavailable, StepQuote: ErrUnavailable,
		"open": ErrUnavailable, StepCharge: ErrInDoubt, "save charged": ErrInDoubt, StepShip: "", "save placed": "", StepEmptyCart: "",
		StepEmail: "", StepPublish: "", "save completed": "",
	} {
		t.Run(string(step), func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				s.before = hanging(step)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				req := request()
				req.Currency = "EUR"
				began := time.Now()
				_, err := s.open(t).Place(ctx, req)
				var failure *Error
				if errors.As(err, &failure); want == "" && err != nil || want != "" && (failure == nil || failure.Kind != want) {
					t.Errorf("a hanging %s is answered with %v, want %v", step, err, want)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("a hanging %s made the caller wait %v, want at most 3s", step, took)
				}
			})
		})
	}
}

func TestNoChargeIsStartedWithTooLittleTimeLeft(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = taking(StepCatalog, 950*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.open(t).Place(ctx, request())
		if !errors.Is(err, ErrUnavailable) || len(s.rows) > 0 {
			t.Errorf("Place says %v with %d orders on record, want unavailable and none", err, len(s.rows))
		}
	})
}

func TestABugInOneOrderIsThatOrdersAlone(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = func(_ context.Context, step Step) error {
			if step == StepShip {
				panic("bug")
			}
			return nil
		}
		if o, err := s.open(t).Place(t.Context(), request()); err != nil || o.State != Charged {
			t.Errorf("the paid order is answered with %v, %v; want it charged and safe", o, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.reports) != 1 || !errors.Is(s.reports[0], ErrInternal) {
			t.Errorf("reported: %v, want the bug", s.reports)
		}
	})
}

func TestCloseWaitsForOrdersUnderWayAndThenLetsGo(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		s.before = hanging(StepShip)
		p := s.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Place(ctx, request()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		patience, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		p.Close(patience)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("Close took %v, want the 5s that it was given", took)
		}
		if got := s.the(t).State; got != Charged {
			t.Errorf("on record it is %v, want charged: somebody else's work", got)
		}
	})
}

func TestNoChargeIsStartedThatWouldTakeTooLong(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		slow := time.Second
		s.before = func(ctx context.Context, step Step) error {
			if step == StepCharge && !wait.For(ctx, slow) {
				return ctx.Err()
			}
			return nil
		}
		p := s.open(t)
		for i := range 20 {
			if err := s.buy(t, p, fmt.Sprint("patient ", i), 5*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		charged := s.count(StepCharge)
		if err := s.buy(t, p, "hasty", 900*time.Millisecond); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a charge that takes a second, with 0.9 s left: %v, want unavailable", err)
		}
		if s.count(StepCharge) != charged {
			t.Error("a card was charged, and its customer could not hear of it")
		}
		slow = 0
		time.Sleep(latencyTime)
		if err := s.buy(t, p, "hasty later", 900*time.Millisecond); err != nil {
			t.Errorf("when the payment service may have recovered: %v", err)
		}
	})
}

func TestASlowChargeRefusesNobodyWhoHasTheTimeForIt(t *testing.T) {
	t.Parallel()
	inShop(t, func(t *testing.T, s *shop) {
		s.before = func(ctx context.Context, step Step) error {
			if step == StepCharge && !wait.For(ctx, 5500*time.Millisecond) {
				return ctx.Err()
			}
			return nil
		}
		p := s.open(t)
		for i := range 10 {
			if err := s.buy(t, p, fmt.Sprint("user ", i), 15*time.Second); err != nil {
				t.Errorf("order %d: %v", i, err)
			}
		}
	})
}

// The payment service answers one charge after another, 30 a second, and five times as many are asked for.
func TestAPaymentServiceThatIsTooSlowIsAskedForAsMuchAsItAnswersInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const each = time.Second / 30
		s := newShop()
		turn := make(chan struct{}, 1)
		s.before = func(_ context.Context, step Step) error {
			if step == StepCharge { // callers that have left are served all the same
				turn <- struct{}{}
				time.Sleep(each)
				<-turn
			}
			return nil
		}
		p := s.open(t)
		var served, late [10]atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for i := range 150 * len(served) {
			time.Sleep(time.Second / 150)
			second := time.Since(began) / (time.Second + time.Millisecond)
			all.Go(func() {
				switch err := s.buy(t, p, fmt.Sprint("user ", i), time.Second); {
				case err == nil:
					served[second].Add(1)
				case !errors.Is(err, ErrUnavailable):
					late[second].Add(1)
				}
			})
		}
		all.Wait()
		for second := 3; second < len(served); second++ {
			if ok, lost := served[second].Load(), late[second].Load(); ok < 24 || lost > 0 {
				t.Errorf("in second %d, %d of 30 orders are placed in time, and %d charges not answered", second, ok, lost)
			}
		}
		p.runs.Wait()
	})
}

// buy has a user place an order of a lens.
func (s *shop) buy(t *testing.T, p *Placer, user string, within time.Duration) error {
	t.Helper()
	s.mu.Lock()
	s.carts[user] = []Line{{"lens", 1}}
	s.mu.Unlock()
	req := request()
	req.UserID = user
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := p.Place(ctx, req)
	return err
}

// An order that could not be recorded holds its place until its cancellation is on record.
func TestWhileOrdersCannotBeRecordedEveryCallerIsToldSo(t *testing.T) {
	inShop(t, func(t *testing.T, s *shop) {
		var full atomic.Bool
		full.Store(true)
		s.before = func(_ context.Context, step Step) error {
			if full.Load() && (step == "open" || step == "save cancelled") {
				return errors.New("disk full")
			}
			return nil
		}
		p := s.open(t)
		house := &house{Admission: s}
		p.Admission = house
		told := func(user string, within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			req := request()
			req.UserID, s.carts[user] = user, s.carts["ada"]
			_, err := p.Place(ctx, req)
			return err
		}
		for i, within := range []time.Duration{15 * time.Second, 15 * time.Second, leastTime / 2} {
			house.full = i == 1
			err := told(fmt.Sprint("user ", i), within)
			if failure, _ := errors.AsType[*Error](err); failure == nil || failure.Kind != ErrUnavailable || failure.Step != StepRecord {
				t.Errorf("caller %d is told %v, want that the record is unavailable", i, err)
			}
		}
		full.Store(false)
		house.full = false
		if err := told("ada", 15*time.Second); err != nil {
			t.Fatal(err)
		}
		house.full = true
		if err := told("bob", 15*time.Second); !errors.Is(err, ErrOverloaded) {
			t.Errorf("when the record is back, the answer without a place is %v, want overloaded", err)
		}
	})
}

// house is an Admission that may be full.
type house struct {
	Admission
	full bool
}

func (h *house) Admit(ctx context.Context) (func(error), error) {
	if h.full {
		return nil, errors.New("no place")
	}
	return h.Admission.Admit(ctx)
}
