package demo

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/wait"
)

// Fault is a way in which a call goes wrong.
type Fault uint8

const (
	// None: the call goes well.
	None Fault = iota
	// Refuse: an error instead of the answer, and nothing was done.
	Refuse
	// Hang: no answer for as long as the caller waits, and nothing was done.
	Hang
	// LoseAnswer: it was done, and then the connection broke.
	LoseAnswer
	// HangAfter: it was done, and there is no answer for as long as the caller waits.
	HangAfter
	// Late: it is done after Delay, or when the trouble is over if that is sooner, even if the caller has given up by then.
	// One who still waits is answered.
	Late
)

// String is the fault in words.
func (f Fault) String() string {
	switch f {
	case None:
		return "none"
	case Refuse:
		return "refuse"
	case Hang:
		return "hang"
	case LoseAnswer:
		return "lose the answer"
	case HangAfter:
		return "hang after"
	case Late:
		return "late"
	}
	return "unknown"
}

// Trouble is what is wrong with a neighbour. The zero value is a healthy neighbour.
type Trouble struct {
	// Latency is how much longer every call takes.
	Latency time.Duration

	// Rate is how many calls of a method are done a second, one after the other, in the order in which they came; 0 is no
	// limit. A call whose caller leaves while it waits is not done, unless Persist.
	Rate float64
	// Persist does calls of a limited Rate whose caller has left, too.
	Persist bool

	// Fault is how calls go wrong: all of them, unless Every or Chance says which.
	Fault Fault
	// Every makes each Every-th call of a method go wrong, beginning with the Every-th.
	Every int
	// Chance is the probability with which a call goes wrong. Every goes before it.
	Chance float64

	// Delay is how much later than asked a Late call is done.
	Delay time.Duration
	// Code is what a gRPC neighbour refuses with; UNAVAILABLE if it is zero.
	Code codes.Code
	// Status is what an HTTP neighbour refuses with; 503 if it is zero. With 422 it refuses for good; with 200, Text is a
	// wrong answer.
	Status int
	// Text is the refusal's message, or its body.
	Text string
	// Location is where an HTTP neighbour redirects to, with a Status of 3xx.
	Location string
}

// meet tells which fault the n-th call of a method meets.
func (t Trouble) meet(n int) Fault {
	switch {
	case t.Every > 0 && n%t.Every != 0:
		return None
	case t.Every <= 0 && t.Chance > 0 && rand.Float64() >= t.Chance: //nolint:gosec // luck, not a secret
		return None
	}
	return t.Fault
}

func (t Trouble) code() codes.Code { return cmp.Or(t.Code, codes.Unavailable) }

func (t Trouble) status() int { return cmp.Or(t.Status, http.StatusServiceUnavailable) }

// queue lets calls through one after the other.
type queue struct {
	turn chan struct{} // taken by the call that is being done; Go serves those who wait first come, first served
	free time.Time     // when the last of those that had their turn is done; whoever has the turn may look
}

func newQueue() *queue { return &queue{turn: make(chan struct{}, 1)} }

// pass waits for the call's turn, and then for as long as one call takes at rate. It returns false when ctx ends before
// the turn comes. A call that is begun is finished.
func (q *queue) pass(ctx context.Context, rate float64) bool {
	came := time.Now()
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-q.turn }()
	if ctx.Err() != nil {
		return false
	}
	if q.free.Before(came) {
		q.free = came
	}
	q.free = q.free.Add(time.Duration(float64(time.Second) / rate))
	return wait.For(context.WithoutCancel(ctx), time.Until(q.free)) // a timer that is late for one is made up for by the next
}
