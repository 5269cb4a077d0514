package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/decision"
)

// How long a service may take: to tell something, and to record a decision.
const (
	askTime    = 3 * time.Second
	decideTime = 12 * time.Second
)

// services are asked in turn, until one knows: they may share a record, or each have one.
type services []Service

func (s services) order(ctx context.Context, req *checkoutv1.GetOrderRequest) (*checkoutv1.Order, error) {
	return first(ctx, s, func(ctx context.Context, one Service) (*checkoutv1.Order, error) {
		return checkoutv1.NewOrderServiceClient(one.Conn).GetOrder(ctx, req)
	})
}

func (s services) list(ctx context.Context, req *checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error) {
	return first(ctx, s, func(ctx context.Context, one Service) (*checkoutv1.ListOrdersResponse, error) {
		return checkoutv1.NewOrderServiceClient(one.Conn).ListOrders(ctx, req)
	})
}

// decide has a decision recorded by a service that has the order, and by no other: a decision that is not answered may
// have been recorded, and another service with the same record would only tell that the order does not wait any more.
func (s services) decide(ctx context.Context, d decision.Decision, validateOnly bool) (*checkoutv1.Order, error) {
	holder, err := first(ctx, s, func(ctx context.Context, one Service) (Service, error) {
		_, err := checkoutv1.NewOrderServiceClient(one.Conn).GetOrder(ctx, &checkoutv1.GetOrderRequest{OrderId: d.OrderID})
		return one, err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	o, err := d.Send(ctx, checkoutv1.NewOrderAdminClient(holder.Conn), validateOnly)
	if unanswered(status.Code(err)) && failureOf(err).Reason != "NOT_RECORDED" {
		return nil, lostAnswer{err}
	}
	return o, err
}

// lostAnswer is the error of a decision that may have been recorded or not.
type lostAnswer struct{ error }

// GRPCStatus is what package status knows it by.
func (l lostAnswer) GRPCStatus() *status.Status { return status.Convert(l.error) }

// first is the first answer that settles the question. That there is no such order is settled only if all services say so.
func first[T any](ctx context.Context, s services, ask func(context.Context, Service) (T, error)) (T, error) {
	var none T
	var failures []error
	for _, one := range s {
		within, cancel := context.WithTimeout(ctx, askTime)
		answer, err := ask(within, one)
		cancel()
		code := status.Code(err)
		if code != codes.NotFound && !unanswered(code) {
			return answer, err
		}
		failures = append(failures, err)
	}
	for _, err := range failures {
		if status.Code(err) != codes.NotFound {
			return none, err
		}
	}
	return none, failures[0]
}

// unanswered reports whether a call that ended with code may have been carried out or not.
func unanswered(code codes.Code) bool {
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled
}

// failure is why a service did not do what it was asked for, in JSON and on a page.
type failure struct {
	Status  int     `json:"-"`
	Reason  string  `json:"reason"` // as google.rpc.ErrorInfo tells it, or the name of the code
	Message string  `json:"message"`
	Fields  []field `json:"fields,omitempty"`
	Unknown bool    `json:"unknown,omitempty"` // whether it was done
}

type field struct {
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

// Unsaid are the fields whose problem the message does not say already.
func (f failure) Unsaid() []field {
	return slices.DeleteFunc(slices.Clone(f.Fields), func(of field) bool { return strings.Contains(f.Message, of.Problem) })
}

func failureOf(err error) *failure {
	told := status.Convert(err)
	f := &failure{Status: httpStatus(told.Code()), Reason: told.Code().String(), Message: told.Message()}
	for _, detail := range told.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.Reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.Fields = append(f.Fields, field{v.GetField(), v.GetDescription()})
			}
		}
	}
	return f
}

// httpStatus is the status of HTTP that says the same as a code of gRPC.
func httpStatus(code codes.Code) int {
	switch {
	case code == codes.InvalidArgument:
		return http.StatusBadRequest
	case code == codes.NotFound:
		return http.StatusNotFound
	case code == codes.FailedPrecondition:
		return http.StatusConflict
	case slices.Contains([]codes.Code{codes.Unavailable, codes.ResourceExhausted}, code):
		return http.StatusServiceUnavailable
	case code == codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}
