package storefront

import (
	"context"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/demo"
	"checkout/internal/test/nettest"
)

// update rewrites the golden files.
var update = flag.Bool("update", false, "rewrite the golden files")

// fillCart puts a flashlight and two stickers into the browser's cart and returns the checkout form, filled in.
func (s *testShop) fillCart(t *testing.T) url.Values {
	t.Helper()
	s.press(t, "/cart", "product", "LS4PSXUNUM", "quantity", "1")
	s.press(t, "/cart", "product", "STICKER020", "quantity", "2")
	return s.form(t, s.see(t, "/cart"))
}

// form is the checkout form as a page shows it.
func (s *testShop) form(t *testing.T, page string) url.Values {
	t.Helper()
	form := values("currency", "USD")
	for _, name := range strings.Fields("key email street city zip state country card month year cvv") {
		form.Set(name, first(t, page, `name="`+name+`"[^>]* value="([^"]*)"`))
	}
	return form
}

// order orders what the form says, which has to go well, and returns the order's id.
func (s *testShop) order(t *testing.T, form url.Values) string {
	t.Helper()
	status, to := s.post(t, "/checkout", form)
	id, ok := strings.CutPrefix(to, "/orders/")
	if status != http.StatusSeeOther || !ok {
		t.Fatalf("status %d: %s", status, to)
	}
	return id
}

func TestWhatIsBoughtIsSeenOnEveryPage(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	form.Set("currency", "EUR")
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `id="cart-total">USD 57.48<`) || !strings.Contains(cart, `<option>EUR</option>`) {
		t.Errorf("the cart: %s", cart)
	}
	id := s.order(t, form)

	order := s.watch(t, "/orders/"+id, "order", `data-state="completed"`)
	if total := first(t, order, `id="order-total">([^<]*)<`); !strings.HasPrefix(total, "EUR ") {
		t.Errorf("the total is %s", total)
	}
	if n := strings.Count(order, `<li class="good"><strong>`); n != 5 {
		t.Errorf("%d of 5 steps are done: %s", n, order)
	}
	if !strings.Contains(order, `href="/console/orders/`+id+`"`) {
		t.Error("no way to the console")
	}
	trace := s.watch(t, strings.TrimSuffix(first(t, order, `id="to-trace" href="([^"]*)"`), "/"), "trace", "orders publish")
	for _, span := range []string{"oteldemo.CheckoutService/PlaceOrder", "charged", "POST /ship-order"} {
		if !strings.Contains(trace, span) {
			t.Errorf("the trace lacks %s", span)
		}
	}
	s.watch(t, "/topic", "topic", id)
	if letter := s.watch(t, "/mailbox", "mailbox", id); !strings.Contains(letter, "Your order is on its way") {
		t.Errorf("the letter: %s", letter)
	}
	s.watch(t, "/books", "books", `data-verdict="balanced"`)
	if list := s.see(t, "/orders"); !strings.Contains(list, id) {
		t.Errorf("the list: %s", list)
	}
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `data-testid="empty"`) {
		t.Errorf("the cart is not empty: %s", cart)
	}
	if strings.Contains(digitsOf(s.log.String()), digitsOf(form.Get("card"))) || strings.Contains(s.log.String(), form.Get("email")) {
		t.Error("a log has the card or the e-mail address")
	}
}

func digitsOf(text string) string { return regexp.MustCompile(`[ -]`).ReplaceAllString(text, "") }

func TestAFormThatIsSentTwiceIsOneOrder(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	var ids [3]string
	var clicks sync.WaitGroup
	for i := range ids[:2] { // a double click
		clicks.Go(func() { _, ids[i] = s.post(t, "/checkout", form) })
	}
	clicks.Wait()
	_, ids[2] = s.post(t, "/checkout", form) // and the form again, with the cart empty
	if ids[0] != ids[1] || ids[1] != ids[2] || !strings.HasPrefix(ids[0], "/orders/") {
		t.Errorf("it leads to %q", ids)
	}
	if n := len(s.Payment.Charges()); n != 1 {
		t.Errorf("%d charges, want 1", n)
	}
}

func TestARefusalIsToldHonestly(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	for _, test := range []struct {
		name          string
		change        func(url.Values)
		seam, fault   string
		status        int
		reason, words string
		sameKey       bool
		charges       int
	}{
		{"a card that the shop does not take", func(f url.Values) { f.Set("card", amexCard) }, "", "", 422, "CARD_DECLINED", "Your card has not been charged.", false, 0},
		{"no card", func(f url.Values) { f.Set("card", "1234") }, "", "", 422, "INVALID_REQUEST", "credit_card.credit_card_number", true, 0},
		{"no number where one belongs", func(f url.Values) { f.Set("month", "May") }, "", "", 422, "INVALID_REQUEST", "credit_card.credit_card_expiration_month", true, 0},
		{"an unknown currency", func(f url.Values) { f.Set("currency", "XYZ") }, "", "", 422, "INVALID_REQUEST", "user_currency", true, 0},
		{"no quote", nil, "quote", "refuse", 503, "UNAVAILABLE", "Ask again in a while: it is safe.", true, 0},
		{"a charge whose answer is lost", nil, "charge", "lose", 409, "PAYMENT_UNKNOWN", "It is not known whether your card was charged.", true, 1},
	} {
		s.press(t, "/trouble/end")
		s.http = s.browser(t) // a new customer
		t.Cleanup(s.http.CloseIdleConnections)
		before, form := len(s.Payment.Charges()), s.fillCart(t)
		if test.change != nil {
			test.change(form)
		}
		if test.seam != "" {
			s.press(t, "/trouble/seam", "seam", test.seam, "latency", "0", "fault", test.fault, "chance", "100")
		}
		status, page := s.post(t, "/checkout", form)
		if status != test.status || first(t, page, `data-reason="([^"]*)"`) != test.reason || !strings.Contains(page, test.words) {
			t.Errorf("%s: status %d: %s", test.name, status, page)
		}
		if again := s.form(t, page); (again.Get("key") == form.Get("key")) != test.sameKey || again.Get("street") != form.Get("street") {
			t.Errorf("%s: the form had %v, and has %v", test.name, form, again)
		} else if form.Get("card") != goodCard && again.Get("card") != goodCard {
			t.Errorf("%s: the page tells the card", test.name)
		}
		if n := len(s.Payment.Charges()) - before; n != test.charges {
			t.Errorf("%s: %d charges, want %d", test.name, n, test.charges)
		}
	}
}

func TestAnOrderInDoubtIsShownAsOne(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	s.press(t, "/trouble/seam", "seam", "charge", "latency", "0", "fault", "lose", "chance", "100")
	_, page := s.post(t, "/checkout", form)
	order := s.watch(t, first(t, page, `<a href="(/orders/[^"]*)"`), "order", `data-state="in doubt"`)
	if !strings.Contains(order, "the shop has to look at it") || strings.Contains(order, `<li class="good"><strong>Paid`) {
		t.Errorf("the order: %s", order)
	}
	s.watch(t, "/books", "books", `data-verdict="open".*paid, not shipped yet`)
}

func TestWithoutWordOfItsOrdersTheReceiptIsShown(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(o *Options) { o.Orders = connect(t, nettest.Reserve(t)) }) // as with another checkout
	id := s.order(t, s.fillCart(t))
	page := s.see(t, "/orders/"+id)
	if !strings.Contains(page, "is not known now") || first(t, page, `id="tracking"><code>([^<]*)<`) == "" {
		t.Errorf("the page: %s", page)
	}
	if status, page := s.get(t, "/orders"); status != http.StatusServiceUnavailable || !strings.Contains(page, "Checkout does not answer") {
		t.Errorf("status %d: %s", status, page)
	}
	if board := s.see(t, "/trouble"); !strings.Contains(board, "not known now") {
		t.Errorf("the board: %s", board)
	}
}

func TestANeighbourThatIsAwayIsNamed(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.fillCart(t)
	for name, path := range map[string]string{"catalog": "/", "cart": "/cart"} {
		s.press(t, "/trouble/neighbour", "name", name, "away", "yes")
		if status, page := s.get(t, path); status != http.StatusServiceUnavailable || !strings.Contains(page, "does not answer") {
			t.Errorf("without %s: status %d: %s", name, status, page)
		}
		s.press(t, "/trouble/neighbour", "name", name, "away", "no")
	}
	for _, path := range []string{"/", "/cart"} {
		for start := time.Now(); ; { // a connection comes back within a tenth of a second
			status, page := s.get(t, path)
			if status == http.StatusOK {
				break
			}
			if time.Since(start) > patience {
				t.Fatalf("%s, when all are back: status %d: %s", path, status, page)
			}
		}
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	for path, want := range map[string]int{
		"/nowhere": 404, "/orders/nonsense": 404, "/orders/01890a5d-ac96-774b-bcce-b302099a8057": 404, "/traces/xyz": 404,
		"/traces/0123456789abcdef0123456789abcdef": 200, "/assets/style.css": 200, "/assets/shop.css": 200,
	} {
		if status, page := s.get(t, path); status != want {
			t.Errorf("%s: status %d: %s", path, status, page)
		}
	}
	for path, form := range map[string]url.Values{
		"/cart":     values("product", "NOTHING", "quantity", "1"),
		"/checkout": values("key", "k"), // nobody's cart
	} {
		if status, page := s.post(t, path, form); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d: %s", path, status, page)
		}
	}
	for _, quantity := range []string{"0", "-1", "101", "many"} {
		if status, page := s.post(t, "/cart", values("product", "LS4PSXUNUM", "quantity", quantity)); status != http.StatusUnprocessableEntity {
			t.Errorf("%s pieces: status %d: %s", quantity, status, page)
		}
	}
}

func TestOtherSitesCanDoNothing(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/trouble/crash", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := s.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden || s.child.Status().Restarts != 0 {
		t.Errorf("status %d, %+v", response.StatusCode, s.child.Status())
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, path := range []string{"/", "/cart", "/orders", "/mailbox", "/topic", "/books", "/trouble"} {
		page := s.see(t, path)
		if inline := regexp.MustCompile(`(?i)<style|<script>| style="| on[a-z]+="|javascript:`).FindString(page); inline != "" {
			t.Errorf("%s has %s", path, inline)
		}
		if len(page) > 60<<10 {
			t.Errorf("%s has %d bytes", path, len(page))
		}
	}
}

// The pages that look the same every time, from their main element on.
func TestPagesLookAsTheyDid(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	for name, path := range map[string]string{"products": "/", "cart-empty": "/cart", "books-empty": "/books", "topic-empty": "/topic", "not-found": "/nowhere"} {
		_, page := s.get(t, path)
		got := first(t, page, `(?s)(<main.*</main>)`)
		got = regexp.MustCompile(`\?[0-9a-f]{12}"`).ReplaceAllString(got, `"`) // the marks of assets
		file := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-update takes it):\n%s", path, diff)
		}
	}
}

func TestOrdersAreJudgedByTheLedgers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		demo.Tally
		tone string
	}{
		{demo.Tally{Charges: 1, Parcels: 1, Letters: 1, Events: 1}, "good"},
		{demo.Tally{Charges: 1, Parcels: 1, Letters: 2, Events: 3}, "good"},
		{demo.Tally{Charges: 1, Refunds: 1}, "good"},
		{demo.Tally{Charges: 1}, "warn"},
		{demo.Tally{Charges: 1, Parcels: 1, Events: 2}, "warn"},
		{demo.Tally{Charges: 1, Parcels: 1, Letters: 1}, "warn"},
		{demo.Tally{Charges: 2, Parcels: 1, Letters: 1, Events: 1}, "bad"},
		{demo.Tally{Charges: 1, Parcels: 2, Letters: 1, Events: 1}, "bad"},
		{demo.Tally{Parcels: 1, Letters: 1, Events: 1}, "bad"},
		{demo.Tally{Charges: 1, Refunds: 1, Parcels: 1}, "bad"},
		{demo.Tally{Events: 1}, "bad"},
		{demo.Tally{Letters: 1}, "bad"},
		{demo.Tally{Charges: 1, Refunds: 1, Letters: 1}, "bad"},
		{demo.Tally{Charges: 2, Refunds: 2, Events: 1}, "bad"},
	} {
		if got := judge(test.Tally); got.Tone != test.tone || got.Words == "" {
			t.Errorf("%+v: %v, want %s", test.Tally, got, test.tone)
		}
	}
}

func TestOrdersThatWereGivenBackAreCountedApart(t *testing.T) {
	t.Parallel()
	var page booksPage
	for _, tally := range []demo.Tally{
		{Charges: 1, Refunds: 1}, {Charges: 1, Refunds: 1}, {Charges: 1, Parcels: 1, Letters: 1, Events: 1}, {Charges: 1}, {Events: 1},
	} {
		page.count(judge(tally))
	}
	if page.GivenBack != 2 || page.Balanced != 1 || page.Open != 1 || page.Wrong != 1 {
		t.Errorf("counted %+v, want 2 given back and one of each other kind", page)
	}
}

func TestNothingBeginsAfterClose(t *testing.T) {
	t.Parallel()
	s := new(Storefront)
	s.life, s.end = context.WithCancel(t.Context())
	var running atomic.Int64
	var requests sync.WaitGroup
	begun := make(chan struct{}, 1)
	for range 8 {
		requests.Go(func() { // goes on until it is told no
			for s.begin(func() {
				running.Add(1)
				defer running.Add(-1)
				select {
				case begun <- struct{}{}:
				default:
				}
			}) {
			}
		})
	}
	<-begun
	closeWell(t, s.Close)
	if n := running.Load(); n != 0 {
		t.Errorf("after Close, %d go on", n)
	}
	requests.Wait()
	if s.begin(func() { t.Error("it has begun") }) {
		t.Error("something could begin after Close")
	}
}
