package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"checkout/internal/cli"
	"checkout/internal/cli/clitest"
)

// asShop makes the test's executable be the command: a process of its own has signals and an environment of its own.
const asShop = "TEST_AS_SHOP"

func TestMain(m *testing.M) {
	if os.Getenv(asShop) != "" || os.Getenv(asCheckout) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	if !slices.Contains(args, "-port") {
		args = append(args, "--port=0") // several shops at once
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asShop+"=1", "TMPDIR="+t.TempDir())
	return cmd
}

// exitOf runs the command to its end and returns its exit status and everything that it said.
func exitOf(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := command(t, args...)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(said)
}

const matching = "charges = shipments = e-mails = events: the same orders, each once."

func TestTheFirstOrderIsShownUntilCtrlC(t *testing.T) {
	t.Parallel()
	cmd := command(t, "-currency", "JPY", "-lines", "4")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Serving ") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}

	page := said.String()
	for _, part := range []string{
		"checkout    gRPC    127.0.0.1:", "1 × Red Flashlight",
		"JPY 8600", // 57.08 USD / 1.0847 · 163.42 = 8599.6
		"oteldemo.CheckoutService/PlaceOrder", "◆ charged", "└─ ", "POST /ship-order", "orders publish",
		"topic          orders, partition 0, offset 0", "the same message as in the answer",
		"Subject: Your order is on its way", "charged   JPY ", "booked    4 lines", matching, "Closing.",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if regexp.MustCompile(`4432.?8015`).MatchString(page) || strings.Contains(page, "\x1b") {
		t.Error("the page has a card number or a terminal's codes")
	}
	for _, file := range regexp.MustCompile(`/\S+/shop-\d+`).FindAllString(page, -1) {
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("%s is still there", file)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

func TestTheLedgersOfManyOrdersMatch(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "60", "-concurrency", "6", "-db", "memory")
	if status != 0 || !strings.Contains(said, matching) || !regexp.MustCompile(`(?m)^  60 +60 +0 +60 +60 +60 +60$`).MatchString(said) {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestPendingDeliveriesAreMadeWhenTheServiceReturns(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "20", "-offline", "kafka,email,collector,flagd")
	if status != 0 || !strings.Contains(said, "Online again: kafka, email, collector, flagd.") || !strings.Contains(said, matching) {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestARefusedCardIsChargedNothing(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "10", "-fail", "payment=1", "-latency", "1ms")
	if status != 0 || !strings.Contains(said, "FailedPrecondition   10") || !strings.Contains(said, "No charges, no shipments.") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestChargesWhoseAnswerIsLostWaitForAnOperator(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "12", "-lose", "payment=1")
	if status != 0 || !strings.HasSuffix(said, "\n  12 payment unknown, waiting for an operator\n") || strings.Contains(said, "not match") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestProbabilitiesAreShownByManyOrders(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-payment", "stock", "-lose", "payment=0.1")
	if status != 0 || !strings.Contains(said, "Apart from the orders that wait for an operator: "+matching) || !regexp.MustCompile(`(?m)^200 orders,`).MatchString(said) || !regexp.MustCompile(`\n  \d+ payment unknown, waiting for an operator\n$`).MatchString(said) || strings.Contains(said, "not match") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestChargesWhoseAnswerIsLostAreLookedUpWithKeyedPayment(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "12", "-lose", "payment=1", "-payment", "keyed")
	if status != 0 || !strings.Contains(said, matching) || !regexp.MustCompile(`(?m)^  \d+ +12 +0 +12 +12 +12 +12$`).MatchString(said) {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestWhatCannotBeShippedIsPaidBackWithKeyedPayment(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "12", "-unshippable", "1", "-payment", "keyed")
	if status != 0 || !strings.Contains(said, "Every charge was refunded") || !regexp.MustCompile(`(?m)^  0 +12 +12 +0 +0 +0 +0$`).MatchString(said) {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestAnOrderIsOneParcelWithKeyedShipping(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "12", "-lose", "shipping=0.5", "-shipping", "keyed")
	if status != 0 || !strings.Contains(said, matching) {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestSeveralParcelsOfBasicShippingAreExplained(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "12", "-lose", "shipping=0.5")
	if (status != 0) != strings.Contains(said, "not match") || !strings.Contains(said, "each may be a parcel.\n  Try --shipping keyed.") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestWhatCannotBeShippedWaitsForAnOperatorWithStockPayment(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "2", "-unshippable", "1")
	if status != 0 || !strings.HasSuffix(said, "\n  2 paid and parked, waiting for an operator\n") {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestAWrongRequestIsExplained(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-orders x":          "-orders",
		"-orders -1":         "--orders=-1",
		"-concurrency 0":     "--concurrency=0",
		"-lines 13":          "--lines=13: must be between 1 and 12",
		"-latency -1s":       "--latency=-1s",
		"-port 70000":        "--port=70000",
		"-db memory":         "--db=memory: the site can kill checkout",
		"-payment cash":      "--payment=\"cash\": must be stock or keyed",
		"-shipping air":      "--shipping=\"air\": must be stock or keyed",
		"-unshippable 1.1":   "--unshippable=1.1: must be between 0 and 1",
		"-http shop":         `--http="shop": must be host:port`,
		"-offline moon":      `unknown service "moon"`,
		"-fail kafka=1":      `unknown service "kafka"`,
		"-fail cart":         `"cart" must be service=probability`,
		"-lose payment=1.1":  `"payment=1.1" must be service=probability`,
		"-lose payment=NaN":  `"payment=NaN" must be service=probability`,
		"serve":              `argument "serve"`,
		"-no-such-flag-here": "no-such-flag-here",
	} {
		status, stdout, stderr := execute(t, strings.Fields(args)...)
		if status != cli.Usage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("shop %s: exit status %d, stdout %q, stderr %q; want 2, nothing, and %q", args, status, stdout, stderr, want)
		}
	}
}

// execute runs the command in this process.
func execute(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), newCommand(nil, &out), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "-h", "-help"} {
		status, stdout, stderr := execute(t, flag)
		if status != cli.OK || stderr != "" {
			t.Errorf("shop %s: exit status %d, stderr %q; want help on stdout", flag, status, stderr)
		}
		clitest.Golden(t, "shop", stdout)
	}
}

func TestRunLeavesNothingRunning(t *testing.T) { //nolint:paralleltest // what others run would be seen as left
	for name, args := range map[string][]string{
		"when done":           {"--orders", "3", "--port", "0"},
		"when it cannot open": {"--db", "/dev/null/orders.db", "--port", "0"},
	} {
		status, stdout, stderr := execute(t, args...)
		if (status != cli.OK) != (name != "when done") {
			t.Errorf("%s: exit status %d\n%s%s", name, status, stdout, stderr)
		}
		if err := goleak.Find(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
