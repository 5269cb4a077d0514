//go:build browser

package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The ways in which shopping goes wrong. Each leads to a page that says what to do, and to one charge at most.

// screens are a phone and a desktop, in the light and in the dark.
func screens() []screen {
	return []screen{{"desktop", "light", 1280, 800}, {"phone", "dark", 390, 844}}
}

type screen struct {
	name, scheme  string
	width, height int64
}

// shopper opens the shop on a screen.
func shopper(t *testing.T, site string, s screen) *tab {
	t.Helper()
	p := open(t, site)
	p.size(s.width, s.height)
	p.scheme(s.scheme)
	return p
}

// refused presses the button that pays, and waits until the page says why that is not possible.
func (p *tab) refused(words string) {
	p.t.Helper()
	p.expect(http.StatusUnprocessableEntity)
	p.click("#place-order")
	p.sees("main", words)
}

// marked wants a field to be marked with words, and to have the focus.
func (p *tab) marked(field, words string) {
	p.t.Helper()
	p.sees("#"+field+"-problem", words)
	p.await("document.activeElement.id === " + quote(field))
	if read[int](p, "document.querySelectorAll('#"+field+"[aria-invalid=true]').length") != 1 {
		p.t.Errorf("the field %s is not marked", field)
	}
}

// holds wants a field to have a value.
func (p *tab) holds(field, value string) {
	p.t.Helper()
	if got := read[string](p, "document.querySelector('#"+field+"').value"); got != value {
		p.t.Errorf("the field %s has %q, want %q", field, got, value)
	}
}

// payIn chooses a currency. Typing its name would need a fast machine.
func (p *tab) payIn(currency string) {
	p.t.Helper()
	p.choose("#currency", currency)
	read[bool](p, "document.querySelector('#currency').dispatchEvent(new Event('change', {bubbles: true}))")
}

// good looks at the page with axe, and at whether it fits.
func (p *tab) good(name string) {
	p.t.Helper()
	p.axe(name)
	if wide := read[[]string](p, overflowing); len(wide) > 0 {
		p.t.Errorf("%s is wider than the screen:\n%s", name, strings.Join(wide, "\n"))
	}
	if text := read[string](p, "document.querySelector('main').innerText"); strings.Contains(text, "rpc error") || strings.Contains(text, "credit_card.") || strings.Contains(text, "INVALID") {
		p.t.Errorf("%s speaks to programs:\n%s", name, text)
	}
	p.photograph("walk-" + strings.ReplaceAll(name, " ", "-") + ".png")
}

func TestAShopperWhoGoesWrong(t *testing.T) {
	t.Parallel()
	for _, s := range screens() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			site := startShop(t).url
			for _, walk := range []struct {
				name string
				walk func(p *tab)
			}{
				{"the cart is empty", func(p *tab) {
					p.visit("/cart")
					p.sees("[data-testid=empty]", "Your cart is empty")
				}},
				{"the card has expired", func(p *tab) {
					p.fill()
					p.write("#year", "2001")
					p.refused("Your card has not been charged")
					p.marked("year", "the card has expired")
					p.holds("card", "4432-8015-6152-0454")
				}},
				{"the card number is wrong", func(p *tab) {
					p.fill()
					p.write("#card", "4432-8015-6152-0455")
					p.refused("Your card has not been charged")
					p.marked("card", "a digit is wrong")
				}},
				{"the ZIP code is wrong", func(p *tab) {
					p.fill()
					p.write("#card", "4432 8015 6152 0454")
					p.write("#zip", "940")
					p.refused("Enter the postal code")
					p.marked("zip", "five digits")
					p.holds("card", "4432 8015 6152 0454")
				}},
				{"the card is declined", func(p *tab) {
					p.fill()
					p.write("#street", "1 Main")
					p.write("#card", "3782-822463-10005")
					p.refused("Your card was declined")
					p.holds("street", "1 Main")
					p.holds("card", "3782-822463-10005")
					p.good("declined " + s.name)
					p.write("#card", "4432-8015-6152-0454")
					p.follow("#place-order")
					p.sees("#order-state", "completed")
				}},
				{"the button is pressed twice", func(p *tab) {
					p.fill()
					p.leave(func() { p.click("#place-order", 2) })
					p.sees("#news", "on its way")
				}},
				{"the order is loaded again", func(p *tab) {
					p.fill()
					p.follow("#place-order")
					id := p.order()
					p.visit("/orders/" + id)
					p.sees("#order-state", "completed")
					p.visit("/cart")
					p.follow("#last-order")
					if again := p.order(); again != id {
						t.Errorf("the cart leads to order %s, want %s", again, id)
					}
				}},
				{"the back button is pressed after the order", func(p *tab) {
					p.fill()
					p.follow("#place-order")
					p.order()
					p.leave(func() { read[bool](p, "(history.back(), true)") })
					p.sees("main", "Your last order is on its way")
				}},
				{"a second tab orders the same", func(p *tab) {
					p.fill()
					form := read[string](p, "new URLSearchParams(new FormData(document.querySelector('#checkout'))).toString()")
					p.follow("#place-order")
					id := p.order()
					at := read[string](p, "fetch('/checkout', {method: 'POST', body: new URLSearchParams("+quote(form)+")}).then((answer) => answer.url)")
					if !strings.HasSuffix(at, "/orders/"+id) {
						t.Errorf("it leads to %s, want order %s", at, id)
					}
				}},
				{"the total changes", func(p *tab) {
					p.fill()
					old := p.text("#quote-total")
					read[int](p, "fetch('/cart', {method: 'POST', body: new URLSearchParams({product: 'STICKER020'})}).then((answer) => answer.status)")
					p.refused("The total has changed")
					if p.text("#quote-total") == old {
						t.Errorf("the total is %s as before", old)
					}
					p.good("price changed " + s.name)
					p.follow("#place-order")
					p.sees("#order-state", "completed")
				}},
				{"the total is in another currency", func(p *tab) {
					p.fill()
					p.payIn("EUR")
					p.sees("#quote-total", "EUR")
					p.sees("#place-order", "Pay EUR")
					p.follow("#place-order")
					p.sees("#order-total", "EUR")
				}},
				{"a product is gone", func(p *tab) {
					p.fill()
					p.inject("catalog", "gone")
					p.visit("/cart")
					p.sees("main", "not available any more")
					p.good("product gone " + s.name)
					p.follow("#remove-" + telescope)
					p.sees("[data-testid=empty]", "Your cart is empty")
					p.inject("catalog", "none")
				}},
				{"payment is unknown", func(p *tab) {
					id := p.doubtful()
					p.visit("/cart")
					p.sees("#pending", "do not pay again")
					if read[bool](p, "Boolean(document.querySelector('#place-order'))") {
						t.Error("the cart offers to pay again")
					}
					p.good("payment unknown " + s.name)
					p.follow("#check-status")
					if again := p.order(); again != id {
						t.Errorf("the status is of order %s, want %s", again, id)
					}
					p.inject("charge", "none")
				}},
				{"shipping refuses the order for ever", func(p *tab) {
					p.fill()
					p.inject("ship", "refuse-for-good")
					p.visit("/cart")
					p.follow("#place-order")
					id := p.order()
					p.sees("#news", "please do not order again")
					p.visit("/cart")
					p.sees("#pending", "Your order is delayed")
					p.good("shipping refused " + s.name)
					p.follow("#check-status")
					if again := p.order(); again != id {
						t.Errorf("the status is of order %s, want %s", again, id)
					}
					p.inject("ship", "none")
				}},
				{"the session is lost", func(p *tab) {
					p.fill()
					p.forget()
					p.refused("Your card has not been charged")
					p.sees("h1", "Your session has ended")
					p.good("session lost " + s.name)
				}},
				{"the shop is offline", func(p *tab) {
					p.visit("/faults")
					p.follow("#away-catalog")
					p.expect(http.StatusServiceUnavailable)
					p.visit("/")
					p.sees("[role=alert]", "Please try again in a moment")
					p.good("offline " + s.name)
					p.visit("/faults")
					p.follow("#away-catalog")
				}},
			} {
				t.Run(walk.name, func(t *testing.T) {
					p := shopper(t, site, s)
					p.t = t
					walk.walk(p)
				})
			}
			p := shopper(t, site, s)
			p.visit("/reconciliation")
			p.await("document.querySelector('#result').dataset.result === 'pending'") // the one whose payment is unknown
			p.sees("#unknown", "1")
		})
	}
}

func TestANewcomerTriesEveryPreset(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t, "-payment", "keyed", "-shipping", "keyed").url)
	for _, id := range []string{"payment", "shipping", "kafka", "unshippable"} {
		p.visit("/faults")
		p.follow("#preset-" + id)
		p.await("Number(document.querySelector('[data-testid=incident]').dataset.left) > 0")
		p.await("Number(document.querySelector('#load-placed').innerText) + Number(document.querySelector('#load-refused').innerText) > 0")
		if id == "kafka" {
			p.photograph("walk-preset.png")
		}
		p.follow("#stop-preset")
		p.await("document.querySelector('[data-testid=incident]').dataset.left === '0'")
	}
	p.follow("#preset-kill")
	p.sees("[data-testid=crash-report] .notice", "is on its way")
	p.visit("/reconciliation")
	p.await("document.querySelector('#result').dataset.result === 'matched'")
}

func TestAPressedButtonIsNotReplaced(t *testing.T) {
	t.Parallel()
	p := open(t, startShop(t).url)
	p.fill()
	x, y := p.find("#place-order")
	read[bool](p, "(window.asked = fetch, window.fetch = (...args) => new Promise((go) => { window.go = go; }).then(() => asked(...args)), true)")
	p.payIn("EUR")
	p.await("window.go") // the new total is asked for
	p.do("pressing", chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	read[bool](p, "(window.fetch = asked, go(), true)")
	p.await("document.querySelector('#quote:active')")
	p.expect(http.StatusUnprocessableEntity)
	p.do("letting go", chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	p.sees("#refusal", "The total has changed") // it was that in dollars
	p.sees("#quote-total", "EUR")
	p.follow("#place-order")
	p.sees("#order-total", "EUR")
}
