package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/pricing"
)

// The other services, as a process sees them: each method is one call through the network. The limits are the gateways' timeouts.

const (
	readLimit    = 2 * time.Second
	storeLimit   = 5 * time.Second
	chargeLimit  = 8 * time.Second
	shipLimit    = 12 * time.Second
	deliverLimit = 5 * time.Second
)

// goodCard and badCard are two cards; the payment service refuses the second.
const (
	goodCard = "4432801561520454"
	badCard  = "4111111111111111"
)

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", order.ErrRefused, fmt.Sprintf(format, args...))
}

// Lines reads a cart.
func (p *process) Lines(ctx context.Context, user string) ([]order.Line, error) {
	lines, err := invoke(ctx, p, call[[]order.Line]{
		to: theCart, name: "cart", about: user + " " + askOf(ctx), limit: readLimit,
		act: func() ([]order.Line, error) {
			b := p.w.cart(user).basket
			if b == nil {
				return nil, nil
			}
			return slices.Clone(b.lines), nil
		},
	})
	p.markFaulty(user, err)
	return lines, err
}

// Empty empties a cart.
func (p *process) Empty(ctx context.Context, user string) error {
	var sent time.Time
	_, err := invoke(ctx, p, call[bool]{
		to: theCart, name: "empty", about: user + " " + askOf(ctx), limit: readLimit,
		sent: func() {
			sent = time.Now()
			p.w.checkEmptying(user)
		},
		act: func() (bool, error) {
			p.w.emptied(user, sent)
			return true, nil
		},
	})
	p.markFaulty(user, err)
	return err
}

// markFaulty notes that a call of the user's cart failed.
func (p *process) markFaulty(user string, err error) {
	if err != nil {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.w.cart(user).faulty = true
	}
}

// Product looks up a product.
func (p *process) Product(ctx context.Context, id string) (pricing.Product, error) {
	return invoke(ctx, p, call[pricing.Product]{
		to: theCatalog, name: "product", about: id + " " + askOf(ctx), limit: readLimit,
		act: func() (pricing.Product, error) {
			price, ok := priceOf(id)
			if !ok {
				return pricing.Product{}, order.ErrUnknownProduct
			}
			return pricing.Product{ID: id, Price: dollars(price)}, nil
		},
	})
}

// Supported are the currencies.
func (p *process) Supported(ctx context.Context) ([]money.Currency, error) {
	return invoke(ctx, p, call[[]money.Currency]{
		to: theCurrency, name: "currencies", about: askOf(ctx), limit: readLimit,
		act: func() ([]money.Currency, error) { return currencies(), nil },
	})
}

// Convert exchanges money.
func (p *process) Convert(ctx context.Context, a money.Amount, to money.Currency) (money.Amount, error) {
	return invoke(ctx, p, call[money.Amount]{
		to: theCurrency, name: "convert", about: a.String() + " " + askOf(ctx), limit: readLimit,
		act: func() (money.Amount, error) { return amountOf(to, exchanged(nanos(a), to)) },
	})
}

// Quote prices a parcel: differently each time.
func (p *process) Quote(ctx context.Context, to order.Address, _ []order.Line) (money.Amount, error) {
	about := to.Street + " " + askOf(ctx)
	return invoke(ctx, p, call[money.Amount]{
		to: theShipping, name: "quote", about: about, limit: readLimit,
		act: func() (money.Amount, error) {
			quoted := p.w.quotes[to.Street]
			price := p.w.plan.hash("quote").text(about).number(int64(len(quoted))).dice().Int64N(100*nano) + nano
			p.w.quotes[to.Street] = append(quoted, price)
			return dollars(price), nil
		},
	})
}

// nowhere is a place that shipping quotes for and refuses.
const nowhere = "Nowhere"

// Ship sends a parcel.
func (p *process) Ship(ctx context.Context, id order.ID, to order.Address, _ []order.Line) (string, error) {
	w, name := p.w, p.nameOf(id)
	not := of(doubled) // a second parcel would be the network's fault
	if w.plan.attempts == 0 {
		not = 0
	}
	w.mu.Lock()
	unmade := p.shipping(id)
	w.mu.Unlock()
	tracking, err := invoke(ctx, p, call[string]{
		to: theShipping, name: "ship", about: name, limit: shipLimit, not: not,
		sent: func() { p.checkOwner("ship", id, order.Charged) },
		act: func() (string, error) {
			if to.City == nowhere {
				return "", refused("no shipping to %s", nowhere)
			}
			if sent := w.parcels[id]; len(sent) > 0 && w.plan.attempts == 0 {
				return sent[0], nil
			}
			if len(w.parcels[id]) > 0 && w.plan.fussy {
				w.saw("a second parcel refused")
				return "", refused("it was shipped before")
			}
			tracking := fmt.Sprintf("parcel %d of %s", len(w.parcels[id])+1, name)
			w.parcels[id] = append(w.parcels[id], tracking)
			return tracking, nil
		},
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, errRefused) && p.life.Err() == nil && w.plan.hash("busy").text(name).number(int64(w.age())).dice().chance(0.7) {
		err = fmt.Errorf("%w: %w", order.ErrUnsent, err)
		w.saw("certainly not shipped")
	}
	switch {
	case errors.Is(err, order.ErrUnsent), errors.Is(err, order.ErrRefused):
		unmade()
	case err != nil:
		w.saw("perhaps shipped")
	}
	return tracking, err
}

// Charge takes money.
func (p *process) Charge(ctx context.Context, id order.ID, amount money.Amount, card creditcard.Card) (string, error) {
	w, name := p.w, p.nameOf(id)
	not := of(doubled)
	if w.plan.keyed {
		not = 0
	}
	number, _, _, _ := card.Reveal()
	w.mu.Lock()
	delete(w.uncharged, id)
	w.mu.Unlock()
	tx, err := invoke(ctx, p, call[string]{
		to: thePayment, name: "charge", about: name, limit: chargeLimit, not: not,
		sent: func() {
			p.checkOwner("charge", id, order.Charging)
			w.account(id).sent++
		},
		act: func() (string, error) { return w.charge(id, name, amount, number) },
	})
	if errors.Is(err, errRefused) && w.plan.hash("unsent").text(name).dice().chance(0.5) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.uncharged[id] = p
		return "", fmt.Errorf("%w: %w", order.ErrUnsent, err)
	}
	return tx, err
}

func (w *world) charge(id order.ID, name string, amount money.Amount, card string) (string, error) {
	a := w.account(id)
	switch {
	case card != goodCard:
		return "", refused("card declined")
	case w.plan.keyed && a.reversed:
		w.saw("a late charge after its reversal")
		return "", refused("reversed")
	case w.plan.keyed && len(a.taken) > 0:
		return a.tx, nil
	}
	if a.taken = append(a.taken, amount); a.since.IsZero() {
		a.since = time.Now()
	}
	a.tx = fmt.Sprintf("tx %d of %s", len(a.taken), name)
	if o := w.on(id); o != nil && o.State == order.InDoubt {
		w.saw("a charge after the order was in doubt")
	}
	return a.tx, nil
}

// Lookup asks the ledger.
func (p *process) Lookup(ctx context.Context, id order.ID) (string, money.Amount, error) {
	var charged money.Amount
	tx, err := invoke(ctx, p, call[string]{
		to: thePayment, name: "lookup", about: p.nameOf(id), limit: readLimit,
		act: func() (string, error) {
			a := p.w.account(id)
			if a.reversed {
				return "", nil
			}
			if a.tx != "" {
				p.w.saw("looked up and found")
				charged = a.taken[0]
			}
			return a.tx, nil
		},
	})
	return tx, charged, err
}

// Reverse takes a charge back, also one to come.
func (p *process) Reverse(ctx context.Context, id order.ID) error {
	_, err := invoke(ctx, p, call[bool]{
		to: thePayment, name: "reverse", about: p.nameOf(id), limit: chargeLimit,
		sent: func() { p.checkOwner("reverse", id, order.Refunding) },
		act: func() (bool, error) {
			a := p.w.account(id)
			if len(a.taken) > 0 && !a.reversed {
				p.w.saw("reversed a charge")
			}
			a.reversed = true
			return true, nil
		},
	})
	return err
}

// Refund has so much of a charge refunded in all. A true ledger would refuse more than was taken, which must not be requested.
func (p *process) Refund(ctx context.Context, id order.ID, total money.Amount) error {
	_, err := invoke(ctx, p, call[bool]{
		to: thePayment, name: "refund", about: p.nameOf(id), limit: chargeLimit,
		sent: func() { p.checkOwner("refund", id, order.Refunding) },
		act: func() (bool, error) {
			a := p.w.account(id)
			if a.reversed || len(a.taken) == 0 {
				return false, refused("there is no charge")
			}
			if more, err := total.Compare(a.taken[0]); err != nil || more > 0 {
				p.w.violated("I7", p.w.name(id), "%v of %v are to be refunded", total, a.taken[0])
			}
			if more, err := total.Compare(a.refunded); err != nil || more > 0 {
				a.refunded = total
			}
			return true, nil
		},
	})
	return err
}

// noMail is the end of an address that the e-mail service refuses.
const noMail = "@nowhere.example"

// Confirm sends an e-mail.
func (p *process) Confirm(ctx context.Context, o *order.Order) error {
	id, name := o.ID, p.nameOf(o.ID)
	says, to := content(o), string(o.Email)
	_, err := invoke(ctx, p, call[bool]{
		to: theEmail, name: "e-mail", about: name, limit: deliverLimit,
		sent: func() { p.checkOwner("e-mail", id, order.Placed) },
		act: func() (bool, error) {
			if strings.HasSuffix(to, noMail) {
				p.w.saw("e-mail refused for good")
				p.w.refusals[id] |= order.EmailSent
				return false, refused("no such mailbox")
			}
			p.w.emails[id]++
			p.w.checkContent("e-mail", id, says)
			return true, nil
		},
	})
	return err
}

// noEvent is a state whose orders make events that the broker refuses.
const noEvent = "Endless"

// Publish sends an event.
func (p *process) Publish(ctx context.Context, o *order.Order) error {
	id, says, state := o.ID, content(o), o.Address.State
	_, err := invoke(ctx, p, call[bool]{
		to: theBroker, name: "publish", about: p.nameOf(id), limit: deliverLimit,
		sent: func() { p.checkOwner("publish", id, order.Placed) },
		act: func() (bool, error) {
			if state == noEvent {
				p.w.saw("event refused for good")
				p.w.refusals[id] |= order.EventPublished
				return false, refused("message too large")
			}
			p.w.events[id] = append(p.w.events[id], says)
			p.w.checkContent("event", id, says)
			return true, nil
		},
	})
	return err
}

// content is what an e-mail and an event say of an order.
func content(o *order.Order) string {
	return fmt.Sprint(o.ID, o.TrackingID, o.Shipping, o.Address, o.Items)
}

// Allow limits no customer.
func (p *process) Allow(order.Request) (func(), error) { return nil, nil }

// Admit lets an order in.
func (p *process) Admit(ctx context.Context) (func(error), error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := w.plan.hash("admission").text(p.name).text(askOf(ctx)).number(int64(w.age())).dice()
	if d.chance(w.plan.fault/2) && !w.healed() && !w.plan.without.has(overload) {
		w.saw(overload.String())
		return nil, &order.Error{Kind: order.ErrOverloaded, RetryAfter: time.Second}
	}
	p.admits++
	given := false
	return func(error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if given {
			w.violated("I11", p.name, "a place was given back twice")
		}
		given = true
		p.admits--
	}, nil
}

// nameOf is the order's name.
func (p *process) nameOf(id order.ID) string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.w.name(id)
}
