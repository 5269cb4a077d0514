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
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/nettest"
	"checkout/internal/wire"
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
	return s.formOf(t, page, "key total email street city zip state country card month year cvv")
}

func (s *testShop) formOf(t *testing.T, page, names string) url.Values {
	t.Helper()
	form := values("currency", "USD")
	for name := range strings.FieldsSeq(names) {
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
	form.Del("total")
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
	s.watch(t, "/events", "events", id)
	if mail := s.watch(t, "/emails", "emails", id); !strings.Contains(mail, "Your order is on its way") {
		t.Errorf("the e-mail: %s", mail)
	}
	s.watch(t, "/reconciliation", "reconciliation", `data-result="matched"`)
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

// A customer who got no answer, such as in a crash, finds the cart empty once the order is shipped.
func TestAnEmptyCartLeadsToTheOrderThatWasNotAnswered(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	_, path := s.post(t, "/checkout", s.fillCart(t))
	s.site.receipts.all = nil // as if no answer had come
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `id="last-order" href="`+path+`"`) {
		t.Errorf("the cart after %s was ordered: %s", path, cart)
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

func TestACustomerWithTooManyDeclinesIsAskedToWaitAsLongAsIsNeeded(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		time.Second: "in a minute.", time.Minute: "in a minute.", 61 * time.Second: "in 2 minutes.", 10 * time.Minute: "in 10 minutes.",
	} {
		answer, err := status.New(codes.ResourceExhausted, "too many declined charges of one user").WithDetails(
			&errdetails.ErrorInfo{Reason: "LIMIT_REACHED", Metadata: map[string]string{"money_moved": "unknown", "safe_to_retry": "true"}},
			&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
		if err != nil {
			t.Fatal(err)
		}
		got := refusalOf(answer.Err())
		if said := got.Title + ". " + got.Money + " " + got.Advice; said != "Too many attempts. Your card is charged once at most, even if you have sent this order before. Please try again "+want || got.status != http.StatusTooManyRequests {
			t.Errorf("status %d: %q, want to be asked to come back %s", got.status, said, want)
		}
	}
}

func TestARefusalSaysWhatIsTrue(t *testing.T) {
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
		{"a card that the shop does not take", func(f url.Values) { f.Set("card", "3782-822463-10005") }, "", "", 422, "CARD_DECLINED", "Your card has not been charged.", false, 0},
		{"no card", func(f url.Values) { f.Set("card", "1234") }, "", "", 422, "INVALID_REQUEST", "Check the card number", true, 0},
		{"no number where one belongs", func(f url.Values) { f.Set("month", "May") }, "", "", 422, "INVALID_REQUEST", "Enter the month as on the card", true, 0},
		{"an unknown currency", func(f url.Values) { f.Set("currency", "XYZ") }, "", "", 422, "INVALID_REQUEST", "Your card has not been charged.", true, 0},
		{"no quote", nil, "quote", "refuse", 503, "UNAVAILABLE", "Please try again in a moment.", true, 0},
	} {
		s.press(t, "/faults/reset")
		s.http = s.browser(t) // a new customer
		t.Cleanup(s.http.CloseIdleConnections)
		before, form := len(s.Payment.Charges()), s.fillCart(t)
		if test.change != nil {
			test.change(form)
		}
		if test.seam != "" {
			s.press(t, "/faults/call", "call", test.seam, "latency", "0", "fault", test.fault, "chance", "100")
		}
		status, page := s.post(t, "/checkout", form)
		if status != test.status || first(t, page, `data-reason="([^"]*)"`) != test.reason || !strings.Contains(page, test.words) {
			t.Errorf("%s: status %d: %s", test.name, status, page)
		}
		if again := s.formOf(t, page, "key street card cvv month"); (again.Get("key") == form.Get("key")) != test.sameKey || again.Get("street") != form.Get("street") {
			t.Errorf("%s: the form had %v, and has %v", test.name, form, again)
		} else if again.Get("card")+again.Get("cvv")+again.Get("month") != "" {
			t.Errorf("%s: the page sends the card back", test.name)
		}
		if n := len(s.Payment.Charges()) - before; n != test.charges {
			t.Errorf("%s: %d charges, want %d", test.name, n, test.charges)
		}
	}
}

func TestAnOrderWhosePaymentIsUnknownIsFollowedAndNotPaidAgain(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	s.press(t, "/faults/call", "call", "charge", "latency", "0", "fault", "lose", "chance", "100")
	id := s.order(t, form)
	order := s.watch(t, "/orders/"+id, "order", `data-state="payment unknown"`)
	if !strings.Contains(order, "Please do not pay again") || !strings.Contains(order, `id="check-status"`) || strings.Contains(order, `<li class="good"><strong>Paid`) {
		t.Errorf("the order: %s", order)
	}
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `id="check-status" href="/orders/`+id+`"`) || strings.Contains(cart, `id="place-order"`) {
		t.Errorf("the cart: %s", cart)
	}
	if again := s.order(t, form); again != id || len(s.Payment.Charges()) != 1 {
		t.Errorf("the form sent again leads to order %s after %d charges; want %s after one", again, len(s.Payment.Charges()), id)
	}
	s.watch(t, "/reconciliation", "reconciliation", `data-result="pending".*1 payment unknown.*payment unknown</span>`)
}

func TestTheCartSaysThatTheLastOrderIsNotSettled(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	s.press(t, "/faults/call", "call", "ship", "latency", "0", "fault", "refuse-for-good", "chance", "100")
	id := s.order(t, form)
	s.watch(t, "/orders/"+id, "order", `Your order is delayed.*data-state="parked"`)
	cart := s.see(t, "/cart") // it is not emptied
	if !strings.Contains(cart, "please do not order again") || !strings.Contains(cart, `id="check-status" href="/orders/`+id+`"`) || !strings.Contains(cart, `id="place-order"`) {
		t.Errorf("the cart: %s", cart)
	}
	if again := s.order(t, form); again != id || len(s.Payment.Charges()) != 1 {
		t.Errorf("the form sent again leads to order %s after %d charges; want %s after one", again, len(s.Payment.Charges()), id)
	}
}

func TestTheTotalThatIsShownIsCharged(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	if form.Get("total") != "USD 84.45" { // 57.08 + 2 · 0.20 + 3 · 8.99 for shipping
		t.Errorf("the total is %s", form.Get("total"))
	}
	form.Set("currency", "JPY") // and the old total
	status, page := s.post(t, "/checkout", form)
	if status != http.StatusUnprocessableEntity || first(t, page, `data-reason="([^"]*)"`) != "PRICE_CHANGED" {
		t.Errorf("in another currency: status %d: %s", status, page)
	}
	_, page = s.post(t, "/cart/quote", form)
	form.Set("total", first(t, page, `name="total" value="(JPY \d+)"`))
	s.press(t, "/cart", "product", "STICKER020", "quantity", "1") // in another tab
	status, page = s.post(t, "/checkout", form)
	if status != http.StatusUnprocessableEntity || first(t, page, `data-reason="([^"]*)"`) != "PRICE_CHANGED" || !strings.Contains(page, "Your card has not been charged.") {
		t.Errorf("with another sticker: status %d: %s", status, page)
	}
	form.Set("total", first(t, page, `name="total" value="(JPY \d+)"`))
	s.order(t, form)
	if charged := wire.Price(s.Payment.Charges()[0].Amount); charged != form.Get("total") || s.Payment.Count("Charge") != 1 {
		t.Errorf("charged %s, want %s; %d calls", charged, form.Get("total"), s.Payment.Count("Charge"))
	}
}

func TestACartCanBeChanged(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.fillCart(t)
	s.press(t, "/cart/line", "product", "STICKER020", "quantity", "5")
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `id="cart-total">USD 58.08<`) || first(t, cart, `id="cart-count">(\d+)<`) != "6" {
		t.Errorf("with five stickers: %s", cart)
	}
	s.press(t, "/cart/line", "product", "LS4PSXUNUM", "quantity", "1", "remove", "yes")
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `id="cart-total">USD 1.00<`) || strings.Contains(cart, "Red Flashlight") {
		t.Errorf("without a flashlight: %s", cart)
	}
	if status, page := s.post(t, "/cart/line", values("product", "STICKER020", "quantity", "0")); status != http.StatusUnprocessableEntity {
		t.Errorf("no stickers: status %d: %s", status, page)
	}
	s.press(t, "/cart/empty")
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `data-testid="empty"`) || strings.Contains(cart, `id="last-order"`) {
		t.Errorf("empty: %s", cart)
	}
}

func TestTheFirstWrongFieldHasTheFocus(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	form.Set("zip", "940")
	form.Set("city", " ")
	status, page := s.post(t, "/checkout", form)
	if status != http.StatusUnprocessableEntity || strings.Count(page, `aria-invalid="true"`) != 2 || strings.Count(page, " autofocus") != 1 {
		t.Errorf("status %d: %s", status, page)
	}
	if field := first(t, page, `(<input id="city"[^>]*>)`); !strings.Contains(field, " autofocus") || !strings.Contains(page, `id="zip-problem">Enter the postal code`) {
		t.Errorf("the field is %s in %s", field, page)
	}
	if len(s.Payment.Calls("Charge")) > 0 {
		t.Error("checkout was asked for the order")
	}
}

func TestEveryTabLeadsToTheOrderThatExists(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	old := s.fillCart(t)
	s.press(t, "/cart", "product", "STICKER020", "quantity", "1") // in a second tab
	form := s.form(t, s.see(t, "/cart"))
	if old.Get("key") == form.Get("key") {
		t.Error("another cart has the same key")
	}
	id := s.order(t, form)
	if again := s.order(t, old); again != id {
		t.Errorf("the form of the first tab leads to %s, want %s", again, id)
	}
	form.Set("email", "grace@example.com")
	if again := s.order(t, form); again != id {
		t.Errorf("the form with another address leads to %s, want %s", again, id)
	}
	if cart := s.see(t, "/cart"); !strings.Contains(cart, `id="last-order" href="/orders/`+id+`"`) {
		t.Errorf("the cart: %s", cart)
	}
	if n := len(s.Payment.Charges()); n != 1 {
		t.Errorf("%d charges, want 1", n)
	}
}

func TestAProductThatIsGoneCanBeRemoved(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	form := s.fillCart(t)
	s.press(t, "/faults/call", "call", "catalog", "latency", "0", "fault", "gone", "chance", "100")
	if cart := s.see(t, "/cart"); !strings.Contains(cart, "not available any more") || strings.Contains(cart, `id="place-order"`) {
		t.Errorf("the cart: %s", cart)
	}
	if status, page := s.post(t, "/checkout", form); status != http.StatusUnprocessableEntity || first(t, page, `data-reason="([^"]*)"`) != "PRODUCT_UNKNOWN" {
		t.Errorf("status %d: %s", status, page)
	}
}

func TestWithoutWordOfItsOrdersTheReceiptIsShown(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(o *Options) { o.Orders = connect(t, nettest.Reserve(t)) }) // as with another checkout
	id := s.order(t, s.fillCart(t))
	page := s.see(t, "/orders/"+id)
	if !strings.Contains(page, "progress cannot be shown right now") || first(t, page, `id="tracking"><code>([^<]*)<`) == "" {
		t.Errorf("the page: %s", page)
	}
	if status, page := s.get(t, "/orders"); status != http.StatusServiceUnavailable || !strings.Contains(page, "The record of orders is not available") {
		t.Errorf("status %d: %s", status, page)
	}
	if board := s.see(t, "/faults"); !strings.Contains(board, "Not known:") {
		t.Errorf("the board: %s", board)
	}
}

func TestAServiceThatIsOfflineIsNamed(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.fillCart(t)
	for name, path := range map[string]string{"catalog": "/", "cart": "/cart"} {
		s.press(t, "/faults/availability", "name", name, "offline", "yes")
		if status, page := s.get(t, path); status != http.StatusServiceUnavailable || !strings.Contains(page, "is not available") {
			t.Errorf("without %s: status %d: %s", name, status, page)
		}
		s.press(t, "/faults/availability", "name", name, "offline", "no")
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
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/faults/kill", nil)
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
	for _, path := range []string{"/", "/cart", "/orders", "/emails", "/events", "/reconciliation", "/faults"} {
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
	for name, path := range map[string]string{"products": "/", "cart-empty": "/cart", "reconciliation-empty": "/reconciliation", "events-empty": "/events", "not-found": "/nowhere"} {
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

func TestACustomerSeesWhatWasRefunded(t *testing.T) {
	t.Parallel()
	o := &checkoutv1.Order{State: checkoutv1.OrderState_COMPLETED, TransactionId: "tx", TrackingId: "parcel", Refunded: &oteldemo.Money{CurrencyCode: "USD", Units: 5}}
	steps := orderPage{Order: o}.Steps()
	if last := steps[len(steps)-1]; len(steps) != 4 || last != (step{"Refunded", "good", "USD 5.00"}) {
		t.Errorf("the steps are %v, want the refund at the end", steps)
	}
}

func TestOrdersAreCountedByOutcome(t *testing.T) {
	t.Parallel()
	var page reconciliation
	for _, o := range []demo.Outcome{demo.Refunded, demo.Refunded, demo.Matched, demo.PaymentUnknown, demo.Parked, demo.Pending, demo.Mismatched} {
		page.count(o)
	}
	if page.Orders != 7 || page.Parked != 1 || page.Refunded != 2 || page.Matched != 1 || page.Unknown != 1 || page.Pending != 1 || page.Mismatched != 1 {
		t.Errorf("counted %+v", page)
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
