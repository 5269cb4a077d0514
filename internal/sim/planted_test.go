//go:build !planted

package sim

const (
	place    = "../order/place.go"
	existing = "../order/existing.go"
	answer   = "../order/run.go"
	steps    = "../order/steps.go"
	record   = "../order/record.go"
	prices   = "../pricing/pricing.go"
	resolve  = "../order/resolve.go"
	double   = "records_test.go"
)

// bugs are what the schedules must find: at least one for each invariant. Each replaces a few words of one line, so that most
// changes of the code around it do not affect it.
func bugs() []bug {
	return []bug{
		{
			"I1", "an order is charged that could not be recorded", place,
			"return nil, &Error{Kind: ErrUnavailable, Step: StepRecord, Err: err, MayBePaid: true}",
			"return nil, nil",
		},
		{
			"I1", "the charge is tried twice", steps,
			"	r.card.ForgetCVV()\n",
			"	if err != nil && !errors.Is(err, ErrRefused) {\n		transaction, err = r.Payment.Charge(ctx, o.ID, o.Total, r.card)\n	}\n",
		},
		{
			"I1", "an order in doubt is superseded by the same purchase", existing,
			"		return !sameLines(next.Lines(), o.Items)\n",
			"		return true\n",
		},
		{
			"I1", "the store does not compare epochs", double,
			"case r.order.Epoch == o.Epoch && r.order.State == from:",
			"case r.order.State == from:",
		},
		{
			"I2", "another replica may take an order over before its step can end", record,
			"	return lease\n",
			"	return lease / 8\n",
		},
		{
			"I2", "an attempt to ship is made that is not on record", steps,
			"	if err := r.save(ctx, Charged, lease); err != nil {\n",
			"	if err := error(nil); err != nil {\n",
		},
		{
			"I2", "a possible shipment counts as not shipped", steps,
			"case r.ShipAttempts > 0 && !errors.Is(err, ErrUnsent):",
			"case r.ShipAttempts > 0 && errors.Is(err, ctx.Err()):",
		},
		{
			"I3", "a charge without an answer counts as unsent", steps,
			"case errors.Is(err, ErrUnsent):",
			"case err != nil && !errors.Is(err, ErrRefused):",
		},
		{
			"I3", "an order found in charging counts as not charged", steps,
			`return r.doubt(ctx, errors.New("the process that charged it`,
			`return r.refuse(ctx, Cancelled, ErrPaymentUnreachable, errors.New("the process that charged it`,
		},
		{
			"I3", "what was not found charged is cancelled without a reversal", steps,
			"err = r.record(ctx, Refunding, o.Reason)",
			"return r.refuse(ctx, Cancelled, ErrPaymentUnreachable, errors.New(o.Reason))",
		},
		{
			"I3", "a refund is recorded and not made", steps,
			"err := r.Ledger.Reverse(ctx, o.ID)",
			"err := ctx.Err()",
		},
		{
			"I3", "a decision against the record is recorded", resolve,
			`		case o.TransactionID != "":`,
			`		case o.TransactionID == "?":`,
		},
		{
			"I3", "a completed order is resolved as if it was not", resolve,
			"		if r.Kind != Refund {",
			"		if r.Kind == SkipDeliveries {",
		},
		{
			"I7", "what was refunded in part may be refunded once more", resolve,
			"switch more, err := amount.Compare(left); {",
			"switch more, err := amount.Compare(o.Total); {",
		},
		{
			"I7", "a refund in part is forgotten", steps,
			"o.Refunded, o.RefundTo = total, money.Amount{}",
			"o.RefundTo = money.Amount{}",
		},
		{
			"I6", "a repeated request for a refunded order is answered as not placed", existing,
			`	if o.TrackingID != "" {`,
			`	if o.TrackingID == "?" {`,
		},
		{
			"I4", "the event is forgotten", steps,
			"return r.Events.Publish(ctx, o)",
			"return nil",
		},
		{
			"I5", "the cart is emptied although it has changed", steps,
			"if err != nil || !sameLines(lines, o.Items) {",
			"if err != nil || len(lines) == 0 {",
		},
		{
			"I6", "a declined order's key is free", record,
			"if to == Cancelled {",
			"if to == Cancelled || to == Declined {",
		},
		{
			"I7", "another total than was agreed is charged", place,
			"req.Expected != o.Total {",
			"req.Expected == o.Total {",
		},
		{
			"I6", "a key answers any request", existing,
			"if o.terms() != asked {",
			"if o.UserID != asked.userID {",
		},
		{
			"I7", "the total leaves the shipping out", prices,
			"total := p.shipping",
			"total := money.Zero(p.shipping.Currency())",
		},
		{
			"I8", "an order that was never charged is cancelled for a few seconds only", place,
			"	r.retryRecord(ctx)\n",
			"",
		},
		{
			"I9", "a caller whose deadline ends during the charge is answered that no money has moved", answer,
			"o.error(ErrInDoubt, StepCharge, ctx.Err())",
			"o.error(ErrUnavailable, StepCharge, ctx.Err())",
		},
		{
			"I10", "the reason of a refusal quotes the card", steps,
			"return r.refuse(ctx, Declined, ErrDeclined, err)",
			"number, _, _, _ := r.card.Reveal()\n		return r.refuse(ctx, Declined, ErrDeclined, fmt.Errorf(\"%s: %w\", number, err))",
		},
		{
			"I11", "a place is not given back", answer,
			"c.release(err) // before the answer",
			"// before the answer",
		},
	}
}
