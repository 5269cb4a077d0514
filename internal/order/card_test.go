package order

import (
	"context"
	"crypto/sha256"
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"checkout/internal/money"
	"checkout/internal/test/cardtest"
)

const (
	echoNumber = "4432801561520454"
	echoCVV    = 7221
)

func TestAnEchoOfTheCardIsRecognizedInEverySpelling(t *testing.T) {
	t.Parallel()
	card := NewCard("4432-8015-6152-0454", echoCVV, 2039, 1)
	for _, secret := range []string{echoNumber, fmt.Sprint(echoCVV)} {
		for _, s := range cardtest.Spellings(secret) {
			name, spelt := s.Name, s.Text
			for _, format := range []string{"%s", "cvv %s is wrong", "Credit card info is invalid. %s", "(%s)", "in JSON: {\"a\":%q}", "no \xff UTF-8: %s"} {
				if text := fmt.Sprintf(format, spelt); !card.MayBeIn(text) {
					t.Errorf("%s: %q is not taken for an echo of %s", name, text, secret)
				}
			}
			if name != "words" && !card.IsIn("tx-"+spelt) && !strings.Contains(name, "hexadecimal") && !strings.Contains(name, "lines") {
				t.Errorf("%s: the id %q is not taken for an echo of %s", name, "tx-"+spelt, secret)
			}
		}
	}
	for _, text := range []string{
		"443280", "801561", "432801561520454", "443280******0454", "4432 (1) 8015 (2) 6152 (3) 0454 (4)", // parts, and others between
		"cvv 07221", "17221", html.EscapeString("<7221>"),
	} {
		if !card.MayBeIn(text) {
			t.Errorf("%q is not taken for an echo", text)
		}
	}
}

func TestOtherTextsAreNoEchoOfTheCard(t *testing.T) {
	t.Parallel()
	card := NewCard("4432-8015-6152-0454", echoCVV, 2039, 1)
	for _, text := range []string{
		"", "insufficient funds", "the bank says no: do not honour", "Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted.",
		"error reading from server: read tcp 10.0.0.5:41234->10.0.7.2:50051: read: connection reset by peer", "limit of 500.00 EUR exceeded",
		"ending 0454", "code 05, terminal 12345678", "trace 4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		if card.MayBeIn(text) {
			t.Errorf("%q is taken for an echo", text)
		}
	}
	for _, id := range []string{"T-1", "ch_0454", "01890a5d-ac96-774b-bcce-b302099a8057", "1Z999AA10123456784", "cvv", "17221", "7221-1", "443280x"[:5]} {
		if card.IsIn(id) {
			t.Errorf("the id %q is taken for an echo", id)
		}
	}
	for _, id := range []string{"443280", "first 443280", "80156152-0454", "tx-443280156152", "cvv-7221", "(07221)", "a7b2c2d1"} {
		if !card.IsIn(id) {
			t.Errorf("the id %q is not taken for an echo", id)
		}
	}
	if (Card{}).MayBeIn("0") || (Card{}).IsIn("0") {
		t.Error("no card is taken for an echo")
	}
}

// An id that is refused by chance leaves a paid order in doubt.
func TestARandomIDIsNoEchoOfTheCard(t *testing.T) {
	t.Parallel()
	card := NewCard("4432-8015-6152-0454", 672, 2039, 1)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		sum := sha256.Sum256(fmt.Append(nil, i, random.Uint64()))
		id := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
		if card.IsIn(id) {
			t.Errorf("%s is taken for an echo", id)
		}
	}
}

func TestAClearedCardIsGoneFromAllCopiesButNotFromItsClone(t *testing.T) {
	t.Parallel()
	card := NewCard("4432-8015-6152-0454", 672, 2039, 1)
	copied, clone, digits := card, card.Clone(), card.number
	card.Clear()
	if number, cvv, year, month := copied.Reveal(); number != "" || cvv != 0 || year != 0 || month != 0 {
		t.Errorf("the copy still has %q, %d, %d/%d", number, cvv, month, year)
	}
	if strings.Trim(string(digits), "\x00") != "" {
		t.Errorf("the memory of the number still holds %q", digits)
	}
	if number, cvv, _, _ := clone.Reveal(); number != "4432-8015-6152-0454" || cvv != 672 {
		t.Errorf("the clone has %q, %d", number, cvv)
	}
	Card{}.Clear() // and no card has nothing to clear
}

func BenchmarkIsIn(b *testing.B) {
	card := NewCard("4432-8015-6152-0454", 672, 2039, 1)
	b.ReportAllocs()
	for b.Loop() {
		card.IsIn("01890a5d-ac96-774b-bcce-b302099a8057")
	}
}

// keeper is a payment service that keeps the cards that it is given.
type keeper struct {
	Payment
	cards []Card
}

func (k *keeper) Charge(ctx context.Context, id ID, amount money.Amount, card Card) (string, error) {
	k.cards = append(k.cards, card)
	return k.Payment.Charge(ctx, id, amount, card)
}

func TestTheCardIsClearedAfterTheCharge(t *testing.T) {
	for name, err := range map[string]error{"taken": nil, "refused": ErrRefused, "in doubt": errAway} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
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

func TestACardThatNobodyRemembersMayBeInATextUnlessItIsPlain(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{echoNumber, fmt.Sprint(echoCVV), "672"} {
		for _, s := range cardtest.Spellings(secret) {
			if text := "not " + s.Text; !MayHoldCard(text) {
				t.Errorf("%s: %q is taken for plain", s.Name, text)
			}
		}
	}
	for _, text := range []string{"", "the bank is closed", "The idempotency key was reversed.", "connection refused by the acquirer", "Insufficient funds: do not honour!"} {
		if MayHoldCard(text) {
			t.Errorf("%q is not taken for plain", text)
		}
	}
}

func TestTheDigitsOfAllScriptsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"4432": "4432", "４４３２": "4432", "٤٤٣٢": "4432", "𝟒𝟜𝟯𝟸": "4432", "४४३२ Main": "4432 Main", "Ⅶ²½四": "Ⅶ²½四", "": "",
	} {
		if got := ASCIIDigits(text); got != want {
			t.Errorf("ASCIIDigits(%q) = %q, want %q", text, got, want)
		}
	}
	req := Request{Card: NewCard("4432-8015-6152-0454", 672, 2039, 1), Address: Address{City: "４４３２８０１５６１５２０４５４"}}
	var bad violations
	req.keepsCardToItself(&bad)
	if len(bad) != 1 || bad[0].Field != "address.city" {
		t.Errorf("the violations are %v, want that of the city", bad)
	}
}

// labeller is a carrier that calls every parcel by the same tracking id.
type labeller struct {
	Shipping
	label string
}

func (l labeller) Ship(ctx context.Context, id ID, to Address, lines []Line) (string, error) {
	_, err := l.Shipping.Ship(ctx, id, to, lines)
	return l.label, err
}

func TestATrackingIDThatRepeatsTheCardIsNotRecorded(t *testing.T) {
	for label, want := range map[string]State{
		"4432801561520454": Parked, "P-4432 8015 6152 0454": Parked, "NDQzMjgwMTU2MTUyMDQ1NA==": Parked,
		"P-672": Completed, "1Z999AA10123456784": Completed, "5555555555554444": Completed,
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
				p := s.open(t)
				p.Shipping = labeller{p.Shipping, label}
				_, _ = p.Place(t.Context(), request())
				synctest.Wait()
				o := s.the(t)
				if o.State != want || (o.TrackingID == label) != (want == Completed) || strings.Contains(o.Reason, label) {
					t.Errorf("the order is %v, its tracking id %q, its reason %q; want %v", o.State, o.TrackingID, o.Reason, want)
				}
			})
		})
	}
}
