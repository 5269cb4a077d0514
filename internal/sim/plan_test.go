package sim

import (
	"time"
)

// service is what answers a call.
type service uint8

const (
	theStore service = iota
	theCart
	theCatalog
	theCurrency
	theShipping
	thePayment
	theEmail
	theBroker
	services = iota
)

// window is a span of the schedule's time.
type window struct{ from, until time.Duration }

func (w window) holds(t time.Duration) bool { return w.from <= t && t < w.until }

// plan is what a seed decides beforehand.
type plan struct {
	seed                      uint64
	keyed                     bool // the payment service honours keys, and has a ledger
	attempts                  int  // to ship an order that may each make a parcel; 0: shipping honours keys
	fussy                     bool // shipping refuses an order that it has shipped
	broker                    bool
	fault, crash, asleep, cut float64 // the chance of each, a call
	outages                   [services]window
	blackout                  time.Duration // when it begins; 0: never
	restarts                  [2]time.Duration
	often                     fault         // is more likely than others; none: no fault is
	heal                      time.Duration // when the faults end
	users                     int
	without                   set // faults that are left out
	print                     func(line string)
	kill                      func(call int) fault // of the crash enumeration: how the process dies at its n-th call
}

// night is how long a blackout lasts: longer than anything is retried without an operator.
const night = 25 * time.Hour

// hash begins the purpose of a draw.
func (p *plan) hash(purpose string) hash { return empty.number(int64(p.seed)).text(purpose) }

func newPlan(seed uint64, without set) plan {
	p := plan{seed: seed, keyed: seed%2 == 0, without: without}
	d := p.hash("plan").dice()
	p.attempts = one(d, 0, 0, 0, 1, 2, 3)
	p.fussy = p.attempts > 0 && d.chance(0.3)
	p.broker = d.chance(0.95)
	p.users = 1 + d.IntN(3)
	p.fault = one(d, 0, 0.02, 0.05, 0.1, 0.25)
	p.crash = one(d, 0, 0.005, 0.02, 0.05)
	p.asleep = one(d, 0, 0, 0.005, 0.02)
	p.cut = one(d, 0, 0, 0.005, 0.02)
	p.often = one(d, none, none, lost, unanswered, hung, hungAfter, slow, late, late)
	p.heal = d.between(20*time.Second, 90*time.Second)
	for n := range p.outages {
		from, lasts := d.between(0, 30*time.Second), d.between(time.Second, 80*time.Second)
		if d.chance(0.06) && !without.has(outage) {
			p.outages[n] = window{from, from + lasts}
		}
	}
	for i := range p.restarts {
		if at := d.between(time.Second, 40*time.Second); d.chance(0.1) && !without.has(restart) {
			p.restarts[i] = at
		}
	}
	if from := d.between(2*time.Second, 20*time.Second); d.chance(0.03) && !without.has(blackout) {
		p.blackout = from
		// After it, services that were unavailable before still are.
		for n := range p.outages {
			if d.chance(0.4) && !without.has(outage) {
				p.outages[n] = window{from - 10*time.Second, from + night + 55*time.Second}
			}
		}
		p.heal = from + night + time.Minute
	}
	return p
}

// calm reports whether nothing goes wrong at all.
func (p *plan) calm() bool {
	quiet := p.fault == 0 && p.crash == 0 && p.asleep == 0 && p.cut == 0 && p.blackout == 0 && p.kill == nil
	for _, o := range p.outages {
		quiet = quiet && o == window{}
	}
	for _, r := range p.restarts {
		quiet = quiet && r == 0
	}
	return quiet
}

// dark is how long the blackout will still last.
func (p *plan) dark(now time.Duration) time.Duration {
	if blackout := (window{p.blackout, p.blackout + night}); p.blackout > 0 && blackout.holds(now) {
		return blackout.until - now
	}
	return 0
}
