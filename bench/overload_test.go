package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"checkout/gen/oteldemo"
	"checkout/internal/test/rawgrpc"
)

func TestAnOpenLoopDoesNotWaitForAnswers(t *testing.T) {
	t.Parallel()
	p := openLoop(1000)
	if n := p(time.Second, 400, 400); n != 600 {
		t.Errorf("after a second in which 400 calls were begun and none answered, %d are begun; want 600", n)
	}
	if n := closedLoop(64)(time.Second, 400, 60); n != 4 {
		t.Errorf("with 60 of 64 callers waiting, %d calls are begun; want 4", n)
	}
}

func TestOnlyAnOrderInTimeIsServed(t *testing.T) {
	t.Parallel()
	c := newCounts()
	for _, a := range []rawgrpc.Answer{
		{Code: codes.OK, Latency: time.Second},
		{Code: codes.OK, Latency: 3 * time.Second}, // too late
		{Code: codes.ResourceExhausted},
		{Code: codes.DeadlineExceeded},
		{Code: codes.Unavailable, Text: "gone"},
		{Code: codes.Internal, Text: "bug"},
	} {
		c.end(c.begin(c.began), a, 2*time.Second)
	}
	if c.served[0] != 1 || c.good.TotalCount() != 1 || c.refused.TotalCount() != 1 || c.expired != 2 || c.failed != 2 || c.strange != 1 {
		t.Errorf("%d served, %d refused, %d expired, %d failed, %d of them strange; want 1, 1, 2, 2, 1", c.served[0], c.refused.TotalCount(), c.expired, c.failed, c.strange)
	}
	if c.share() != 1./6 {
		t.Errorf("share %v, want 1/6", c.share())
	}
}

func TestTheServiceIsBackOnceEveryFurtherSecondIsServed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		served []int
		want   float64
	}{
		{[]int{100, 100, 99}, 0},
		{[]int{100, 10, 99, 100}, 2},
		{[]int{0, 0, 98}, -1},
	} {
		c := newCounts()
		for range test.served {
			c.due = append(c.due, 100)
		}
		c.served = test.served
		if got := c.back(0.99); got != test.want {
			t.Errorf("served %v of 100 each: back after %v s, want %v", test.served, got, test.want)
		}
	}
}

func TestGoodputIsThatOfTheWholeSecondsFromTheThirdOn(t *testing.T) {
	t.Parallel()
	c := newCounts()
	c.served = []int{500, 400, 100, 200, 7}
	r := &ordeal{during: c, took: 4200 * time.Millisecond}
	if got := r.goodput(); got != 150 {
		t.Errorf("goodput %v, want 150", got)
	}
}

func TestEveryCallIsThatOfAUserOfItsOwnUnlessGreedy(t *testing.T) {
	t.Parallel()
	read := func(framed []byte) *oteldemo.PlaceOrderRequest {
		if n := int(binary.BigEndian.Uint32(framed[1:])); n != len(framed)-5 {
			t.Fatalf("a length of %d in a frame of %d bytes", n, len(framed))
		}
		req := new(oteldemo.PlaceOrderRequest)
		if err := proto.Unmarshal(framed[5:], req); err != nil {
			t.Fatal(err)
		}
		return req
	}
	honest := body("honest-1-", "USD")
	first, second := read(bytes.Clone(honest(7))), read(bytes.Clone(honest(123)))
	if first.GetUserId() != "honest-1-0000000007" || second.GetUserId() != "honest-1-0000000123" || second.GetEmail() != "honest-1-0000000123@example.com" {
		t.Errorf("users %q and %q with e-mail address %q", first.GetUserId(), second.GetUserId(), second.GetEmail())
	}
	greedy := body(greedyUser+"-1-", "USD")
	if a, b := read(bytes.Clone(greedy(1))), read(bytes.Clone(greedy(2))); a.GetUserId() != b.GetUserId() {
		t.Errorf("the greedy user is %q and %q", a.GetUserId(), b.GetUserId())
	}
}

func TestAnAnswerNamesItsOrder(t *testing.T) {
	t.Parallel()
	message, err := proto.Marshal(&oteldemo.PlaceOrderResponse{Order: &oteldemo.OrderResult{OrderId: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := anypb.New(&errdetails.ErrorInfo{Metadata: map[string]string{"order_id": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	details, err := proto.Marshal(&spb.Status{Details: []*anypb.Any{info}})
	if err != nil {
		t.Fatal(err)
	}
	for want, a := range map[string]rawgrpc.Answer{
		"1": {Code: codes.OK, Message: message},
		"2": {Code: codes.Aborted, Details: details},
		"":  {Code: codes.DeadlineExceeded},
	} {
		if got := orderOf(a); got != want {
			t.Errorf("%v names order %q, want %q", a.Code, got, want)
		}
	}
}

func TestBoundsThatAreNotKeptAreErrors(t *testing.T) {
	t.Parallel()
	r := &ordeal{plan: plan{memory: "16MiB", possible: 100}, during: newCounts(), afterwards: newCounts(), lost: 1, anonymous: 17 << 20}
	r.greedy = 1
	if err := (overload{bounds: bounds{lost: -1, anonymous: -1, good: -1, served: -1, others: -1}}).judge([]*ordeal{r}); err != nil {
		t.Errorf("without bounds: %v", err)
	}
	for _, b := range []bounds{
		{lost: 0, anonymous: -1, good: -1, served: -1, others: -1},
		{lost: -1, anonymous: 16, good: -1, served: -1, others: -1},
		{lost: -1, anonymous: -1, good: 85, served: -1, others: -1},
		{lost: -1, anonymous: -1, good: -1, served: 99, others: -1},
		{lost: -1, anonymous: -1, good: -1, served: -1, others: 95},
	} {
		if err := (overload{bounds: b}).judge([]*ordeal{r}); err == nil {
			t.Errorf("bounds %+v were kept", b)
		}
	}
}

func TestOverloadIsAskedForByFlags(t *testing.T) {
	t.Parallel()
	o, err := parseOverload([]string{"-overload", "-factors", "2,3", "-brownouts", "^pay", "-most-lost", "0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.factors) != 2 || !o.brownouts.MatchString("payment") || o.brownouts.MatchString("cart") || o.lost != 0 || o.anonymous != -1 {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{{"-overload", "more"}, {"-overload", "-time", "1s"}, {"-overload", "-brownouts", "("}} {
		if _, err := parseOverload(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
