package creditcard

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"checkout/internal/test/cardtest"
)

const (
	echoNumber = "4432801561520454"
	echoCVV    = 7221
)

func TestAnEchoOfTheCardIsRecognizedInAnID(t *testing.T) {
	t.Parallel()
	card := New("4432-8015-6152-0454", echoCVV, 2039, 1)
	unknown := []string{"words", "lines", "hexadecimal", "hexadecimal without prefix", "HTML, hexadecimal"}
	for _, secret := range []string{echoNumber, fmt.Sprint(echoCVV)} {
		for _, s := range cardtest.Spellings(secret) {
			for _, prefix := range []string{"", "tx-", "transaction_"} {
				if id := prefix + s.Text; !card.IsIn(id) && !slices.Contains(unknown, s.Name) {
					t.Errorf("%s: the id %q is not taken for an echo of %s", s.Name, id, secret)
				}
			}
		}
	}
}

func TestOtherIDsAreNoEchoOfTheCard(t *testing.T) {
	t.Parallel()
	card := New("4432-8015-6152-0454", echoCVV, 2039, 1)
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
	if (Card{}).IsIn("0") {
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
