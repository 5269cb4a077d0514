//go:build !planted

package sim

import "slices"

const (
	flight  = "../order/flight.go"
	ship    = "../order/ship.go"
	place   = "../order/place.go"
	again   = "../order/again.go"
	deliver = "../order/deliver.go"
	pricing = "../order/pricing.go"
	resolve = "../order/resolve.go"
	double  = "records_test.go"
)

// bugs are the mistakes that the checker must notice.
func bugs() []bug { return slices.Concat(onTheWay(), shipping(), afterwards(), asking(), recording()) }

// onTheWay are mistakes with the money and the parcel.
func onTheWay() []bug {
	return []bug{
		{
			"an order is charged that could not be recorded", place,
			"	case err != nil:\n		return o, nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err}\n	case rival",
			"	case rival",
		},
		{
			"the charge is tried twice", flight,
			"transaction, err := f.Payment.Charge(ctx, o.ID, o.Total, *card)\n",
			"transaction, err := f.Payment.Charge(ctx, o.ID, o.Total, *card)\n	if err != nil && !errors.Is(err, ErrRefused) {\n		transaction, err = f.Payment.Charge(ctx, o.ID, o.Total, *card)\n	}\n",
		},
		{
			"a charge without an answer is taken for declined", flight,
			"	case err != nil:\n		return f.doubt(ctx, err)",
			"	case err != nil:\n		return f.refuse(ctx, Declined, ErrDeclined, err)",
		},
		{
			"a charge without an answer is taken for unsent", flight,
			"case errors.Is(err, ErrUnsent):",
			"case err != nil && !errors.Is(err, ErrRefused):",
		},
		{
			"an order is shipped though its receipt is not on record", flight,
			"		f.unrecorded = &Event{State: Charged, Problem: \"its receipt could not be recorded before\"}\n",
			"		o.State, o.TransactionID = Charged, transaction\n		return nil\n",
		},
		{
			"an order found in charging is taken for not charged", flight,
			`return f.doubt(ctx, errors.New("the process that charged it`,
			`return f.refuse(ctx, Cancelled, ErrPaymentUnreachable, errors.New("the process that charged it`,
		},
		{
			"what was not found charged is cancelled without a reversal", flight,
			"		err = f.record(ctx, Refunding, o.Reason)\n",
			"		return f.refuse(ctx, Cancelled, ErrPaymentUnreachable, errors.New(o.Reason))\n",
		},
		{
			"a reversal is asked for before that is on record", flight,
			"		err = f.record(ctx, Refunding, o.Reason)\n",
			"		if err = f.Ledger.Reverse(ctx, o.ID); err != nil {\n			err = f.postpone(ctx, StepReverse, err)\n		} else {\n			err = f.record(ctx, Refunding, o.Reason)\n		}\n",
		},
		{
			"a refund is recorded and not made", flight,
			"	err := f.Ledger.Reverse(ctx, o.ID)\n",
			"	err := ctx.Err()\n",
		},
		{
			"a failed reversal is taken for done", flight,
			"		err = f.postpone(ctx, StepReverse, err)\n",
			"		err = f.record(ctx, to, o.Reason)\n",
		},
		{
			"others may take an order before its step can end", flight,
			"	return lease\n}",
			"	return lease / 8\n}",
		},
		{
			"what rests is taken up by recovery", flight,
			"		return AtRest\n",
			"		return lease\n",
		},
		{
			"a declined order's key is free", flight,
			"	if to == Cancelled {\n",
			"	if to == Cancelled || to == Declined {\n",
		},
		{
			"whoever cannot wait for the charge is told that nothing has moved", flight,
			"return nil, &Error{Kind: ErrInDoubt, Step: StepCharge, OrderID: o.ID, Err: ctx.Err()}",
			"return nil, &Error{Kind: ErrUnavailable, Step: StepCharge, OrderID: o.ID, Err: ctx.Err()}",
		},
		{
			"a place is not given back", flight,
			"		release(err) // before the answer",
			"		// before the answer",
		},
	}
}

// shipping are mistakes with the parcel, and with what is known of it.
func shipping() []bug {
	return []bug{
		{
			"a carrier who is away has refused", ship,
			"		case errors.Is(err, ErrRefused):\n			return f.unshippable(ctx, err)",
			"		case err != nil:\n			return f.unshippable(ctx, err)",
		},
		{
			"the parcel's number is forgotten", ship,
			"			o.TrackingID = tracking\n",
			"			_ = tracking\n",
		},
		{
			"an attempt to ship is made that is not on record", ship,
			"	if err := f.save(ctx, Charged, lease); err != nil {\n",
			"	if err := error(nil); err != nil {\n",
		},
		{
			"the receipt is recorded without the attempt to ship that follows", flight,
			"	if ships {\n		o.ShipAttempts++\n	}\n",
			"",
		},
		{
			"attempts to ship are not counted on", ship,
			"	o.ShipAttempts++\n	o.Reason",
			"	o.Reason",
		},
		{
			"what may have been shipped is taken for not shipped", ship,
			"		case f.ShipAttempts > 0 && !errors.Is(err, ErrUnsent):\n",
			"		case f.ShipAttempts > 0 && errors.Is(err, ctx.Err()):\n",
		},
		{
			"what certainly was not shipped counts as an attempt", ship,
			"		f.order.ShipAttempts--\n",
			"",
		},
		{
			"the limit of attempts is not looked at after a crash", ship,
			"	case o.ShipAttempts >= f.ShipAttempts:\n",
			"	case o.ShipAttempts >= f.ShipAttempts && o.Reason != \"\":\n",
		},
		{
			"a refusal tells that the attempts before it have made no parcel", ship,
			"	if f.order.ShipAttempts > 0 {\n		return f.park",
			"	if f.order.ShipAttempts > 10 {\n		return f.park",
		},
		{
			"an order that is shipped again has had all its attempts", resolve,
			"		o.ShipAttempts = 0\n",
			"",
		},
		{
			"an operator need not say which parcel it is", resolve,
			"	case trackingID == \"\":\n",
			"	case o.TransactionID == trackingID:\n",
		},
		{
			"an order that was never charged is cancelled for a few seconds only", place,
			"			f.testify(ctx)\n",
			"",
		},
		{
			"what the payment service has not been sent is recorded for a few seconds only", flight,
			"		f.unrecorded = &Event{State: to, Problem: brief(cause)}\n",
			"",
		},
	}
}

// afterwards are mistakes with what is owed then.
func afterwards() []bug {
	return []bug{
		{
			"the cart is emptied before the order is placed", flight,
			"			if err := f.forward(ctx); err != nil {\n				return err\n			}\n			f.emptyCart(ctx)",
			"			_ = f.Cart.Empty(ctx, f.order.UserID)\n			if err := f.forward(ctx); err != nil {\n				return err\n			}",
		},
		{
			"the cart is emptied without another look, however late", deliver,
			"time.Since(f.order.Created.Round(0)) < cartHaste && ",
			"",
		},
		{
			"the cart is emptied although it has changed", deliver,
			"if err != nil || !sameLines(lines, o.Items) {",
			"if err != nil || len(lines) == 0 {",
		},
		{
			"the cart is forgotten", deliver,
			"	return f.Cart.Empty(ctx, o.UserID)\n",
			"	return nil\n",
		},
		{
			"the event is forgotten", deliver,
			"		{is: EventPublished, step: StepPublish, do: f.publish},\n",
			"",
		},
		{
			"a delivery that fails is taken for done", deliver,
			"			case d.err == nil:\n",
			"			case d.err == nil || d.is != CartSettled:\n",
		},
		{
			"a delivery that is refused is taken for done", deliver,
			"			case d.err == nil:\n",
			"			case d.err == nil || errors.Is(d.err, ErrRefused):\n",
		},
		{
			"a delivery is given up when it fails", deliver,
			" || o.triedEnough()):\n",
			" || d.err != nil):\n",
		},
		{
			"an order whose deliveries were given up is completed", deliver,
			"		return f.record(ctx, Undelivered, o.undelivered())\n",
			"		return f.record(ctx, Completed, \"\")\n",
		},
		{
			"what was delivered, or is pending, can be skipped", resolve,
			"	if deliveries == 0 || !o.Undeliverable.Has(deliveries) {\n",
			"	if deliveries == 0 {\n",
		},
	}
}

// asking are mistakes with what is asked for, and what it costs.
func asking() []bug {
	return []bug{
		{
			"the key is ignored", place,
			"o.Key = req.Key",
			`o.Key = ""`,
		},
		{
			"a key answers any request", again,
			"	if !o.asksFor(req) {\n		return nil, &Error{Kind: ErrKeyReused",
			"	if o.UserID != req.UserID {\n		return nil, &Error{Kind: ErrKeyReused",
		},
		{
			"an order in doubt is left behind for the same things", again,
			"		return !sameLines(next.Lines(), o.Items)\n",
			"		return true\n",
		},
		{
			"a verdict against the record is taken", resolve,
			"	case NotPaid:\n		if o.TransactionID != \"\" {",
			"	case NotPaid:\n		if o.TransactionID == \"?\" {",
		},
		{
			"the total leaves the shipping out", pricing,
			"	total := p.shipping\n",
			"	total := money.Zero(p.shipping.Currency())\n",
		},
		{
			"prices are not rounded", pricing,
			"all[i] = rounded",
			"all[i] = is",
		},
	}
}

// recording are mistakes of a store.
func recording() []bug {
	return []bug{
		{
			"the store forgets the cancelling of what it does not know", double,
			"			r = &row{}\n			r.put(o, hold)\n			s.rows = append(s.rows, r)\n		case",
			"			return nil\n		case",
		},
		{
			"the store does not compare epochs", double,
			"case r.order.Epoch == o.Epoch && r.order.State == from:",
			"case r.order.State == from:",
		},
		{
			"the store does not compare states", double,
			"case r.order.Epoch == o.Epoch && r.order.State == from:",
			"case r.order.Epoch == o.Epoch:",
		},
		{
			"a take-over does not raise the epoch", double,
			"			r.order.Epoch++\n			r.hold(hold)\n			claimed",
			"			r.hold(hold)\n			claimed",
		},
		{
			"the store lets orders be taken over that are held", double,
			"!r.rests && !r.due.After(time.Now())",
			"!r.rests",
		},
		{
			"the store lets orders be taken that do not rest", double,
			"		case !r.rests:\n",
			"		case r.order.State.Final():\n",
		},
		{
			"the store does not look for the latest order", double,
			"	r := s.row(s.latest[o.UserID])\n",
			"	r := s.row(o.ID)\n",
		},
		{
			"the store does not ask how old the cart is", double,
			"r.settled.Before(opening.CartRead)",
			"r.settled.Before(time.Now())",
		},
	}
}
