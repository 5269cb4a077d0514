package creditcard

import (
	"crypto/sha256"
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"testing"

	"checkout/internal/test/cardtest"
)

const (
	echoNumber = "4432801561520454"
	echoCVV    = 7221
)

func TestAnEchoOfTheCardIsRecognizedInEverySpelling(t *testing.T) {
	t.Parallel()
	card := New("4432-8015-6152-0454", echoCVV, 2039, 1)
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
	card := New("4432-8015-6152-0454", echoCVV, 2039, 1)
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
	card := New("4432-8015-6152-0454", 672, 2039, 1)
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
	card := New("4432-8015-6152-0454", 672, 2039, 1)
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
	card := New("4432-8015-6152-0454", 672, 2039, 1)
	b.ReportAllocs()
	for b.Loop() {
		card.IsIn("01890a5d-ac96-774b-bcce-b302099a8057")
	}
}

func TestACardThatNobodyRemembersMayBeInATextUnlessItIsPlain(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{echoNumber, fmt.Sprint(echoCVV), "672"} {
		for _, s := range cardtest.Spellings(secret) {
			if text := "not " + s.Text; !MayHold(text) {
				t.Errorf("%s: %q is taken for plain", s.Name, text)
			}
		}
	}
	for _, text := range []string{"", "the bank is closed", "The idempotency key was reversed.", "connection refused by the acquirer", "Insufficient funds: do not honour!"} {
		if MayHold(text) {
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
}
