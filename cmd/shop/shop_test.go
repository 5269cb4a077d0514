package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
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

const balanced = "charges = shipments = e-mails = events: the same orders, each once."

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
		if strings.HasPrefix(lines.Text(), "Serving.") {
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
		"Subject: Your order is on its way", "charged   JPY ", "booked    4 lines", balanced, "Closing.",
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

func TestManyOrdersBalance(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "60", "-concurrency", "6", "-db", "memory")
	if status != 0 || !strings.Contains(said, balanced) || !regexp.MustCompile(`(?m)^  60 +60 +0 +60 +60 +60 +60$`).MatchString(said) {
		t.Errorf("exit status %d: %s", status, said)
	}
}

func TestWhatIsOwedToThoseWhoWereAwayComesLater(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "20", "-away", "kafka,email,collector,flagd")
	if status != 0 || !strings.Contains(said, "Back again: kafka, email, collector, flagd.") || !strings.Contains(said, balanced) {
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

func TestChargesWhoseAnswerIsLostAreLookedUpWithKeyedPayment(t *testing.T) {
	t.Parallel()
	status, said := exitOf(t, "-orders", "12", "-lose", "payment=1", "-payment", "keyed")
	if status != 0 || !strings.Contains(said, balanced) || !regexp.MustCompile(`(?m)^  \d+ +12 +0 +12 +12 +12 +12$`).MatchString(said) {
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
	if status != 0 || !strings.Contains(said, balanced) {
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

func TestWhoCallsItWronglyIsToldWhy(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-orders x":          "-orders",
		"-orders -1":         "-orders=-1",
		"-concurrency 0":     "-concurrency=0",
		"-lines 13":          "-lines=13: must be between 1 and 12",
		"-latency -1s":       "-latency=-1s",
		"-port 70000":        "-port=70000",
		"-db memory":         "-db=memory: the site can kill checkout",
		"-payment cash":      "-payment=cash: must be stock or keyed",
		"-shipping air":      "-shipping=air: must be stock or keyed",
		"-unshippable 1.1":   "-unshippable=1.1: must be between 0 and 1",
		"-away moon":         `no neighbour "moon"`,
		"-fail kafka=1":      `no neighbour "kafka"`,
		"-fail cart":         `"cart" is not neighbour=chance`,
		"-lose payment=1.1":  `"payment=1.1" is not neighbour=chance`,
		"-lose payment=NaN":  `"payment=NaN" is not neighbour=chance`,
		"serve":              `argument "serve"`,
		"-no-such-flag-here": "no-such-flag-here",
	} {
		_, err := parse(strings.Fields(args), new(bytes.Buffer))
		var said bytes.Buffer
		if status := exitStatus(err, &said); status != 2 || !strings.Contains(said.String(), want) {
			t.Errorf("shop %s: status %d, %q", args, status, said.String())
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	_, err := parse([]string{"-h"}, &said)
	if !errors.Is(err, flag.ErrHelp) || exitStatus(err, &said) != 0 {
		t.Errorf("error %v", err)
	}
	for _, name := range strings.Fields("orders concurrency lines currency latency fail lose away unshippable payment port db keep http checkout") {
		if !strings.Contains(said.String(), "  -"+name) {
			t.Errorf("-%s is not explained", name)
		}
	}
}

func TestRunLeavesNothingRunning(t *testing.T) { //nolint:paralleltest // what others run would be seen as left
	for name, args := range map[string][]string{
		"when done":           {"-orders", "3"},
		"when it cannot open": {"-db", "/dev/null/orders.db"},
	} {
		var out bytes.Buffer
		err := run(t.Context(), args, nil, &out, &out)
		if (err != nil) != (name != "when done") {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
		if err := goleak.Find(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
