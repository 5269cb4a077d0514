package order

import "context"

// Quote is the order that Place would charge now: its lines, shipping and total. Of req it reads the user, the currency and
// the address. It takes a place in the admission, as an order does, and changes nothing. Its error is an *Error.
func (p *Placer) Quote(ctx context.Context, req Request) (o *Order, err error) {
	req = req.normalized()
	if bad := req.unpriceable(); bad != nil {
		return nil, &Error{Kind: ErrInvalid, Violations: bad}
	}
	if _, err := p.Admission.Allow(req); err != nil {
		return nil, fail(ErrOverloaded, err)
	}
	release, err := p.Admission.Admit(ctx)
	if err != nil {
		return nil, fail(ErrOverloaded, err)
	}
	defer func() {
		if err == nil {
			release(context.Canceled) // it says nothing about how long orders take
		} else {
			release(err)
		}
	}()
	return p.price(ctx, req)
}
