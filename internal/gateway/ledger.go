package gateway

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/wire"
)

var _ order.Ledger = (*Payment)(nil)

// Lookup asks checkout.v1.PaymentLedger for the transaction of the order's charge: "" when there is none so far, or when
// it was reversed, because then no money is with the shop; and what was charged, zero if the ledger does not say. It returns
// order.ErrImplausible for an answer that is none of these. t.Read bounds it, and gRPC repeats it like any read.
func (p *Payment) Lookup(ctx context.Context, id order.ID) (string, money.Amount, error) {
	ctx, cancel := context.WithTimeout(ctx, p.read)
	defer cancel()
	ledger := checkoutv1.NewPaymentLedgerClient(p.reach(ctx))
	reply, err := ledger.Lookup(ctx, &checkoutv1.LookupRequest{IdempotencyKey: string(id)})
	if err != nil {
		return "", money.Amount{}, fmt.Errorf("payment: look up the charge of order %s: %w", id, ledgerError(err))
	}
	transaction, charged, err := standing(id, reply)
	if err != nil {
		return "", money.Amount{}, fmt.Errorf("payment: look up the charge of order %s: %w", id, err)
	}
	return transaction, charged, nil
}

// Reverse asks checkout.v1.PaymentLedger to make the order's net charge zero for ever. t.Charge bounds it. It is sent
// once: after an error it may have been made or not, and the order asks again.
func (p *Payment) Reverse(ctx context.Context, id order.ID) error {
	ctx, cancel := context.WithTimeout(ctx, p.charge)
	defer cancel()
	ledger := checkoutv1.NewPaymentLedgerClient(p.reach(ctx))
	if _, err := ledger.Reverse(ctx, &checkoutv1.ReverseRequest{IdempotencyKey: string(id)}); err != nil {
		return fmt.Errorf("payment: reverse the charge of order %s: %w", id, ledgerError(err))
	}
	return nil
}

// Refund asks checkout.v1.PaymentLedger to have refunded so much of the order's charge in all. It is sent once, like Reverse.
// order.ErrRefused says that this has refunded nothing, and that a retry is useless.
func (p *Payment) Refund(ctx context.Context, id order.ID, total money.Amount) error {
	ctx, cancel := context.WithTimeout(ctx, p.charge)
	defer cancel()
	ledger := checkoutv1.NewPaymentLedgerClient(p.reach(ctx))
	_, err := ledger.Refund(ctx, &checkoutv1.RefundRequest{IdempotencyKey: string(id), Amount: wire.Money(total)})
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return fmt.Errorf("payment: refund %s of order %s: %w: %w", total, id, order.ErrRefused, err)
	default:
		return fmt.Errorf("payment: refund %s of order %s: %w", total, id, err)
	}
}

// standing is the transaction that a look-up has found and that was not given back, or "", and its amount.
func standing(id order.ID, reply *checkoutv1.LookupResponse) (transaction string, charged money.Amount, err error) {
	switch reply.GetState() {
	case checkoutv1.LookupResponse_NONE, checkoutv1.LookupResponse_REVERSED:
		return "", money.Amount{}, nil
	case checkoutv1.LookupResponse_CHARGED:
		if transaction, err = transactionID(id, reply.GetTransactionId(), creditcard.Card{}); err != nil {
			return "", money.Amount{}, err
		}
		if reply.GetAmount() == nil {
			return transaction, money.Amount{}, nil
		}
		if charged, err = wire.Amount(reply.GetAmount()); err != nil {
			return "", money.Amount{}, fmt.Errorf("%w: the amount of the charge: %w", order.ErrImplausible, err)
		}
		return transaction, charged, nil
	case checkoutv1.LookupResponse_STATE_UNSPECIFIED:
	}
	return "", money.Amount{}, fmt.Errorf("%w: charge in state %v", order.ErrImplausible, reply.GetState())
}

// ledgerError is a failure of the ledger, and what to do about one that is not there.
func ledgerError(err error) error {
	if status.Code(err) == codes.Unimplemented {
		return fmt.Errorf("the payment service does not serve checkout.v1.PaymentLedger, which PAYMENT_MODE=keyed needs: %w", err)
	}
	return err
}
