//go:build real

package real

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"checkout/internal/test/pgtest"
	"checkout/internal/test/process"
)

// BenchmarkReplicas measures what an order costs with several replicas on one PostgreSQL and one Kafka, each with 16 customers
// at once: with fewer, a process has less to send and to read in one go. On one machine all share the processors, so that only
// the cost of an order counts, not how many are placed.
func BenchmarkReplicas(b *testing.B) {
	for _, replicas := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			k := startKafka(b, 1)
			k.createTopic(b)
			server := pgtest.StartOwn(b)
			s := openShop(b, k, server.Fresh(b), replicas)
			s.place(b, 200) // so that caches are warm
			service, database := s.cpu(b), cpuOf(b, server.PID())
			b.ResetTimer()
			s.place(b, b.N)
			b.StopTimer()
			ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) / float64(b.N) }
			b.ReportMetric(ms(s.cpu(b)-service), "service-ms/order")
			b.ReportMetric(ms(cpuOf(b, server.PID())-database), "postgres-ms/order")
			s.audit(b, k.events)
		})
	}
}

// place places so many orders, 16 at once in each replica.
func (s *shop) place(b *testing.B, orders int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 * len(s.replicas) {
		all.Go(func() {
			for n := next.Add(1); n <= int64(orders); n = next.Add(1) {
				s.buy(b, s.replicas[int(n)%len(s.replicas)].Conn, fmt.Sprintf("%d-%d", time.Now().UnixNano(), n))
			}
		})
	}
	all.Wait()
}

func (s *shop) cpu(b *testing.B) (sum time.Duration) {
	b.Helper()
	for _, r := range s.replicas {
		sum += cpu(b, r.PID())
	}
	return sum
}

// cpuOf is what a server of PostgreSQL and its processes have used.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	sum := cpu(b, pid)
	for _, child := range strings.Fields(string(children)) {
		var id int
		if _, err := fmt.Sscan(child, &id); err != nil {
			b.Fatal(err)
		}
		sum += cpu(b, id)
	}
	return sum
}

func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	u, err := process.ReadUsage(pid)
	if err != nil {
		b.Fatal(err)
	}
	return u.CPU
}
