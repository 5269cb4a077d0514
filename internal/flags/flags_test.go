package flags_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"checkout/internal/flags"
	"checkout/internal/test/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// state is what the flags say, and how long they took to say it.
type state struct {
	Unreachable bool
	Extra       int
	Took        time.Duration
}

// byDefault are the defaults, at once.
var byDefault = state{}

func read(ctx context.Context, f *flags.Flags) state {
	start := time.Now()
	return state{Unreachable: f.PaymentUnreachable(ctx), Extra: f.ExtraEvents(ctx), Took: time.Since(start)}
}

func expect(t *testing.T, f *flags.Flags, when string, want state) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, read(t.Context(), f)); diff != "" {
		t.Errorf("%s, the flags differ (-want +got):\n%s", when, diff)
	}
}

// log collects log lines.
type log struct{ output.Buffer }

func (l *log) lines() []string {
	text := l.String()
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")[:strings.Count(text, "\n")]
}

func (l *log) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	got := l.lines()
	if len(got) != len(want) {
		t.Fatalf("%s, %d lines are logged, want %d:\n%s", when, len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%s, log line %d is\n%s\nwant one about %q", when, i, got[i], want[i])
		}
	}
}

func follow(t *testing.T, cfg flags.Config) *flags.Flags {
	t.Helper()
	f, err := flags.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func TestWithoutAHostThereIsNoFlagd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, cfg := range []flags.Config{{}, {Resolver: "rpc"}, {Port: 8013}} {
			expect(t, follow(t, cfg), "nothing being configured", byDefault)
		}
	})
}

func TestAConfigThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []flags.Config{{Resolver: "in-process"}, {Resolver: "file"}} {
		f, err := flags.New(cfg)
		if err == nil {
			_ = f.Close()
			t.Errorf("New(%+v) succeeds, want an error", cfg)
		}
	}
}

func BenchmarkEvaluation(b *testing.B) {
	f, err := flags.New(flags.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		f.PaymentUnreachable(b.Context())
	}
}
