//go:build browser

package browser

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// inject sets how a call of checkout goes wrong, on the page of fault injection.
func (p *tab) inject(call, fault string) {
	p.t.Helper()
	p.visit("/faults")
	p.unfold("#set-" + call)
	p.choose("#fault-"+call, fault)
	p.follow("#set-" + call)
	if fault == "none" {
		p.await("document.querySelector(" + quote("#now-"+call) + ").textContent === 'no fault'")
	}
}

// unfold opens the details that an element is in.
func (p *tab) unfold(selector string) {
	p.t.Helper()
	read[bool](p, "document.querySelector("+quote(selector)+").closest('details').open = true")
}

// doubtful is an order whose payment is not known.
func (p *tab) doubtful() (id string) {
	p.t.Helper()
	p.inject("charge", "lose")
	p.fill()
	p.follow("#place-order")
	p.sees("#news", "Please do not pay again")
	return p.order()
}

// decides waits until the console offers to decide about the order, which is in that state.
func (p *tab) decides(id, state string) {
	p.t.Helper()
	p.visit("/console/attention")
	p.sees("#rows", id)
	p.follow("#rows a[href$='" + id + "']")
	p.sees("#decide", "Your decision is required")
	p.sees("#state-of", state)
}

// confirms is a decision that is shown, and then made.
func (p *tab) confirms(next string) {
	p.t.Helper()
	p.sees("h1", "this cannot be undone")
	p.sees("#next", next)
	p.follow("[data-testid=confirm]")
}

func TestAnOperatorResolvesAnOrderThatWasPaid(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	id := p.doubtful()
	p.unfold("#to-console")
	p.follow("#to-console")
	p.sees("#badge", "1")
	p.decides(id, "payment unknown")

	p.click("input[value=paid]")
	p.write("#resolve-why", "the bank's statement of today")
	p.write("#resolve-by", "Grace")
	p.expect(http.StatusConflict)
	p.follow("[data-testid=resolve]") // without the transaction
	p.sees("#decide [role=alert]", "It was not done")
	if why := read[string](p, "document.querySelector('#resolve-why').value"); why != "the bank's statement of today" {
		t.Errorf("the reason in the form is %q, want what was typed", why)
	}
	p.write("#transaction", "tx-4f1c")
	p.click("input[value=not_paid]")
	p.expect(http.StatusBadRequest)
	p.follow("[data-testid=resolve]") // a contradiction
	p.sees("#decide [role=alert]", "belongs to an order that was paid")
	p.click("input[value=paid]")
	p.follow("[data-testid=resolve]")
	p.photograph("console-confirm.png")
	p.confirms("The order is shipped")

	p.sees("#state-of", "completed")
	p.sees("#facts", "tx-4f1c")
	p.sees("#history", "by Grace")
	p.sees("#history", "the bank's statement of today")
	p.await("document.querySelector('#decide').children.length === 0")
	p.visit("/console/attention")
	p.sees("#rows", "There are no such orders.")
	p.visit("/orders/" + id) // as its customer sees it
	p.sees("#order-state", "completed")
	p.visit("/reconciliation")
	p.sees("#reconciliation tbody", id)
	p.await("document.querySelector('#result').dataset.result === 'matched'")
}

func TestAnOperatorResolvesAnOrderThatWasNotPaid(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	id := p.doubtful()
	p.size(320, 740)
	p.decides(id, "payment unknown")
	p.tabTo("input[name=resolution]") // by the keyboard alone
	p.press(kb.ArrowDown)
	p.tabTo("#resolve-why")
	p.press("nothing in the books")
	p.tabTo("#resolve-by")
	p.press("Ada")
	p.leave(func() { p.press(kb.Enter) })
	p.tabTo("[data-testid=confirm]")
	p.leave(func() { p.press(kb.Enter) })
	p.sees("#state-of", "cancelled")
	p.sees("#history", "by Ada")
	p.sees("#history", "nothing in the books")
	p.visit("/orders/" + id)
	p.sees("#order-state", "cancelled")
}

func TestAnOperatorRetriesAParkedOrder(t *testing.T) {
	t.Parallel()
	shop := startShop(t, "-orders", "1", "-keep", "-unshippable", "1") // shipping has come to its senses since
	p := open(t, shop.url)
	p.visit("/console/")
	p.sees("#notice", "1 order requires manual action.")
	p.follow("#notice li a")
	p.sees("#state-of", "parked")
	p.write("#retry-why", "the carrier takes it now")
	p.write("#retry-by", "Grace")
	p.follow("[data-testid=retry]")
	p.confirms("The order is shipped")
	p.sees("#state-of", "completed")
	p.sees("#history", "by Grace")
	p.sees("#history", "the carrier takes it now")
	p.visit("/reconciliation")
	p.await("document.querySelector('#result').dataset.result === 'matched'")
}

func TestAnOperatorSaysThatAnOrderWasShipped(t *testing.T) {
	t.Parallel()
	p := open(t, startShopIn(t, []string{"CHECKOUT_SHIP_ATTEMPTS=1"}).url)
	p.inject("ship", "lose")
	p.fill()
	p.follow("#place-order")
	p.sees("#order-state", "parked") // paid, so this is no failure to its customer
	id := p.order()
	p.inject("ship", "none")
	p.decides(id, "parked")
	p.sees("#history", "shipped or not? Attempts: 1")
	p.photograph("console-shipped-or-not.png")

	p.click("input[value=shipped]")
	p.write("#tracking", "T-4711")
	p.write("#resolve-why", "in the list of parcels")
	p.write("#resolve-by", "Grace")
	p.follow("[data-testid=resolve]")
	p.confirms("The confirmation and the event are sent")
	p.sees("#state-of", "completed")
	p.sees("#facts", "T-4711")
	p.visit("/emails")
	p.sees("[aria-label='E-mail for order "+id+"']", "T-4711")
}

func TestAnOperatorSkipsAnEmailThatIsRefusedForGood(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	p.inject("email", "refuse-for-good")
	p.fill()
	p.follow("#place-order")
	id := p.order()
	p.sees("#order-state", "placed") // to its customer it is on its way
	p.sees("#order", "could not be delivered")
	p.decides(id, "undelivered")
	p.photograph("console-undelivered.png")

	p.click("input[name=skip][value=email]")
	p.write("#resolve-why", "the customer was called")
	p.write("#resolve-by", "Grace")
	p.follow("[data-testid=resolve]")
	p.confirms("The order is complete")
	p.visit("/console/audit")
	p.sees("main", "the customer was called")
	p.visit("/console/orders")
	p.write("#order", id[:13])
	p.follow("[data-testid=find]")
	p.sees("#rows", id)
	p.follow("#rows a[href$='" + id + "']")
	p.sees("#state-of", "completed")
	p.sees("#facts", "Skipped")
	p.sees("#history", "the customer was called")
}

func TestAnOperatorRefundsAPartOnAPhone(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t, "-payment", "keyed").url)
	p.fill()
	p.follow("#place-order")
	id := p.order()
	p.size(390, 844)
	p.visit("/console/orders/" + id)
	p.sees("#state-of", "completed")
	p.click("#money-back summary")
	p.see("console-refund-phone")
	p.write("#amount", "USD 9999")
	p.write("#refund-why", "broken")
	p.write("#refund-by", "Grace")
	p.expect(http.StatusConflict)
	p.follow("[data-testid=refund]")
	p.sees("#decide [role=alert]", "left of the charge")
	p.see("console-refund-refused-phone")
	p.write("#amount", "USD 1.50")
	p.follow("[data-testid=refund]")
	p.sees("#next", "USD 1.50")
	p.see("console-refund-confirm-phone")
	p.follow("[data-testid=confirm]")
	p.sees("#history", "refunded USD 1.50 of")
	p.sees("#facts", "USD 1.50")
	p.sees("#state-of", "completed")
	p.visit("/console/audit")
	p.sees("main", "broken")
	p.see("console-audit-phone")
}

func TestWhoDoesNotKnowTheTokenIsKeptOut(t *testing.T) {
	t.Parallel()
	p := open(t, startConsole(t).url)
	p.visit("/orders")
	if at := p.path(); at != "/login" {
		t.Fatalf("without a token the page is %s, want the form that asks for it", at)
	}
	p.write("#token", "another token")
	p.expect(http.StatusUnauthorized)
	p.follow("button.main")
	p.sees("[role=alert]", "That is not the token.")
	p.write("#token", token)
	p.expect(http.StatusServiceUnavailable) // there is no service
	p.follow("button.main")
	p.sees("h1", "This cannot be shown")
	p.visit("/")
	p.sees("#checks", "DOWN")
}
