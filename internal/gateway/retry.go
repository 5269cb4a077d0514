package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
)

// A read that found no server is asked again. gRPC could do that by itself (gRFC A6); this is the same policy in front of
// telemetry rather than behind it, so that each try is a span, and without the buffers that gRPC keeps for calls it may
// have to repeat.
const (
	readTries    = 3
	firstBackoff = 25 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
)

// onlyReads tells whether a method may be repeated.
func onlyReads(method string) bool {
	switch method {
	case oteldemo.CartService_GetCart_FullMethodName,
		oteldemo.ProductCatalogService_GetProduct_FullMethodName,
		oteldemo.CurrencyService_GetSupportedCurrencies_FullMethodName,
		oteldemo.CurrencyService_Convert_FullMethodName,
		checkoutv1.PaymentLedger_Lookup_FullMethodName:
		return true
	}
	return false
}

// retry repeats the reads of one connection, as long as most of the last calls on it went well.
type retry struct {
	mu    sync.Mutex
	wrath float64 // how much has failed lately: a failure counts one, and is made good by ten calls that went well
}

const (
	maxWrath    = 10
	tooMuch     = maxWrath / 2
	forgiveness = 0.1
)

// call is a grpc.UnaryClientInterceptor.
func (r *retry) call(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if !onlyReads(method) {
		return next(ctx, method, req, reply, conn, opts...)
	}
	for try, backoff := 1, firstBackoff; ; try, backoff = try+1, min(4*backoff, maxBackoff) {
		err := next(ctx, method, req, reply, conn, opts...)
		if !r.again(status.Code(err)) || try == readTries {
			return err
		}
		timer := time.NewTimer(time.Duration((0.8 + 0.4*rand.Float64()) * float64(backoff))) //nolint:gosec // so that what failed together does not return together
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// again takes note of how a call went, and tells whether it may be repeated.
func (r *retry) again(code codes.Code) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if code != codes.Unavailable {
		r.wrath = max(0, r.wrath-forgiveness)
		return false
	}
	r.wrath = min(maxWrath, r.wrath+1)
	return r.wrath < tooMuch
}
