package telemetry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"checkout/internal/order"
)

type teller = func(state order.State, done order.Delivery, orders int, oldest time.Duration)

// quiet is a house in which nothing happens.
func quiet() (limit, active int, refused int64) { return 256, 0, 0 }

func TestUnfinishedOrdersAreReported(t *testing.T) {
	t.Parallel()
	r := record(t)
	stop := r.Watch(func(_ context.Context, tell teller) error {
		tell(order.Charging, 0, 2, time.Second)
		tell(order.Placed, order.CartSettled, 3, time.Minute)
		tell(order.Placed, order.CartSettled|order.EmailSent, 4, time.Hour)
		tell(order.Undelivered, order.CartSettled, 5, 2*time.Hour) // nothing is pending: an operator decides
		return nil
	}, func() (limit, active int, refused int64) { return 100, 7, 12 })
	defer stop()
	got := r.metrics(t)
	for name, want := range map[string]string{
		metricUnfinished: `{order}
0
  string checkout.order.state=charged
0
  string checkout.order.state=in_doubt
0
  string checkout.order.state=parked
0
  string checkout.order.state=refunding
2
  string checkout.order.state=charging
5
  string checkout.order.state=undelivered
7
  string checkout.order.state=placed
`,
		metricOldest: `s
0
  string checkout.order.state=charged
0
  string checkout.order.state=in_doubt
0
  string checkout.order.state=parked
0
  string checkout.order.state=refunding
1
  string checkout.order.state=charging
3600
  string checkout.order.state=placed
7200
  string checkout.order.state=undelivered
`,
		metricPending: `{delivery}
0
  string checkout.delivery=cart
3
  string checkout.delivery=email
7
  string checkout.delivery=event
`,
		metricOldestPending: `s
0
  string checkout.delivery=cart
3600
  string checkout.delivery=event
60
  string checkout.delivery=email
`,
		metricLimit:   "{order}\n100\n",
		metricActive:  "{order}\n7\n",
		metricRefused: "{order}\n12\n",
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheBacklogIsCountedOnceASecondAndForATwentiethOfTheTimeAtMost(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{0: 30, 100 * time.Millisecond: 15} {
		synctest.Test(t, func(t *testing.T) {
			r := record(t)
			counted := 0
			stop := r.Watch(func(context.Context, teller) error { counted++; time.Sleep(took); return nil }, quiet)
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				r.metrics(t)
			}
			if counted != want {
				t.Errorf("counted %d times in 30 seconds when that takes %v, want %d", counted, took, want)
			}
			stop()
		})
	}
}

func TestAReaderThatLeavesDoesNotBreakOffTheCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		stop := r.Watch(func(ctx context.Context, _ teller) error {
			time.Sleep(500 * time.Millisecond)
			return ctx.Err()
		}, quiet)
		defer stop()
		leaving, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var m metricdata.ResourceMetrics
		_ = r.reader.Collect(leaving, &m) // the reader has left
		if got := r.metrics(t); got[metricUnfinished] == "" {
			t.Errorf("collected %v: want what is on record", got)
		}
	})
}

func TestARecordThatDoesNotAnswerHoldsUpAnExportForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		stop := r.Watch(func(ctx context.Context, _ teller) error { <-ctx.Done(); return ctx.Err() }, quiet)
		begin := time.Now()
		got := r.metrics(t)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("collecting took %v, want 1s", took)
		}
		if _, ok := got[metricUnfinished]; ok || got[metricLimit] == "" {
			t.Errorf("collected %v: want the limit, and nothing of the record", got)
		}
		stop()
	})
}

func TestARecordThatCannotBeCountedIsMentionedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		stop := r.Watch(func(context.Context, teller) error { return errors.New("no disk") }, quiet)
		for range 110 {
			r.metrics(t)
			<-time.After(time.Second)
		}
		lines := r.lines(t)
		if len(lines) != 2 || lines[0]["msg"] != "orders on record not counted" || lines[0]["exception.message"] != "no disk" || lines[0]["level"] != "WARN" {
			t.Errorf("the log has %v, want two warnings", lines)
		}
		stop()
	})
}

// The last export comes when the record is closed already.
func TestTheLastCountOutlivesTheRecord(t *testing.T) {
	t.Parallel()
	r := record(t)
	closed, parked := false, 0
	stop := r.Watch(func(_ context.Context, tell teller) error {
		if closed {
			t.Error("the record is asked after its end")
		}
		tell(order.Parked, 0, parked, time.Hour)
		return nil
	}, quiet)
	r.metrics(t)
	parked = 5
	stop()
	closed = true
	stop() // twice does no harm
	if got := r.metrics(t)[metricUnfinished]; !strings.Contains(got, "5\n  string checkout.order.state=parked") {
		t.Errorf("unfinished orders are\n%swant the 5 of the end", got)
	}
}
