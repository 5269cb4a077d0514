//go:build real

package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
	"checkout/internal/test/process"
	"checkout/internal/wait"
)

// kafka is a cluster of Apache Kafka in KRaft mode: every broker is a controller, too.
type kafka struct {
	jars, folder string
	brokers      []*broker
	secure       *security // nil: anybody may do anything
}

// broker is one of them, in one process after another.
type broker struct {
	id      int
	address string
	config  string
	process *process.Process
}

// startKafka starts so many brokers, and waits until they answer.
func startKafka(t testing.TB, brokers int) *kafka {
	t.Helper()
	return new(kafka).run(t, brokers)
}

func (k *kafka) run(t testing.TB, brokers int) *kafka {
	t.Helper()
	jars, err := filepath.Abs("../bin/servers/kafka")
	if found, _ := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); len(found) == 0 || err != nil {
		skip(t, "kafka", "there are no jars in bin/servers/kafka, which .ci/kafka fetches")
	}
	if _, err := exec.LookPath("java"); err != nil {
		skip(t, "kafka", "Java is not installed")
	}
	k.jars, k.folder = jars, t.TempDir()
	var voters, controllers []string
	for id := 1; id <= brokers; id++ {
		address, controller := nettest.Reserve(t), nettest.Reserve(t)
		k.brokers = append(k.brokers, &broker{id: id, address: address, config: filepath.Join(k.folder, fmt.Sprintf("%d.properties", id))})
		voters, controllers = append(voters, fmt.Sprintf("%d@%s", id, controller)), append(controllers, controller)
	}
	for i, b := range k.brokers {
		text := fmt.Sprintf(`process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=PLAINTEXT://%s,CONTROLLER://%s
advertised.listeners=PLAINTEXT://%[3]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[5]s
offsets.topic.replication.factor=%[6]d
default.replication.factor=%[6]d
min.insync.replicas=%[7]d
num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
`, b.id, strings.Join(voters, ","), b.address, controllers[i], filepath.Join(k.folder, fmt.Sprint("data-", b.id)), brokers, brokers/2+1)
		if k.secure != nil {
			text = k.secure.configure(text)
		}
		if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.format(t, b)
		k.start(t, b)
	}
	t.Cleanup(func() {
		for _, b := range k.brokers {
			b.process.Kill()
			if log, _ := os.ReadFile(k.log(b)); t.Failed() {
				t.Logf("broker %d: %s", b.id, tail(log))
			}
		}
	})
	k.await(t)
	return k
}

func (k *kafka) java(args ...string) process.Spec {
	java, _ := exec.LookPath("java")
	return process.Spec{
		Path:    java,
		Args:    append([]string{"-Xmx400m", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(k.jars, "*")}, args...),
		Environ: map[string]string{"PATH": os.Getenv("PATH"), "HOME": k.folder},
	}
}

// format makes the folder of a broker that has none.
func (k *kafka) format(t testing.TB, b *broker) {
	t.Helper()
	p, err := process.Start(k.java("kafka.tools.StorageTool", "format", "-t", "ckjPoprWQzOf0-FuNkGfFQ", "-c", b.config))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Gone()
	if how := p.Ended(); how != "exit status 0" {
		t.Fatalf("formatting the folder of broker %d: %s", b.id, how)
	}
}

func (k *kafka) start(t testing.TB, b *broker) {
	t.Helper()
	log, err := os.OpenFile(k.log(b), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	spec := k.java("kafka.Kafka", b.config)
	spec.Output = log
	if b.process, err = process.Start(spec); err != nil {
		t.Fatal(err)
	}
}

func (k *kafka) log(b *broker) string { return filepath.Join(k.folder, fmt.Sprintf("%d.log", b.id)) }

// erase ends a broker and starts an empty one in its place.
func (k *kafka) erase(t testing.TB, b *broker) {
	t.Helper()
	b.process.Kill()
	if err := os.RemoveAll(filepath.Join(k.folder, fmt.Sprint("data-", b.id))); err != nil {
		t.Fatal(err)
	}
	k.format(t, b)
	k.start(t, b)
	k.await(t)
}

func (k *kafka) addresses() (all []string) {
	for _, b := range k.brokers {
		all = append(all, b.address)
	}
	return all
}

func (k *kafka) admin(t testing.TB) (*kadm.Client, func()) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	return kadm.NewClient(client), client.Close
}

// await waits until all brokers that run know of each other.
func (k *kafka) await(t testing.TB) {
	t.Helper()
	admin, closed := k.admin(t)
	defer closed()
	eventually(t, "all brokers answer", func(ctx context.Context) error {
		found, err := admin.ListBrokers(ctx)
		if err == nil && len(found) < len(k.brokers) {
			err = fmt.Errorf("%d of %d", len(found), len(k.brokers))
		}
		return err
	})
}

const topic = "orders"

func (k *kafka) createTopic(t testing.TB) {
	t.Helper()
	admin, closed := k.admin(t)
	defer closed()
	eventually(t, "the topic is made", func(ctx context.Context) error {
		_, err := admin.CreateTopic(ctx, 1, int16(len(k.brokers)), nil, topic)
		return err
	})
}

// accept sets how large a message the topic accepts, in bytes.
func (k *kafka) accept(t testing.TB, size string) {
	t.Helper()
	admin, closed := k.admin(t)
	defer closed()
	altered, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &size}}, topic)
	if err == nil && len(altered) > 0 {
		err = altered[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kcat are the events as a consumer reads them that is not ours: kcat, which is librdkafka's.
func (k *kafka) kcat(t testing.TB) (map[string]int, error) {
	t.Helper()
	program, err := exec.LookPath("kcat")
	if err != nil {
		skip(t, "kafka", "kcat is not installed")
	}
	out, err := exec.CommandContext(t.Context(), program, "-C", "-b", k.brokers[0].address, "-t", topic, "-e", "-q", "-f", "%k %S %s").Output()
	if err != nil {
		return nil, fmt.Errorf("kcat: %w", err)
	}
	events := make(map[string]int)
	for rest := bytes.NewReader(out); rest.Len() > 0; {
		var key string
		var size int
		if _, err := fmt.Fscanf(rest, "%s %d ", &key, &size); err != nil {
			return nil, fmt.Errorf("what kcat writes: %w", err)
		}
		value := make([]byte, size)
		if _, err := io.ReadFull(rest, value); err != nil {
			return nil, fmt.Errorf("what kcat writes: %w", err)
		}
		if err := count(events, key, value); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// count adds an event, of which key and value must be of one order.
func count(events map[string]int, key string, value []byte) error {
	var o oteldemo.OrderResult
	if err := proto.Unmarshal(value, &o); err != nil {
		return fmt.Errorf("event of order %s: %w", key, err)
	}
	if o.GetOrderId() != key {
		return fmt.Errorf("event of order %s has the key %q", o.GetOrderId(), key)
	}
	events[key]++
	return nil
}

func (k *kafka) deleteTopic(t testing.TB) {
	t.Helper()
	admin, closed := k.admin(t)
	defer closed()
	if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}

// leader is the broker that leads the topic.
func (k *kafka) leader(t testing.TB) *broker {
	t.Helper()
	admin, closed := k.admin(t)
	defer closed()
	topics, err := admin.ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range topics[topic].Partitions {
		return k.brokers[p.Leader-1]
	}
	t.Fatal("the topic has no partition")
	return nil
}

// events are how many events of each order the topic has.
func (k *kafka) events(t testing.TB) (map[string]int, error) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addresses()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		return nil, err
	}
	end, _ := ends.Lookup(topic, 0)
	events := make(map[string]int)
	for read := int64(0); read < end.Offset; {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		fetched := client.PollFetches(ctx)
		cancel()
		if err := fetched.Err(); err != nil {
			return nil, err
		}
		for _, r := range fetched.Records() {
			if err := count(events, string(r.Key), r.Value); err != nil {
				return nil, err
			}
			read = r.Offset + 1
		}
	}
	return events, nil
}

// skip skips the test because of a part that cannot be had, or fails it where CHECKOUT_TEST_REAL names the part.
func skip(t testing.TB, part, why string) {
	t.Helper()
	if strings.Contains(os.Getenv("CHECKOUT_TEST_REAL"), part) {
		t.Fatalf("%s: %s", part, why)
	}
	t.Skipf("NOT CHECKED: %s: %s", part, why)
}

// eventually waits for up to ten minutes, as a machine may be busy, until there is no error.
func eventually(t testing.TB, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := try(once)
		cancel()
		if err == nil {
			return
		}
		if !wait.For(ctx, 200*time.Millisecond) {
			t.Fatalf("%s: %v", what, errors.Join(err, ctx.Err()))
		}
	}
}
