//go:build real

package real

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/test/pgtest"
)

// rate is how many customers come in a second: few, because this is about what happens and not about how fast.
const rate = 20

func TestABrokerIsKilledAndComesBack(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	s := openShop(t, k, "", 1)
	stop := s.customers(t)
	time.Sleep(3 * time.Second)
	k.brokers[0].process.Kill()
	time.Sleep(5 * time.Second)
	k.start(t, k.brokers[0])
	k.await(t)
	time.Sleep(3 * time.Second)
	stop()
	s.audit(t, k.events)
	s.audit(t, k.kcat)
}

func TestTheTopicIsMadeLateDeletedAndMadeAnew(t *testing.T) {
	k := startKafka(t, 1)
	s := openShop(t, k, "", 1)
	someOrders := func() {
		stop := s.customers(t)
		time.Sleep(2 * time.Second)
		stop()
	}
	someOrders()
	k.createTopic(t)
	s.audit(t, k.events)
	gone, err := k.events(t)
	if err != nil {
		t.Fatal(err)
	}
	k.deleteTopic(t)
	someOrders()
	k.createTopic(t)
	s.audit(t, with(gone, k.events))
}

// with are events, and those that have gone with a topic or a broker.
func with(gone map[string]int, events func(testing.TB) (map[string]int, error)) func(testing.TB) (map[string]int, error) {
	return func(t testing.TB) (map[string]int, error) {
		now, err := events(t)
		for id, n := range gone {
			now[id] += n
		}
		return now, err
	}
}

func TestEventsThatWereTooLargeWaitForAnOperator(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	k.accept(t, "100")
	s := openShop(t, k, "", 1)
	stop := s.customers(t)
	time.Sleep(time.Second)
	stop()
	eventually(t, "all orders wait for an operator", func(ctx context.Context) error {
		orders, err := s.record(ctx)
		if err != nil {
			return err
		}
		for _, o := range orders {
			if o.GetState() != checkoutv1.OrderState_UNDELIVERED {
				return fmt.Errorf("order %s is in state %s", o.GetOrderId(), o.GetState())
			}
		}
		return nil
	})
	k.accept(t, "1000000")
	s.retry(t)
	s.audit(t, k.events)
}

func TestABrokerComesBackEmpty(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	s := openShop(t, k, "", 1)
	stop := s.customers(t)
	time.Sleep(2 * time.Second)
	stop()
	s.audit(t, k.events)
	gone, err := k.events(t)
	if err != nil {
		t.Fatal(err)
	}
	k.erase(t, k.brokers[0])
	k.createTopic(t)
	stop = s.customers(t)
	time.Sleep(2 * time.Second)
	s.kill(t, 0) // and one that has never seen the broker before
	time.Sleep(2 * time.Second)
	stop()
	s.audit(t, with(gone, k.events))
}

func TestBrokersOfThreeAreKilled(t *testing.T) {
	k := startKafka(t, 3)
	k.createTopic(t)
	s := openShop(t, k, "", 1)
	stop := s.customers(t)
	time.Sleep(2 * time.Second)
	first := k.leader(t)
	first.process.Kill()
	time.Sleep(4 * time.Second)
	second := k.brokers[slices.IndexFunc(k.brokers, func(b *broker) bool { return b != first })]
	second.process.Kill() // one is left, which may not accept events alone
	time.Sleep(4 * time.Second)
	k.start(t, first)
	k.start(t, second)
	k.await(t)
	time.Sleep(2 * time.Second)
	stop()
	s.audit(t, k.events)
}

func TestReplicasAreKilledInTurn(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	s := openShop(t, k, pgtest.Start(t).Fresh(t), 3)
	stop := s.customers(t)
	for i := range s.replicas {
		time.Sleep(2 * time.Second)
		s.kill(t, i)
	}
	time.Sleep(2 * time.Second)
	stop()
	s.audit(t, k.events)
}
