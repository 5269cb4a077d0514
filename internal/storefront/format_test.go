package storefront

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"checkout/gen/checkout/checkoutv1"
)

func TestIDsConsistOfTheirAlphabet(t *testing.T) {
	t.Parallel()
	for range 100 {
		if id := rand.Text(); !consistsOf(id, 26, base32) {
			t.Errorf("%q is no shopper's id", id)
		}
	}
	a := strings.Repeat("A", 26)
	for _, id := range []string{"", a[1:], a + "A", "a" + a[1:], a[1:] + "1", a[:13] + "\x00" + a[:12]} {
		if consistsOf(id, 26, base32) {
			t.Errorf("%q is a shopper's id", id)
		}
	}
}

func TestAnUndeliveredOrderIsOnItsWayToItsCustomer(t *testing.T) {
	t.Parallel()
	o := &checkoutv1.Order{
		State: checkoutv1.OrderState_UNDELIVERED, RequiresOperator: true, TransactionId: "tx 1", TrackingId: "parcel 1",
		Undeliverable: []string{"email"}, Skipped: []string{"event"},
	}
	page := orderPage{Order: o}
	if page.State() != checkoutv1.OrderState_PLACED || page.News().Open {
		t.Errorf("it is %v, and its news are %+v; want it placed, for good", page.State(), page.News())
	}
	want := []step{
		{"Paid", "good", "transaction tx 1"},
		{"Shipped", "good", "parcel parcel 1"},
		{"Confirmed by e-mail", "warn", "could not be delivered"},
		{"Cart emptied", "good", ""},
		{"Published to Kafka", "warn", "skipped"},
	}
	if diff := cmp.Diff(want, append(page.Steps(), page.Deliveries()...)); diff != "" {
		t.Errorf("its steps (-want +got):\n%s", diff)
	}
}

func TestAPageOfLongTextsIsShort(t *testing.T) {
	t.Parallel()
	same := func(text string) string { return text }
	quotes := strings.Repeat(`"`, maxText/10) // each is five bytes of HTML
	for name, test := range map[string]struct {
		texts []string
		want  int
	}{
		"none":     {nil, 0},
		"short":    {make([]string, listed), listed},
		"long":     {slices.Repeat([]string{quotes}, listed), 2},
		"too long": {[]string{quotes + quotes + quotes, "b"}, 1},
	} {
		if got := len(fitting(test.texts, same)); got != test.want {
			t.Errorf("%s: %d texts, want %d", name, got, test.want)
		}
	}
}
