package order

import "context"

// Quote is the order that Place would charge now: its lines, shipping and total. Of req it reads the user, the currency and
// the address. It takes a place in the admission, as an order does, one at a time per user, and changes nothing. Its error is
// an *Error.
func (p *Placer) Quote(ctx context.Context, req Request) (o *Order, err error) {
	req = req.normalized()
	if bad := req.unpriceable(); bad != nil {
		return nil, &Error{Kind: ErrInvalid, Violations: bad}
	}
	c, _, err := p.joinInFlight(ctx, req, true)
	if c == nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			c.release(context.Canceled) // it says nothing about how long orders take
		}
		c.end(ctx, o, err)
	}()
	if _, err := p.Admission.Allow(req); err != nil {
		return nil, Fail(ErrOverloaded, "", err)
	}
	if err := p.admit(ctx, c); err != nil {
		return nil, err
	}
	return p.price(ctx, req)
}
