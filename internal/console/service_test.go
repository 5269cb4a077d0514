package console

import (
	"context"
	"errors"
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/decision"
)

// TestServicesAreAskedInTurn: until one settles the question.
func TestServicesAreAskedInTurn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []codes.Code // of one service after the other
		want    codes.Code
		asked   int
	}{
		"the first knows":              {[]codes.Code{codes.OK, codes.OK}, codes.OK, 1},
		"the first is away":            {[]codes.Code{codes.Unavailable, codes.OK}, codes.OK, 2},
		"the first does not answer":    {[]codes.Code{codes.DeadlineExceeded, codes.OK}, codes.OK, 2},
		"the first has another record": {[]codes.Code{codes.NotFound, codes.OK}, codes.OK, 2},
		"the first refuses":            {[]codes.Code{codes.PermissionDenied, codes.OK}, codes.PermissionDenied, 1},
		"nobody has it":                {[]codes.Code{codes.NotFound, codes.NotFound}, codes.NotFound, 2},
		"who may have it is away":      {[]codes.Code{codes.NotFound, codes.Unavailable}, codes.Unavailable, 2},
	} {
		asked := 0
		_, err := first(t.Context(), make(services, len(test.answers)), func(context.Context, Service) (int, error) {
			asked++
			return 0, status.Error(test.answers[asked-1], "")
		})
		if got := status.Code(err); got != test.want || asked != test.asked {
			t.Errorf("%s: %v after %d services, want %v after %d", name, got, asked, test.want, test.asked)
		}
	}
}

// TestADecisionIsAskedForOnce: of a service that has the order, whatever comes of it.
func TestADecisionIsAskedForOnce(t *testing.T) {
	t.Parallel()
	const has, notRecorded = codes.OK, codes.Code(100)
	for name, test := range map[string]struct {
		knows   []codes.Code // what the services say when they are asked for the order
		answers codes.Code   // what the one says that is to decide
		asked   []int        // how often each is asked to decide
		want    codes.Code
		unknown bool // whether it was recorded
	}{
		"done":                     {[]codes.Code{has, has}, codes.OK, []int{1, 0}, codes.OK, false},
		"the first is away":        {[]codes.Code{codes.Unavailable, has}, codes.OK, []int{0, 1}, codes.OK, false},
		"another record":           {[]codes.Code{codes.NotFound, has}, codes.OK, []int{0, 1}, codes.OK, false},
		"refused":                  {[]codes.Code{has, has}, codes.FailedPrecondition, []int{1, 0}, codes.FailedPrecondition, false},
		"certainly not recorded":   {[]codes.Code{has, has}, notRecorded, []int{1, 0}, codes.Unavailable, false},
		"away in the middle of it": {[]codes.Code{has, has}, codes.Unavailable, []int{1, 0}, codes.Unavailable, true},
		"without an answer":        {[]codes.Code{has, has}, codes.DeadlineExceeded, []int{1, 0}, codes.DeadlineExceeded, true},
		"all are away":             {[]codes.Code{codes.Unavailable, codes.Unavailable}, codes.OK, []int{0, 0}, codes.Unavailable, false},
		"nobody has it":            {[]codes.Code{codes.NotFound, codes.NotFound}, codes.OK, []int{0, 0}, codes.NotFound, false},
	} {
		var all services
		asked := make([]int, len(test.knows))
		for i, code := range test.knows {
			d := &desk{
				get: func() (*checkoutv1.Order, error) { return &checkoutv1.Order{}, status.Error(code, "") },
				resolve: func(*checkoutv1.ResolveOrderRequest) (*checkoutv1.Order, error) {
					asked[i]++
					if test.answers == notRecorded {
						s, _ := status.New(codes.Unavailable, "").WithDetails(&errdetails.ErrorInfo{Reason: "NOT_RECORDED"})
						return nil, s.Err()
					}
					return &checkoutv1.Order{}, status.Error(test.answers, "")
				},
			}
			all = append(all, d.service(t, "one"))
		}
		_, err := all.decide(t.Context(), decision.Decision{OrderID: "one", Action: "resolve"}, false)
		_, unsure := errors.AsType[lostAnswer](err)
		if got := status.Code(err); got != test.want || unsure != test.unknown || !slices.Equal(asked, test.asked) {
			t.Errorf("%s: %v, known %t, asked %v; want %v, %t, %v", name, got, !unsure, asked, test.want, !test.unknown, test.asked)
		}
	}
}
