//go:build browser

package browser

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

func TestCheckoutIsKilledInMidOrderUnderLoad(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t, "-payment", "keyed", "-shipping", "keyed").url)
	p.visit("/faults")
	before := p.text("#pid")
	p.setLoad(20)
	p.await("Number(document.querySelector('#load-placed').innerText) > 50")
	p.follow("#preset-kill")
	p.sees("[data-testid=crash-report]", "Process "+before+" was killed")
	p.await("document.querySelector('#process-state').dataset.serving === 'true' && document.querySelector('#pid').innerText !== " + quote(before))
	p.sees("#restarts", "1")
	p.sees("[data-testid=crash-report]", "A new one started")
	p.sees("[data-testid=preset-order] td:nth-of-type(2)", "completed")
	p.sees("[data-testid=crash-report] .notice", "is on its way")
	p.await("document.querySelector('[data-testid=crash-report]').dataset.open === '0'")

	p.photograph("faults.png")
	p.follow("[data-testid=preset-order] a")
	id := p.order()
	p.sees("#order-state", "completed")
	p.visit("/faults")
	p.follow("#stop-load")
	p.visit("/reconciliation")
	p.await("document.querySelector('#result').dataset.result === 'matched'")
	p.visit("/console/orders/" + id)
	p.sees("#history", "charged")
	p.sees("#history", "completed")
}

func TestCheckoutIsKilledWhileACustomerPays(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t, "-payment", "keyed", "-shipping", "keyed").url)
	p.fill()
	form := read[string](p, "new URLSearchParams(new FormData(document.querySelector('#checkout'))).toString()")
	p.expect(http.StatusServiceUnavailable)
	read[bool](p, `(window.paid = fetch('/checkout', {method: 'POST', body: new URLSearchParams(`+quote(form)+`)}),
		fetch('/faults/kill', {method: 'POST'}).then(() => window.paid).then(() => true))`)
	p.visit("/faults")
	p.await("document.querySelector('#process-state').dataset.serving === 'true'")
	p.visit("/cart")
	if read[bool](p, "Boolean(document.querySelector('#place-order'))") { // it had not been charged
		p.follow("#place-order")
	} else {
		p.follow("#check-status, #last-order")
	}
	p.order()
	p.sees("#order-state", "completed")
	p.visit("/reconciliation")
	p.await("document.querySelector('#result').dataset.result === 'matched'")
	p.sees("#result", "once: 2") // the shop's first, and this
}

// setLoad moves the slider to so many orders a second, with the keyboard, and sets that.
func (p *tab) setLoad(rate int) {
	p.t.Helper()
	const step = 5
	p.click("#rate")
	p.press(kb.Home)
	for range rate / step {
		p.press(kb.ArrowRight)
	}
	p.sees("#rate-value", string(rune('0'+rate/10))+"0")
	p.follow("#set-load")
}
