// Package decision has an operator's decision about an order as one value, which the command line and the console send, and
// says what to know before: a decision is about money, and cannot be undone.
package decision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/money"
	"checkout/internal/wire"
)

// Decision is what an operator has decided about an order.
type Decision struct {
	OrderID string
	Seen    *timestamppb.Timestamp // the order's last change that the operator knows of; nil: whatever it is

	Action  string // retry, resolve, cancel or refund
	By, Why string

	Resolution            checkoutv1.ResolveOrderRequest_Resolution // resolve
	Transaction, Tracking string                                    // resolve, some of them
	Skip                  []string                                  // resolve: deliveries
	Amount                *oteldemo.Money                           // refund
}

// Send has the decision made, or only checked.
func (d Decision) Send(ctx context.Context, admin checkoutv1.OrderAdminClient, validateOnly bool, opts ...grpc.CallOption) (*checkoutv1.Order, error) {
	switch d.Action {
	case "retry":
		return admin.RetryOrder(ctx, &checkoutv1.RetryOrderRequest{
			OrderId: d.OrderID, Seen: d.Seen, By: d.By, Why: d.Why, ValidateOnly: validateOnly,
		}, opts...)
	case "resolve":
		return admin.ResolveOrder(ctx, &checkoutv1.ResolveOrderRequest{
			OrderId: d.OrderID, Seen: d.Seen, By: d.By, Why: d.Why, ValidateOnly: validateOnly,
			Resolution: d.Resolution, TransactionId: d.Transaction, TrackingId: d.Tracking, Skip: d.Skip,
		}, opts...)
	case "cancel":
		return admin.CancelOrder(ctx, &checkoutv1.CancelOrderRequest{
			OrderId: d.OrderID, Seen: d.Seen, By: d.By, Why: d.Why, ValidateOnly: validateOnly,
		}, opts...)
	case "refund":
		return admin.RefundOrder(ctx, &checkoutv1.RefundOrderRequest{
			OrderId: d.OrderID, Seen: d.Seen, By: d.By, Why: d.Why, ValidateOnly: validateOnly, Amount: d.Amount,
		}, opts...)
	}
	return nil, fmt.Errorf("%q is no decision", d.Action)
}

// Charge says what is known of the order's charge.
func Charge(o *checkoutv1.Order) string {
	asked := o.GetCreated()
	outcome := "no transaction is on record"
	if tx := o.GetTransactionId(); tx != "" {
		outcome = "transaction " + tx
	}
	for _, e := range o.GetHistory() {
		switch {
		case e.GetState() == checkoutv1.OrderState_CHARGING && e.GetStep() == "":
			asked = e.GetAt()
		case e.GetState() == checkoutv1.OrderState_IN_DOUBT && o.GetTransactionId() == "" && e.GetProblem() != "" && e.GetBy() == "":
			outcome = "no transaction is on record: " + e.GetProblem()
		}
	}
	amount, err := wire.Amount(o.GetTotal())
	if err != nil {
		return "the amount on record cannot be read"
	}
	return fmt.Sprintf("%s, requested once, at %s UTC; %s", amount, asked.AsTime().Format(time.DateTime), outcome)
}

// Hint says what is known of an order that requires an operator, and what to find out; "" if it requires none.
func Hint(o *checkoutv1.Order) string {
	offers := func(decision string) bool { return slices.Contains(o.GetDecisions(), decision) }
	hint := "It is not known whether the customer was charged. Look for a charge of this total at the payment provider."
	switch {
	case !o.GetRequiresOperator():
		return ""
	case o.GetState() == checkoutv1.OrderState_UNDELIVERED:
		return "The order is paid and shipped, but not everything could be delivered."
	case !offers("paid") && !offers("shipped"):
		hint = "The customer was charged, and the money is to be refunded."
	case o.GetTransactionId() != "" && o.GetShipAttempts() == 0:
		return "The customer was charged, and no parcel is on record: the history says why."
	case o.GetTransactionId() != "":
		return "The customer was charged. Find out from the shipping service whether it has sent a parcel."
	}
	if !offers("retry") {
		hint += " The payment service cannot be asked: it is a basic one."
	}
	return hint
}

// Amount is what an operator has typed: an amount and its currency, in any order.
func Amount(text string) (*oteldemo.Money, error) {
	currency, decimal, _ := strings.Cut(strings.ToUpper(strings.Join(strings.Fields(text), " ")), " ")
	if strings.ContainsAny(currency, "0123456789") {
		currency, decimal = decimal, currency
	}
	amount, err := money.Parse(currency + " " + decimal)
	if err != nil {
		return nil, errors.New("must be an amount and a currency, such as 'CHF 212.96'")
	}
	return wire.Money(amount), nil
}

// Next says what happens once an order has become what it would be by a decision.
func Next(would *checkoutv1.Order) string {
	if part, err := wire.Amount(would.GetRefundTo()); err == nil && would.GetRefundTo() != nil {
		return fmt.Sprintf("The payment service is asked to refund %s in all, until it has, or says that it cannot refund a part. The order is completed then.", part)
	}
	switch state := would.GetState(); state {
	case checkoutv1.OrderState_CHARGED:
		return "The order is shipped. The confirmation and the event follow."
	case checkoutv1.OrderState_PLACED:
		return "The confirmation and the event are sent, as far as they were not."
	case checkoutv1.OrderState_COMPLETED:
		return "The order is complete without the deliveries that are skipped."
	case checkoutv1.OrderState_UNDELIVERED:
		return "The other delivery still requires an operator."
	case checkoutv1.OrderState_CANCELLED:
		return "The order is cancelled: nothing is shipped, and nothing is refunded. A charge that arrives later is not noticed."
	case checkoutv1.OrderState_REFUNDED:
		return "The order is over: nothing is shipped. No refund is requested: it was made by hand."
	case checkoutv1.OrderState_REFUNDING:
		return "The payment service is asked to refund the charge, all of it, until it has. Nothing more is shipped or sent."
	case checkoutv1.OrderState_IN_DOUBT:
		return "The payment service is asked whether it has charged."
	case checkoutv1.OrderState_ORDER_STATE_UNSPECIFIED, checkoutv1.OrderState_CHARGING, checkoutv1.OrderState_DECLINED, checkoutv1.OrderState_PARKED:
	}
	return "The order is " + would.GetState().String() + "."
}
