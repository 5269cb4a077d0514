//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// look is a page in a state that is worth a look.
type look struct {
	name, path string
	status     int    // of HTTP; 0: it is well
	ready      string // what is true when all is to be seen; empty: it is at once
	press      string // what is pressed to get there from the path; empty: nothing
}

func TestEverybodyCanUseEveryPageOfTheShop(t *testing.T) {
	t.Parallel()
	shop := startShop(t)
	p := open(t, shop.url)
	p.visit("/cart")
	p.judge(look{name: "cart-empty", path: "/cart"})
	p.fill()
	p.follow("#place-order")
	done := p.order()
	p.fill()
	p.judge(look{name: "cart", path: "/cart"})
	p.judge(look{name: "cart-unpriced", path: p.unpriced(), ready: "document.querySelector('#quote .notice')"})
	p.inject("quote", "none")
	doubtful := p.doubtful()
	for _, l := range []look{
		{name: "products", path: "/"},
		{name: "cart-pending", path: "/cart", ready: "document.querySelector('#pending')"},
		{name: "orders", path: "/orders"},
		{name: "order", path: "/orders/" + done, ready: "document.querySelector('#order-state').dataset.state === 'completed'"},
		{name: "order-in-doubt", path: "/orders/" + doubtful},
		{name: "trace", path: p.traceOf(done), ready: "document.querySelector('.waterfall')"},
		{name: "emails", path: "/emails"},
		{name: "events", path: "/events", ready: "document.querySelector('details').open = true"},
		{name: "reconciliation", path: "/reconciliation"},
		{name: "faults", path: "/faults"},
		{name: "faults-open", path: "/faults", ready: "document.querySelectorAll('details').forEach((d) => { d.open = true; }) ?? true"},
		{name: "nothing", path: "/nothing", status: http.StatusNotFound},
	} {
		p.judge(l)
	}
}

func TestEverybodyCanUseEveryPageOfTheConsole(t *testing.T) {
	t.Parallel()
	shop := startShop(t)
	p := open(t, shop.url)
	p.fill()
	p.follow("#place-order")
	done := p.order()
	doubtful := p.doubtful()
	for _, l := range []look{
		{name: "console-overview", path: "/console/", ready: "document.querySelector('.line').getAttribute('d')"},
		{name: "console-orders", path: "/console/orders"},
		{name: "console-orders-none", path: "/console/orders?state=refunding"},
		{name: "console-audit", path: "/console/audit"},
		{name: "console-order", path: "/console/orders/" + done, ready: "document.querySelector('#state-of').innerText.includes('completed')"},
		{name: "console-decide", path: "/console/orders/" + doubtful},
		{name: "console-attention", path: "/console/attention"},
		{name: "console-nothing", path: "/console/nothing", status: http.StatusNotFound},
	} {
		p.judge(l)
	}

	p = open(t, startConsole(t).url)
	p.judge(look{name: "console-login", path: "/login"})
	p.expect(http.StatusServiceUnavailable)
	p.visit("/login?next=/orders")
	p.write("#token", token)
	p.follow("button.main")
	p.judge(look{name: "console-unwatched", path: "/"})
}

// unpriced has the shipping service refuse quotes, and returns the path of the cart.
func (p *tab) unpriced() string {
	p.t.Helper()
	p.inject("quote", "refuse")
	return "/cart"
}

// traceOf is the path of an order's trace.
func (p *tab) traceOf(order string) string {
	p.t.Helper()
	p.visit("/orders/" + order)
	return read[string](p, "new URL(document.querySelector('#to-trace').href).pathname")
}

// judge looks at a page: light and dark, on a desk and on a phone. Nobody may be kept from using it.
func (p *tab) judge(l look) {
	p.t.Helper()
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"", 1280, 800}, {"-phone", 390, 844}} {
		p.size(screen.width, screen.height)
		p.scheme("light")
		p.show(l)
		p.see(l.name + screen.name)
	}
	p.size(320, 740) // WCAG 1.4.10
	p.show(l)
	p.fits(l.name)
}

// see looks at the page as it is: light and dark.
func (p *tab) see(name string) {
	p.t.Helper()
	p.fits(name)
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		p.photograph(name + "-" + scheme + ".png")
		p.axe(name + ", " + scheme)
	}
	p.scheme("light")
}

// fits wants nothing to stick out of the window.
func (p *tab) fits(name string) {
	p.t.Helper()
	if wide := read[[]string](p, overflowing); len(wide) > 0 {
		p.t.Errorf("%s is wider than its screen:\n%s", name, strings.Join(wide, "\n"))
	}
}

func (p *tab) show(l look) {
	p.t.Helper()
	if l.status != 0 {
		p.expect(l.status)
	}
	p.visit(l.path)
	if l.press != "" {
		p.follow(l.press)
	}
	if l.ready != "" {
		p.await(l.ready)
	}
}

// overflowing lists what sticks out of the window, unless it can be scrolled there by itself.
const overflowing = `[...document.body.querySelectorAll('*')]
	.filter((e) => !e.closest('.unseen') && !e.parentElement.closest('.scroll') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
	.map((e) => e.cloneNode(false).outerHTML + ' ends at ' + e.getBoundingClientRect().right)
	.concat(document.documentElement.scrollWidth > document.documentElement.clientWidth ? ['the page scrolls sideways'] : [])`

// axe has axe-core judge the page, if that is there: what it finds, it calls an offence against the WCAG or good practice.
func (p *tab) axe(name string) {
	p.t.Helper()
	if *axeScript == "" {
		return
	}
	script, err := os.ReadFile(*axeScript)
	if err != nil {
		p.t.Fatal(err)
	}
	read[bool](p, string(script)+"; true")
	found := read[[]string](p, `axe.run({resultTypes: ['violations']}).then((result) => result.violations.map((v) =>
		v.impact + ': ' + v.id + ': ' + v.help + v.nodes.map((n) => '\n  ' + n.html + '\n    ' + n.failureSummary).join('')))`)
	for _, finding := range found {
		p.t.Errorf("%s: %s", name, fmt.Sprintf("%.1500s", finding))
	}
}
