package fair

import (
	"context"
	"testing"
)

func TestTheFirstCallOfOneGoesBeforeTheSecondOfAnother(t *testing.T) {
	t.Parallel()
	var all Clients
	many, one := all.New(nil), all.New(nil)
	first, second := many.Enter(1), many.Enter(1)
	other := one.Enter(1)
	if first > other || other >= second {
		t.Errorf("ranks of %v and %v, and %v of another client", first, second, other)
	}
	many.Begin(second)
	if third := many.Enter(1); one.Rank() > third {
		t.Errorf("a client that has waited for nothing has rank %v, behind %v", one.Rank(), third)
	}
	if many.Share(0) != 3 || one.Share(1) != 2 {
		t.Errorf("shares of %v and %v, want 3 and 2", many.Share(0), one.Share(1))
	}
	if many.Leave(3); many.Holds() || !one.Holds() {
		t.Error("places are not given back")
	}
}

func TestCallsInVainWeighMoreAndServedOnesLess(t *testing.T) {
	t.Parallel()
	var all Clients
	shop, stranger, attacker := all.New(nil), all.New(nil), all.New(nil)
	for range 10 * memory {
		shop.End(true)
		attacker.End(false)
	}
	if shop.Share(1) != 1./extreme || stranger.Share(1) != 1 || attacker.Share(1) != extreme {
		t.Errorf("a call weighs %v, %v, %v", shop.Share(1), stranger.Share(1), attacker.Share(1))
	}
	if !shop.Proven() || stranger.Proven() || attacker.Proven() {
		t.Error("not the shop alone is proven")
	}
	for range 2 * memory {
		shop.End(false)
	}
	if shop.Proven() || shop.Share(1) < 2 {
		t.Errorf("a call of a shop whose calls have become vain weighs %v", shop.Share(1))
	}
}

func TestWhoDoesNotTakeAnswersIsHungUpOn(t *testing.T) {
	t.Parallel()
	var all Clients
	hungUp := 0
	c := all.New(func() { hungUp++ })
	for range 10 * mostStuck {
		c.Stuck()
		c.Unstuck()
	}
	for range mostStuck {
		c.Stuck()
	}
	if hungUp > 0 {
		t.Errorf("with %d answers to take", mostStuck)
	}
	if c.Stuck(); hungUp != 1 {
		t.Errorf("hung up %d times with one more", hungUp)
	}
}

func TestNobodyInParticularIsLikeNobodyElse(t *testing.T) {
	t.Parallel()
	c := Of(context.Background())
	c.End(true)
	c.Stuck()
	c.Unstuck()
	c.Begin(1)
	c.Leave(1)
	if c.Enter(1) != 0 || c.Rank() != 0 || c.Share(1) != 0 || !c.Holds() || c.Proven() {
		t.Error("nobody is somebody")
	}
	ctx := WithRank(With(context.Background(), new(Client)), 7)
	if Of(ctx) == nil || Rank(ctx) != 7 || Rank(context.Background()) != 0 {
		t.Error("a context does not tell")
	}
}
