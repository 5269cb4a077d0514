package main

import (
	"bytes"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"checkout/internal/cli"
	"checkout/internal/demo"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

// enough is how long a test waits for what must happen. Nothing is measured by it.
const enough = 10 * time.Minute

// served is the service as a process, in a shop of its own.
type served struct {
	shop    *demo.Shop
	environ map[string]string
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error // after ended
}

func start(t *testing.T, set map[string]string) *served {
	t.Helper()
	shop := demotest.Start(t)
	s := &served{shop: shop, environ: shop.Environ(), ended: make(chan struct{})}
	_, s.environ["CHECKOUT_PORT"], _ = net.SplitHostPort(nettest.Reserve(t))
	s.environ["CHECKOUT_DB"] = filepath.Join(t.TempDir(), "orders.db")
	for name, value := range set { // % is the shop's own value
		s.environ[name] = strings.ReplaceAll(value, "%", s.environ[name])
	}
	s.cmd = command(t, s.environ)
	var log bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(s.ended); s.err = s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
		if t.Failed() {
			t.Logf("the service's log:\n%s", log.String())
		}
	})
	s.await(t, cli.OK)
	return s
}

// await waits until the probe has the exit status.
func (s *served) await(t *testing.T, want int) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		status, _, stderr := call(t, s.environ, "", "health", "-timeout=1m")
		switch {
		case status == want:
			return
		case time.Since(began) > enough:
			t.Fatalf("the probe's exit status is %d, want %d: %s", status, want, stderr)
		}
	}
}

// order places an order and returns the command's exit status, and what it printed of a failure.
func (s *served) order(t *testing.T) (status int, stderr string) {
	t.Helper()
	status, _, stderr = call(t, s.environ, card,
		"order", "place", "-timeout", "1m", "-user", "ada", "-email", "ada@example.com", "-street", "1 Main", "-item", "LS4PSXUNUM")
	return status, stderr
}

// signal sends SIGTERM.
func (s *served) signal(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the end of the process, which must be in order.
func (s *served) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(enough):
		t.Fatal("the process does not end")
	}
	if s.err != nil {
		t.Errorf("the process ended with: %v", s.err)
	}
}

func TestOrdersAreAcceptedAfterTheSignalUntilTheDelayIsOverOrTheSecondSignal(t *testing.T) {
	s := start(t, map[string]string{"CHECKOUT_SHUTDOWN_DELAY": "10m"})
	s.signal(t)
	s.await(t, probeUnhealthy)
	if status, stderr := s.order(t); status != cli.OK {
		t.Errorf("an order in the delay: exit status %d, %s", status, stderr)
	}
	s.signal(t)
	s.wait(t)
	if got := s.shop.Ledgers().Total(); got.Charges != 1 || got.Parcels != 1 {
		t.Errorf("the books: %+v, want one charge and one parcel", got)
	}
}

// processorWait measures how long this process waits for a processor, until the function that it returns is called. The
// service, on the same machine, waits about as long.
func processorWait() (waited func() time.Duration) {
	stop, sum := make(chan struct{}), make(chan time.Duration)
	go func() {
		const tick = 10 * time.Millisecond
		var late time.Duration
		for {
			began := time.Now()
			select {
			case <-time.After(tick):
				late += time.Since(began) - tick
			case <-stop:
				sum <- late
				return
			}
		}
	}()
	return func() time.Duration { close(stop); return <-sum }
}

// Docker and Compose kill 10 s after the signal, whatever hangs.
func TestTheProcessEndsWithinTenSecondsBesideAPaymentAndACollectorThatHang(t *testing.T) {
	collector, err := net.Listen("tcp", "127.0.0.1:0") // connected to by the kernel, and never read from
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = collector.Close() }()
	s := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + collector.Addr().String(), "CHECKOUT_SHUTDOWN_DELAY": ""})
	s.shop.Payment.Inject(demo.Fault{Kind: demo.HangAfter}, "Charge")
	answered := make(chan string, 1)
	go func() {
		_, stderr := s.order(t)
		answered <- stderr
	}()
	for s.shop.Payment.Count("Charge") == 0 {
		time.Sleep(time.Millisecond)
	}
	began, waited := time.Now(), processorWait()
	s.signal(t)
	s.wait(t)
	if took, late := time.Since(began), waited(); took-late > 10*time.Second {
		t.Errorf("it took %v, of which a busy machine took %v", took, late)
	}
	if got := <-answered; !strings.Contains(got, "reason PAYMENT_UNKNOWN") {
		t.Errorf("the order whose charge was cut off is answered: %s", got)
	}
}

// OpenTelemetry's SDK reads its variables by itself.
func TestQuotesAroundAVariableOfOpenTelemetryAreNoPartOfIt(t *testing.T) {
	s := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": `"%"`, "OTEL_EXPORTER_OTLP_PROTOCOL": "'grpc' "})
	if status, stderr := s.order(t); status != cli.OK {
		t.Fatal(stderr)
	}
	s.signal(t)
	s.wait(t)
	if len(s.shop.Collector.Spans()) == 0 {
		t.Error("the collector has no spans of the order")
	}
}
