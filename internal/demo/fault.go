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

// FaultKind is a way in which a call goes wrong.
type FaultKind uint8

const (
	// None: the call goes well.
	None FaultKind = iota
	// Refuse: an error instead of the answer, and nothing was done.
	Refuse
	// Hang: no answer for as long as the caller waits, and nothing was done.
	Hang
	// LoseAnswer: it was done, and then the connection broke.
	LoseAnswer
	// HangAfter: it was done, and there is no answer for as long as the caller waits.
	HangAfter
	// Late: it is done after Delay, or when the fault is over if that is sooner, even if the caller has given up by then.
	// A caller that still waits is answered.
	Late
)

// String returns the kind in words.
func (k FaultKind) String() string {
	switch k {
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

// Fault is what is wrong with calls of a server. The zero value is nothing.
type Fault struct {
	// Latency is how much longer every call takes.
	Latency time.Duration

	// Rate is how many calls of a method are done a second, one after the other, in the order in which they came; 0 is no
	// limit. A call whose caller leaves while it waits is not done, unless Persist.
	Rate float64
	// Persist does calls of a limited Rate whose caller has left, too.
	Persist bool

	// Kind is how calls go wrong: all of them, unless Every or Chance says which.
	Kind FaultKind
	// Every makes each Every-th call of a method go wrong, beginning with the Every-th.
	Every int
	// Chance is the probability with which a call goes wrong. Every goes before it.
	Chance float64

	// Delay is how much later than asked a Late call is done.
	Delay time.Duration
	// Code is what a gRPC server refuses with; UNAVAILABLE if it is zero.
	Code codes.Code
	// Status is what an HTTP server refuses with; 503 if it is zero. With 422 it refuses for good; with 200, Text is a
	// wrong answer.
	Status int
	// Text is the refusal's message, or its body.
	Text string
	// Location is where an HTTP server redirects to, with a Status of 3xx.
	Location string
}

// kindOf returns how the n-th call of a method goes wrong.
func (f Fault) kindOf(n int) FaultKind {
	switch {
	case f.Every > 0 && n%f.Every != 0:
		return None
	case f.Every <= 0 && f.Chance > 0 && rand.Float64() >= f.Chance: //nolint:gosec // luck, not a secret
		return None
	}
	return f.Kind
}

func (f Fault) code() codes.Code { return cmp.Or(f.Code, codes.Unavailable) }

func (f Fault) status() int { return cmp.Or(f.Status, http.StatusServiceUnavailable) }

// queue lets calls through one after the other.
type queue struct {
	turn chan struct{} // taken by the call that is being done; Go serves those who wait first come, first served
	free time.Time     // when the last of those that had their turn is done; the call that has the turn may look
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
