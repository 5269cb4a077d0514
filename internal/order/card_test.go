package order

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
)

// keeper is a payment service that keeps the cards that it is given.
type keeper struct {
	Payment
	cards []creditcard.Card
}

func (k *keeper) Charge(ctx context.Context, id ID, amount money.Amount, card creditcard.Card) (string, error) {
	k.cards = append(k.cards, card)
	return k.Payment.Charge(ctx, id, amount, card)
}

func TestTheCardIsClearedAfterTheCharge(t *testing.T) {
	for name, err := range map[string]error{"taken": nil, "refused": ErrRefused, "in doubt": errAway} {
		t.Run(name, func(t *testing.T) {
			inShop(t, func(t *testing.T, s *shop) {
				if err != nil {
					s.before = failing(StepCharge, 1, err)
				}
				p := s.open(t)
				k := &keeper{Payment: p.Payment}
				p.Payment = k
				req := request()
				_, _ = p.Place(t.Context(), req)
				if len(k.cards) != 1 {
					t.Fatalf("%d charges, want 1", len(k.cards))
				}
				if number, cvv, _, _ := k.cards[0].Reveal(); number != "" || cvv != 0 {
					t.Error("the card is still in memory")
				}
				if number, _, _, _ := req.Card.Reveal(); number == "" {
					t.Error("the caller's card is cleared, too: they may still need it")
				}
			})
		})
	}
}

func TestTheCardsNumberIsFoundInDigitsOfAnyScriptAndEncoded(t *testing.T) {
	t.Parallel()
	for _, city := range []string{"４４３２８０１５６１５２０４５４", "4432%2D8015%252D6152%2D0454", "4432%38015 6152 0454"} {
		req := Request{Card: creditcard.New("4432-8015-6152-0454", 672, 2039, 1), Address: Address{City: city}}
		var bad violations
		req.keepsCardToItself(&bad)
		if len(bad) != 1 || bad[0].Field != "address.city" {
			t.Errorf("%s: the violations are %v, want that of the city", city, bad)
		}
	}
}

// labeller is a shipping service that calls every parcel by the same tracking id.
type labeller struct {
	Shipping
	label string
}

func (l labeller) Ship(ctx context.Context, id ID, to Address, lines []Line) (string, error) {
	_, err := l.Shipping.Ship(ctx, id, to, lines)
	return l.label, err
}

func TestATrackingIDThatMayHoldTheCardIsReplacedByTheOrdersID(t *testing.T) {
	const uuid = "55555555-5555-4444-9abc-0123456789ab"
	for label, replaced := range map[string]struct{ live, recovered bool }{
		"4432801561520454": {true, true}, "P-4432 8015 6152 0454": {true, true}, "４４３２８０１５６１５２０４５４": {true, true},
		"NDQzMjgwMTU2MTUyMDQ1NA==": {true, false}, "5555555555554444": {false, true},
		"P-672": {}, "1Z999AA10123456784": {}, "8515131751004933": {}, uuid: {},
	} {
		for _, recovered := range []bool{false, true} {
			t.Run(fmt.Sprint(label, ", recovered: ", recovered), func(t *testing.T) {
				inShop(t, func(t *testing.T, s *shop) {
					p := s.open(t)
					p.Shipping = labeller{p.Shipping, label}
					want := replaced.live
					if recovered {
						want = replaced.recovered
						s.rows["1"] = &row{Order: Order{ID: "1", UserID: "ada", State: Charged, TransactionID: "tx 1", Changed: time.Now()}, due: time.Now()}
						recovering(t, p, 10*time.Second)
					} else {
						_, _ = p.Place(t.Context(), request())
						synctest.Wait()
					}
					o := s.the(t)
					if kept := o.TrackingID; o.State != Completed || (kept == string(o.ID)) != want || (kept == label) == want {
						t.Errorf("the order is %v, its tracking id %q; want it completed, and the id replaced: %v", o.State, kept, want)
					}
					history := fmt.Sprint(o.History)
					if strings.Contains(history, "the tracking id may hold a card number") != want || want && strings.Contains(history, label) {
						t.Errorf("the history is %s, want the reason there: %v", history, want)
					}
				})
			})
		}
	}
}
