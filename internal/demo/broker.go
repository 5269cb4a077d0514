package demo

import (
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Topic is where checkout publishes orders.
const Topic = "orders"

// Broker is a Kafka broker. It can Leave and Return: its records outlast that, as if they were on disk.
type Broker struct{ *listener }

// newBroker starts a broker on the listener. Topics are made when they are asked for; Topic is there from the
// start, with one partition, so that events are read in the order in which they were written.
func newBroker(l *listener) (*Broker, func() error, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l, nil }),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(1),
		kfake.SeedTopics(1, Topic),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("starting the broker: %w", err)
	}
	return &Broker{l}, func() error { cluster.Close(); return nil }, nil
}
