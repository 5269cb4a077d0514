//go:build browser

package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

const telescope = "OLJCESPC7Z"

// fill puts a telescope into the cart, and opens that.
func (p *tab) fill() {
	p.t.Helper()
	p.visit("/")
	p.follow("#add-" + telescope)
	if at := p.path(); at != "/cart" {
		p.t.Fatalf("a product was added, and the page is %s, want the cart", at)
	}
}

// order is the id of the order that the page is about.
func (p *tab) order() string {
	p.t.Helper()
	id, ok := strings.CutPrefix(p.path(), "/orders/")
	if !ok {
		p.t.Fatalf("the page is %s, want that of an order:\n%s", p.path(), read[string](p, "document.body.innerText"))
	}
	return id
}

func TestACustomerBuys(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	p.visit("/")
	p.write("#quantity-"+telescope, "2")
	p.follow("#add-" + telescope)
	p.sees("tfoot", "USD 203.92")
	p.follow("#place-order")
	id := p.order()

	p.await("document.querySelector('#order-state').dataset.state === 'completed'") // without loading it again
	for _, step := range []string{"Paid", "Shipped", "Cart emptied", "Confirmed by e-mail", "Published to Kafka"} {
		p.await("[...document.querySelectorAll('.timeline li.good strong')].some((s) => s.textContent === " + quote(step) + ")")
	}
	tracking := p.text("#tracking")
	p.unfold("#to-trace")
	p.follow("#to-trace")
	p.sees("[data-testid=waterfall]", "oteldemo.PaymentService/Charge")
	p.visit("/emails")
	p.sees("[aria-label='E-mail for order "+id+"']", tracking)
	p.visit("/events")
	p.click("article summary")
	p.sees("article details", tracking)
	p.visit("/reconciliation")
	p.await("document.querySelector('#result').dataset.result === 'matched'")
	p.sees("#reconciliation tbody", id)
	p.visit("/orders")
	p.sees("#orders tbody tr", id)
	p.visit("/cart")
	p.sees("[data-testid=empty]", "Your cart is empty")
}

func TestACustomerBuysWithoutScripts(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	p.scripts(false)
	p.fill()
	p.write("#email", "grace@example.com")
	p.follow("#place-order")
	id := p.order()
	for deadline := time.Now().Add(patience); !strings.Contains(p.text("#order-state"), "completed"); p.visit("/orders/" + id) {
		if time.Now().After(deadline) {
			t.Fatalf("the order is %s after %v, want completed", p.text("#order-state"), patience)
		}
	}
	p.visit("/emails")
	p.sees("article", "To: grace@example.com")
	if p.text("#stream") != "as of loading" {
		t.Errorf("without scripts a page calls itself %q", p.text("#stream"))
	}
	p.visit("/faults")
	p.follow("#away-email")
	p.sees("#services", "offline")
}

func TestACustomerBuysWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	p.size(320, 740)
	p.visit("/")
	p.press(kb.Tab)
	p.await("document.activeElement.matches('.skip') && document.activeElement.getBoundingClientRect().top >= 0")
	p.press(kb.Enter)
	p.await("document.activeElement.id === 'main'")
	p.tabTo("#quantity-" + telescope)
	p.press("3")
	p.tabTo("#add-" + telescope)
	p.leave(func() { p.press(kb.Enter) })
	p.await("document.querySelector('#pieces-" + telescope + "').value === '3'") // pressed over the 1 that a focused number has selected
	p.tabTo("#email")
	p.press("ada@example.org")
	p.tabTo("#currency")
	p.press("EUR")
	p.tabTo("#place-order")
	p.leave(func() { p.press(kb.Enter) })
	p.order()
	p.sees("#order-total", "EUR")
	p.sees("#order-state", "completed")
}

// tabTo presses the tabulator until an element has the focus. Whatever has it on the way must show that.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	const most = 120
	for range most {
		p.press(kb.Tab)
		if shown := read[bool](p, "parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2"); !shown {
			p.t.Errorf("on the way to %s the focus cannot be seen: %s", selector, read[string](p, "document.activeElement.outerHTML"))
		}
		if read[bool](p, "document.activeElement.matches("+quote(selector)+")") {
			return
		}
	}
	p.t.Fatalf("%s is not reached by %d tabulators", selector, most)
}

func TestTwoClicksAreOneOrder(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	p.fill()
	p.leave(func() { p.click("#place-order", 2) })
	id := p.order()
	p.sees("#order-state", "completed")
	p.visit("/reconciliation")
	p.sees("#result", "once: 2") // the shop's first, and this
	p.sees("#reconciliation tbody", id)
}
