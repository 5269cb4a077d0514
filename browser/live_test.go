//go:build browser

package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Each test has two tabs: one where a user is busy, and one from which things change meanwhile.

func TestTheFocusStaysThroughAnUpdate(t *testing.T) {
	t.Parallel()
	shop := startShop(t)
	p, other := open(t, shop.url), open(t, shop.url)
	p.visit("/faults")
	p.unfold("#away-email")
	p.tabTo("#away-email")
	other.visit("/faults")
	other.follow("#away-kafka")
	p.sees("[aria-label='Bring online: kafka']", "Bring online")
	if focus := read[string](p, "document.activeElement.id"); focus != "away-email" {
		t.Fatalf("after an update the focus is on %q, want it where it was", focus)
	}
	p.leave(func() { p.press(kb.Enter) })
	p.sees("[aria-label='Bring online: email']", "Bring online")
}

func TestAClickIsOnWhatWasPressed(t *testing.T) {
	t.Parallel()
	shop := startShop(t)
	p, other := open(t, shop.url), open(t, shop.url)
	id := p.doubtful()
	p.visit("/console/attention")
	other.visit("/console/attention")
	x, y := p.find("#rows a")
	p.do("pressing", chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	for range 2 { // the age of the order has changed
		other.await(fmt.Sprintf("document.querySelector('#rows time').innerText !== %s", quote(other.text("#rows time"))))
	}
	p.do("letting go", chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	p.await("location.pathname === " + quote("/console/orders/"+id))
}

func TestASelectionStaysThroughAnUpdate(t *testing.T) {
	t.Parallel()
	shop := startShop(t)
	p, other := open(t, shop.url), open(t, shop.url)
	p.visit("/faults")
	p.sees("#stream", "live")
	p.unfold("#services")
	p.unfold("#flags-now")
	read[bool](p, "(getSelection().selectAllChildren(document.querySelector('#services tbody th')), true)")
	selected := read[string](p, "getSelection().toString()")
	other.visit("/faults")
	other.follow("#away-email")
	other.choose("#flag-unreachable", "on")
	other.follow("#set-flag-unreachable")
	p.sees("[data-testid=flag-paymentUnreachable]", "true") // is told after the services
	if now := read[string](p, "getSelection().toString()"); now != selected || selected == "" {
		t.Errorf("after an update the selection is %q, want %q", now, selected)
	}
	read[bool](p, "(getSelection().removeAllRanges(), true)")
	p.sees("[aria-label='Bring online: email']", "Bring online") // now that nobody is in its way
}

func TestWhatIsHalfDoneStaysThroughAnUpdate(t *testing.T) {
	t.Parallel()
	for name, half := range map[string]struct {
		do   func(p *tab)
		kept string
	}{
		"typed":  {func(p *tab) { p.write("#resolve-why", "the bank says") }, "document.querySelector('#resolve-why')?.value === 'the bank says'"},
		"chosen": {func(p *tab) { p.click("input[value=not_paid]") }, "document.querySelector('input[value=not_paid]')?.checked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := startShop(t)
			p, other := open(t, shop.url), open(t, shop.url)
			id := other.doubtful()
			p.decides(id, "payment unknown")
			half.do(p)
			p.click("h1") // the focus is elsewhere
			other.decides(id, "payment unknown")
			other.click("input[value=refunded]")
			other.write("#resolve-why", "it was given back")
			other.write("#resolve-by", "Ada")
			other.follow("[data-testid=resolve]")
			other.confirms("The order is over")
			p.sees("#history", "it was given back")
			p.sees("#state-of", "refunded")
			if !read[bool](p, "Boolean("+half.kept+")") {
				t.Error("an update has taken away what was half done")
			}
		})
	}
}

func TestWhatIsOpenedAndScrolledStaysThroughAnUpdate(t *testing.T) {
	t.Parallel()
	shop := startShop(t)
	p, other := open(t, shop.url), open(t, shop.url)
	p.visit("/events")
	p.size(480, 800)
	event := "article[aria-label='Event 0'] "
	p.click(event + "summary")
	p.await("document.querySelector(" + quote(event+"details") + ").open")
	other.fill()
	other.follow("#place-order")
	p.sees("article", other.order())
	if !read[bool](p, "document.querySelector("+quote(event+"details")+").open") {
		t.Error("an update has closed what was opened")
	}

	p.visit("/reconciliation")
	p.tabTo("#reconciliation .scroll")
	p.press(kb.ArrowRight)
	p.await("document.querySelector('#reconciliation .scroll').scrollLeft > 0")
	other.fill()
	other.follow("#place-order")
	p.sees("#reconciliation tbody", other.order())
	if got := read[float64](p, "document.querySelector('#reconciliation .scroll').scrollLeft"); got == 0 {
		t.Error("an update has scrolled a table back")
	}
	if !read[bool](p, "document.activeElement.matches('#reconciliation .scroll')") {
		t.Error("an update has taken the focus from a table that was scrolled by keys")
	}
}
