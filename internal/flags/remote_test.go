package flags_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk/openfeature"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/flagd/evaluationv1"
	"checkout/internal/flags"
	"checkout/internal/test/nettest"
)

// static are flags that are on for everybody.
func static() map[string]setting {
	return map[string]setting{
		paymentUnreachable: {value: true, reason: "STATIC"},
		kafkaQueueProblems: {value: int64(100), reason: "STATIC"},
	}
}

// over is a Config for a flagd on n, which has its log.
func over(n *network) flags.Config {
	return flags.Config{
		Host:        "127.0.0.1",
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(n.dial)},
		Logger:      slog.New(slog.NewTextHandler(&n.log, nil)),
	}
}

func TestStaticFlagsAreReadAheadOfTheOrders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		server := newFlagd(static())
		n.start(t, server)
		f := follow(t, over(&n))
		synctest.Wait()

		if got := server.questions(); got != 2 {
			t.Errorf("before the first order, flagd is asked for %d flags, want 2", got)
		}
		server.slow(time.Hour)
		for range 100 {
			expect(t, f, "flagd being slow", state{Unreachable: true, Extra: 100})
		}
		if got := server.questions(); got != 0 {
			t.Errorf("100 orders ask flagd %d times, want never", got)
		}
	})
}

func TestAChangeOfTheConfigurationHoldsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		server := newFlagd(map[string]setting{paymentUnreachable: {value: false, reason: "STATIC"}})
		n.start(t, server)
		f := follow(t, over(&n))
		expect(t, f, "with the flag off", byDefault)

		server.set(paymentUnreachable, setting{value: true, reason: "STATIC"})
		expect(t, f, "with the flag on", state{Unreachable: true})

		server.set(kafkaQueueProblems, setting{value: int64(7), reason: "STATIC"})
		expect(t, f, "with a flag added", state{Unreachable: true, Extra: 7})

		server.set(paymentUnreachable, setting{value: true, reason: "DISABLED"})
		expect(t, f, "with a flag disabled", state{Extra: 7})

		time.Sleep(time.Hour)
		server.set(kafkaQueueProblems, setting{value: int64(8), reason: "STATIC"})
		expect(t, f, "after a quiet hour", state{Extra: 8})
		if got := server.subscriptions(); got != 1 {
			t.Errorf("flagd has seen %d event streams in an hour, want 1", got)
		}
	})
}

// restless is a flagd whose flags change without an end.
type restless struct{ *flagd }

func (restless) EventStream(_ *evaluationv1.EventStreamRequest, stream grpc.ServerStreamingServer[evaluationv1.EventStreamResponse]) error {
	for range 10_000 {
		if err := stream.Send(&evaluationv1.EventStreamResponse{Type: "configuration_change"}); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

func TestChangesWithoutAnEndAreReadSomeTimesASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		server := newFlagd(static())
		n.start(t, restless{server})
		follow(t, over(&n))
		time.Sleep(10 * time.Second)
		if got := server.questions(); got > 2*(10+10*10+2) {
			t.Errorf("flagd is asked for %d flags in 10 s", got)
		}
	})
}

func TestAFlagWithTargetingIsAskedForEveryOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		server := newFlagd(map[string]setting{
			paymentUnreachable: {value: true, reason: "TARGETING_MATCH"},
			kafkaQueueProblems: {value: int64(5), reason: "STATIC"},
		})
		stop := n.start(t, server)
		f := follow(t, over(&n))
		synctest.Wait()
		server.questions()

		server.slow(40 * time.Millisecond)
		for range 3 {
			expect(t, f, "flagd answering", state{Unreachable: true, Extra: 5, Took: 40 * time.Millisecond})
		}
		if got := server.questions(); got != 3 {
			t.Errorf("3 orders ask flagd %d times, want 3", got)
		}

		server.slow(time.Minute)
		expect(t, f, "flagd being slow", state{Extra: 5, Took: 100 * time.Millisecond})

		stop()
		expect(t, f, "flagd being away", byDefault)
	})
}

func TestAFlagdThatIsAwayAtStartIsFoundLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		f := follow(t, over(&n))
		if diff := cmp.Diff(byDefault, read(t.Context(), f)); diff != "" {
			t.Errorf("at once, the flags differ (-want +got):\n%s", diff)
		}

		time.Sleep(time.Hour)
		expect(t, f, "after an hour", byDefault)
		n.log.expect(t, "after an hour", "flagd is unavailable")
		if got := n.dialled(); got < 500 || got > 1000 {
			t.Errorf("flagd is dialled %d times in an hour, want about every 5 s", got)
		}

		n.start(t, newFlagd(static()))
		time.Sleep(7 * time.Second)
		expect(t, f, "7 s after flagd came", state{Unreachable: true, Extra: 100})
		n.log.expect(t, "with flagd there", "flagd is unavailable", "flagd is available again")
	})
}

func TestWhenFlagdGoesTheDefaultsHoldUntilItIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		stop := n.start(t, newFlagd(static()))
		f := follow(t, over(&n))
		expect(t, f, "with flagd there", state{Unreachable: true, Extra: 100})

		stop()
		expect(t, f, "with flagd gone", byDefault)
		time.Sleep(time.Hour)
		n.log.expect(t, "an hour later", "flagd is unavailable")

		n.start(t, newFlagd(static()))
		time.Sleep(7 * time.Second)
		expect(t, f, "7 s after flagd has returned", state{Unreachable: true, Extra: 100})
		n.log.expect(t, "with flagd back", "flagd is unavailable", "flagd is available again")
	})
}

func TestAServerThatIsNoFlagdIsNotPestered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		n.start(t, &evaluationv1.UnimplementedServiceServer{})
		f := follow(t, over(&n))

		time.Sleep(time.Hour)
		expect(t, f, "after an hour", byDefault)
		n.log.expect(t, "after an hour", "Unimplemented")
	})
}

func TestAFlagdThatDoesNotAnswerDelaysNoOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		server := newFlagd(static())
		server.slow(time.Hour)
		n.start(t, server)
		f := follow(t, over(&n))

		expect(t, f, "while flagd hangs", byDefault)
		time.Sleep(time.Hour)
		expect(t, f, "after an hour", byDefault)
		n.log.expect(t, "after an hour", "DeadlineExceeded")

		server.slow(0)
		time.Sleep(time.Minute)
		expect(t, f, "when flagd has recovered", state{Unreachable: true, Extra: 100})
	})
}

func TestAFlagWithABrokenRuleKeepsItsDefaultAndTheOtherItsValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		server := newFlagd(static())
		server.set(kafkaQueueProblems, setting{err: status.Error(codes.Unknown, "GENERAL")})
		n.start(t, server)
		f := follow(t, over(&n))
		synctest.Wait()
		expect(t, f, "with a broken rule", state{Unreachable: true})
		n.log.expect(t, "with a broken rule", "flag is unusable")
	})
}

func TestAFlagOfAnotherTypeKeepsItsDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		n.start(t, newFlagd(map[string]setting{
			paymentUnreachable: {value: int64(1), reason: "STATIC"},
			kafkaQueueProblems: {value: int64(9), reason: "STATIC"},
		}))
		f := follow(t, over(&n))

		expect(t, f, "with a number for a bool", state{Extra: 9})
		n.log.expect(t, "with a number for a bool", "paymentUnreachable is not boolean")
	})
}

func TestExtraEventsAreBounded(t *testing.T) {
	t.Parallel()
	for set, want := range map[int64]int{-1: 0, 0: 0, 1: 1, 1000: 1000, 1001: 1000, 1 << 62: 1000} {
		synctest.Test(t, func(t *testing.T) {
			var n network
			n.start(t, newFlagd(map[string]setting{kafkaQueueProblems: {value: set, reason: "STATIC"}}))
			f := follow(t, over(&n))
			expect(t, f, "with the flag set", state{Extra: want})
		})
	}
}

// recorder is a hook that keeps what it is told.
type recorder struct {
	openfeature.UnimplementedHook

	seen []string
	errs []error
}

func (r *recorder) Error(_ context.Context, _ openfeature.HookContext, err error, _ openfeature.HookHints) {
	r.errs = append(r.errs, err)
}

func (r *recorder) Finally(
	_ context.Context, _ openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints,
) {
	r.seen = append(r.seen, strings.TrimSpace(details.FlagKey+" "+string(details.Reason)+" "+details.Variant))
}

func TestHooksSeeEveryEvaluationAndNoErrorWhileFlagdIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			n    network
			hook recorder
		)
		cfg := over(&n)
		cfg.Hooks = []openfeature.Hook{&hook}
		stop := n.start(t, newFlagd(static()))
		f := follow(t, cfg)
		synctest.Wait()
		read(t.Context(), f)
		stop()
		synctest.Wait()
		read(t.Context(), f)

		want := []string{
			"paymentUnreachable STATIC v", "kafkaQueueProblems STATIC v",
			"paymentUnreachable DEFAULT", "kafkaQueueProblems DEFAULT",
		}
		if diff := cmp.Diff(want, hook.seen); diff != "" {
			t.Errorf("the hook's evaluations differ (-want +got):\n%s", diff)
		}
		if len(hook.errs) > 0 {
			t.Errorf("the hook is told of errors: %v", hook.errs)
		}
	})
}

func TestClosedFlagsGiveTheirDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n network
		n.start(t, newFlagd(static()))
		f, err := flags.New(over(&n))
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		expect(t, f, "before", state{Unreachable: true, Extra: 100})
		if err := f.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		expect(t, f, "after Close", byDefault)
	})
}

func TestFlagdIsFoundByHostAndPort(t *testing.T) {
	t.Parallel()
	address, err := netip.ParseAddrPort(nettest.ServeGRPC(t, func(s *grpc.Server) { evaluationv1.RegisterServiceServer(s, newFlagd(static())) }))
	if err != nil {
		t.Fatal(err)
	}
	f := follow(t, flags.Config{Host: "localhost", Port: int(address.Port())})
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f.PaymentUnreachable(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatal("the flags of a flagd on TCP are not seen")
		}
		<-tick.C
	}
}
