package console

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestServicesAreAskedInTurn: until one settles the question. What is decided is not decided a second time.
func TestServicesAreAskedInTurn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		why     purpose
		answers []codes.Code // of one service after the other
		want    codes.Code
		asked   int
	}{
		"the first knows":                       {reading, []codes.Code{codes.OK, codes.OK}, codes.OK, 1},
		"the first is away":                     {reading, []codes.Code{codes.Unavailable, codes.OK}, codes.OK, 2},
		"the first has another record":          {reading, []codes.Code{codes.NotFound, codes.OK}, codes.OK, 2},
		"nobody has it":                         {reading, []codes.Code{codes.NotFound, codes.NotFound}, codes.NotFound, 2},
		"who may have it is away":               {reading, []codes.Code{codes.NotFound, codes.Unavailable}, codes.Unavailable, 2},
		"a decision for another record":         {deciding, []codes.Code{codes.NotFound, codes.OK}, codes.OK, 2},
		"a decision that may have been written": {deciding, []codes.Code{codes.Unavailable, codes.FailedPrecondition}, codes.Unavailable, 1},
		"a decision that was not answered":      {deciding, []codes.Code{codes.DeadlineExceeded, codes.FailedPrecondition}, codes.DeadlineExceeded, 1},
	} {
		asked := 0
		_, err := first(t.Context(), make(services, len(test.answers)), time.Second, test.why, func(context.Context, Service) (int, error) {
			asked++
			return 0, status.Error(test.answers[asked-1], "")
		})
		if got := status.Code(err); got != test.want || asked != test.asked {
			t.Errorf("%s: %v after %d services, want %v after %d", name, got, asked, test.want, test.asked)
		}
	}
}
