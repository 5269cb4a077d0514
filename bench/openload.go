package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
	"checkout/internal/test/rawgrpc"
	"checkout/internal/wait"
)

// greedyUser is the user whose cart is never empty.
const greedyUser = "greedy"

// pace is how many calls are to be begun now: since a time, when so many were begun and so many are under way.
type pace func(since time.Duration, begun, underWay int) int

// openLoop begins so many calls a second, whatever comes of them.
func openLoop(perSecond float64) pace {
	return func(since time.Duration, begun, _ int) int { return int(since.Seconds()*perSecond) - begun }
}

// closedLoop keeps so many calls under way.
func closedLoop(callers int) pace {
	return func(_ time.Duration, _, underWay int) int { return callers - underWay }
}

// counts are how the calls went that were due in one phase of a load, second by second.
type counts struct {
	began           time.Time
	due, served     []int                   // in each second: calls, and those that were answered with an order in time
	good, refused   *hdrhistogram.Histogram // latencies of orders in time and of RESOURCE_EXHAUSTED, in units of granularity
	expired, failed int                     // given up at the deadline; refused for another reason
	unsent          int                     // of those given up: they never left, for the server allowed no more streams
	strange         int                     // of those that failed: no reason that overload can give
	failure         string                  // one of them
}

func newCounts() *counts {
	histogram := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(longest/granularity), 3) }
	return &counts{began: time.Now(), good: histogram(), refused: histogram()}
}

// begin counts a call that is due, and returns its second.
func (c *counts) begin(due time.Time) int {
	second := max(0, int(due.Sub(c.began)/time.Second))
	for len(c.due) <= second {
		c.due, c.served = append(c.due, 0), append(c.served, 0)
	}
	c.due[second]++
	return second
}

// end counts an answer.
func (c *counts) end(second int, a rawgrpc.Answer, deadline time.Duration) {
	record := func(h *hdrhistogram.Histogram) {
		_ = h.RecordValue(int64(min(max(a.Latency, granularity), longest) / granularity)) // it is within bounds
	}
	switch a.Code {
	case codes.OK:
		if a.Latency > deadline {
			c.expired++
			return
		}
		c.served[second]++
		record(c.good)
	case codes.ResourceExhausted:
		record(c.refused)
	case codes.DeadlineExceeded:
		c.expired++
		if !a.Sent {
			c.unsent++
		}
	default:
		c.failed++
		if a.Code != codes.Unavailable && a.Code != codes.Aborted && a.Code != codes.Canceled {
			c.strange++
		}
		c.failure = a.Code.String() + " " + a.Text
	}
}

// seconds are how many calls of each second were served.
func (c *counts) seconds() []float64 {
	var all []float64
	for _, n := range c.served {
		all = append(all, float64(n))
	}
	return all
}

// share is how much of all calls was served.
func (c *counts) share() float64 {
	due, served := 0, 0
	for i := range c.due {
		due, served = due+c.due[i], served+c.served[i]
	}
	return float64(served) / float64(max(due, 1))
}

// back is the first second from which on every one served at least a share of its calls, or -1.
func (c *counts) back(share float64) float64 {
	first := -1
	for i := len(c.due) - 1; i >= 0 && float64(c.served[i]) >= share*float64(c.due[i]); i-- {
		first = i
	}
	return float64(first)
}

// at is the latency that so many per cent were not above.
func at(h *hdrhistogram.Histogram, percent float64) time.Duration {
	return time.Duration(h.ValueAtPercentile(percent)) * granularity
}

// load is callers that share some connections.
type load struct {
	callers  []*rawgrpc.Caller
	deadline time.Duration
	stop     func()

	mu       sync.Mutex
	pace     pace // nil: nobody calls
	since    time.Time
	until    time.Time // nothing is due from then on
	begun    int       // at this pace
	underWay int
	resting  []time.Time // until when callers wait that were refused: nobody asks again at once for ever
	tag      int
	calls    map[int]pending
	all      *counts
	answered map[string]bool // orders that were answered in time
}

// pending is a call that is under way.
type pending struct {
	counts *counts
	second int
}

// load prepares callers, all of the same name or each a user of its own, who pay in a currency. It has to be closed.
func (o overload) load(service *running, name, currency string, conns int) *load {
	l := &load{deadline: o.deadline, calls: make(map[int]pending), all: newCounts(), answered: make(map[string]bool)}
	header := rawgrpc.Block(service.addr, oteldemo.CheckoutService_PlaceOrder_FullMethodName,
		rawgrpc.Field{Name: "grpc-timeout", Value: fmt.Sprintf("%dm", o.deadline.Milliseconds())})
	users := fmt.Sprintf("%s-%d-", name, time.Now().UnixNano())
	if currency == "" {
		currency = "USD"
	}
	for range conns {
		l.callers = append(l.callers, &rawgrpc.Caller{
			Addr: service.addr, Header: header, Body: body(users, currency), Deadline: o.deadline, Done: l.done,
		})
	}
	l.drive()
	return l
}

// body makes the message of a call: that of user NAME-TAG, or of the one greedy user.
func body(name, currency string) func(tag int) []byte {
	const digits = "0000000000"
	user := name + digits
	message, err := proto.Marshal(demo.Order(user, currency))
	if err != nil { // text and numbers can always be written
		message = nil
	}
	framed := rawgrpc.Frame(message)
	var places []int
	for from := 0; ; {
		found := bytes.Index(framed[from:], []byte(user))
		if found < 0 {
			break
		}
		from += found + len(user)
		places = append(places, from-len(digits))
	}
	if len(name) >= len(greedyUser) && name[:len(greedyUser)] == greedyUser {
		places = nil
	}
	return func(tag int) []byte {
		for _, at := range places {
			copy(framed[at:], fmt.Sprintf("%010d", tag))
		}
		return framed
	}
}

// drive keeps the connections, and begins calls at the pace, until stop is called.
func (l *load) drive() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, c := range l.callers {
		running.Go(func() { c.Run(ctx) })
	}
	running.Go(func() {
		for wait.For(ctx, time.Millisecond) {
			l.begin(time.Now())
			for _, c := range l.callers {
				c.Tick(time.Now())
			}
		}
	})
	l.stop = func() { cancel(); running.Wait() }
}

// begin begins the calls that are due.
func (l *load) begin(now time.Time) {
	l.mu.Lock()
	now = earlier(now, l.until.Add(-time.Nanosecond))
	var due []pendingCall
	if l.pace != nil {
		for len(l.resting) > 0 && l.resting[0].Before(now) {
			l.resting = l.resting[1:]
		}
		for range l.pace(now.Sub(l.since), l.begun, l.underWay+len(l.resting)) {
			l.calls[l.tag] = pending{l.all, l.all.begin(now)}
			due = append(due, pendingCall{l.callers[l.tag%len(l.callers)], l.tag})
			l.tag, l.begun, l.underWay = l.tag+1, l.begun+1, l.underWay+1
		}
	}
	l.mu.Unlock() // an answer locks it while the caller is locked
	for _, c := range due {
		c.caller.Call(c.tag, now)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

type pendingCall struct {
	caller *rawgrpc.Caller
	tag    int
}

// done counts an answer.
func (l *load) done(a rawgrpc.Answer) {
	id := orderOf(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	call := l.calls[a.Tag]
	delete(l.calls, a.Tag)
	call.counts.end(call.second, a, l.deadline)
	if a.Latency <= l.deadline && id != "" {
		l.answered[id] = true
	}
	l.underWay--
	if a.Code != codes.OK {
		l.resting = append(l.resting, time.Now().Add(patience))
	}
}

// orderOf is the order that an answer names, or "".
func orderOf(a rawgrpc.Answer) string {
	if a.Code == codes.OK {
		var resp oteldemo.PlaceOrderResponse
		_ = proto.Unmarshal(a.Message, &resp) // what cannot be read names none
		return resp.GetOrder().GetOrderId()
	}
	if a.Code == codes.ResourceExhausted || len(a.Details) == 0 {
		return ""
	}
	var details spb.Status
	_ = proto.Unmarshal(a.Details, &details) // likewise
	for _, detail := range details.GetDetails() {
		var info errdetails.ErrorInfo
		if detail.UnmarshalTo(&info) == nil {
			return info.GetMetadata()["order_id"]
		}
	}
	return ""
}

// run calls at a pace for a time. It does not wait for the last answers.
func (l *load) run(ctx context.Context, p pace, d time.Duration) error {
	l.mu.Lock()
	l.pace, l.since, l.until, l.begun = p, time.Now(), time.Now().Add(d), 0
	l.mu.Unlock()
	wait.For(ctx, d)
	l.mu.Lock()
	l.pace = nil
	l.mu.Unlock()
	return ctx.Err()
}

// phase ends the phase, and returns its counts. Answers that are still to come to its calls are added to them.
func (l *load) phase() *counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := l.all
	l.all = newCounts()
	return ended
}

// settle waits until all calls have their answers, which they do when the deadline is over.
func (l *load) settle(ctx context.Context) {
	for end := time.Now().Add(l.deadline + time.Second); time.Now().Before(end); {
		l.mu.Lock()
		left := l.underWay
		l.mu.Unlock()
		if left == 0 || !wait.For(ctx, 5*time.Millisecond) {
			return
		}
	}
}

// close ends all connections.
func (l *load) close() { l.stop() }
