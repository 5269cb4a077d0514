package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"checkout/internal/cli"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
)

// asCheckout makes the test's executable be checkout: a process has limits and an environment of its own.
const asCheckout = "TEST_AS_CHECKOUT"

func TestMain(m *testing.M) {
	if os.Getenv(asCheckout) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// command is checkout as a process.
func command(t *testing.T, environ map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCheckout+"=1")
	for name, value := range environ {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// The card of `order place` is in the clear unless the service speaks TLS, and a proxy would read it.
func TestNoCommandCallsThroughAProxy(t *testing.T) {
	shop, environ := shopping(t, map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:0", "CHECKOUT_PUBLIC_ORDERS": "true"})
	file := filepath.Join(t.TempDir(), "card.json")
	if err := os.WriteFile(file, []byte(card), 0o600); err != nil {
		t.Fatal(err)
	}
	_, cart, _ := net.SplitHostPort(shop.Cart.Address())
	service := "0.0.0.0:" + environ["CHECKOUT_PORT"] // the loopback interface by a name that proxies are used for
	proxy := nettest.Reserve(t)
	asked := nettest.Proxy(t, proxy)
	for _, args := range [][]string{
		{
			"order", "place", "-addr", service, "-card", file, "-user", "ada", "-email", "ada@example.com", "-street", "1 Main",
			"-item", "LS4PSXUNUM", "-cart-addr", "0.0.0.0:" + cart,
		},
		{"health", "-timeout", "1m", "-addr", service},
		{"order", "list", "-admin-addr", service},
		{"order", "show", "-admin-addr", service, id(1)},
		{"order", "watch", "-admin-addr", service, id(1)},
		{"order", "retry", "-admin-addr", service, "-by", "ada", "-why", "test", "-yes", id(1)},
		{"order", "resolve", "-admin-addr", service, "-by", "ada", "-why", "test", "-not-paid", "-yes", id(1)},
	} {
		name := strings.Join(args[:2], " ")
		cmd := command(t, map[string]string{"HTTPS_PROXY": "http://" + proxy}, args...)
		said, err := cmd.CombinedOutput()
		if ok := args[1] == "place" || args[0] == "health" || args[1] == "list"; ok && err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		if !cmd.ProcessState.Success() && cmd.ProcessState.ExitCode() != cli.Failed {
			t.Errorf("%s called nobody: %v\n%s", name, err, said)
		}
	}
	if targets := asked(); len(targets) > 0 {
		t.Errorf("the proxy was asked to %q", targets)
	}
}

// startService starts the service as a process, with the largest core dumps that it may have, and waits until it serves.
func startService(t *testing.T, environ map[string]string) (pid int) {
	t.Helper()
	cmd := command(t, environ)
	cmd.Args = append([]string{"sh", "-c", `ulimit -S -c "$(ulimit -H -c)" && exec "$0"`}, cmd.Args...)
	cmd.Path = "/bin/sh"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the end of the test's context has sent the signal
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), `"msg":"serving"`) {
			return cmd.Process.Pid
		}
	}
	t.Fatal("the service ended before it served")
	return 0
}

// A core dump holds the cards that are being charged.
func TestTheServiceWritesNoCoreDumpsUnlessAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits are read from /proc")
	}
	shop := demotest.Start(t)
	for setting, want := range map[string]bool{"": true, "false": true, "true": false} {
		environ := shop.Environ()
		maps.Copy(environ, map[string]string{
			"CHECKOUT_PORT": "0", "CHECKOUT_DB": "memory", "OTEL_SDK_DISABLED": "true", "CHECKOUT_SHUTDOWN_DELAY": "0s", "CHECKOUT_CORE_DUMPS": setting,
		})
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", startService(t, environ)))
		if err != nil {
			t.Fatal(err)
		}
		core := regexp.MustCompile(`(?m)^Max core file size +(\S+) +(\S+)`).FindStringSubmatch(string(limits))
		switch {
		case core == nil:
			t.Fatalf("no limit of core dumps in\n%s", limits)
		case core[2] == "0":
			t.Skip("nobody here may write core dumps")
		case (core[1] == "0") != want:
			t.Errorf("CHECKOUT_CORE_DUMPS=%q: the limit of core dumps is %s", setting, core[1])
		}
	}
}

func TestNoCommandQuotesThePasswordOfAnAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://user:hunter2@host:1", "user:hunter2@host:1", "dns:///user:hunter2@host:1", "https://user:hunter2@ho st"} {
		for _, args := range [][]string{
			{"health", "-addr", address},
			{"order", "list", "-addr", address},
			{"order", "place", "--user", "ada", "--email", "ada@example.com", "-addr", address},
			{"order", "place", "--user", "ada", "--email", "ada@example.com", "-item", "A", "-cart-addr", address},
			{"order", "retry", "-by", "ada", "-admin-addr", address, id(1)},
			{"serve", "-email-addr", address},
		} {
			status, stdout, stderr := call(t, nil, card, args...)
			if status == 0 || stderr == "" || strings.Contains(stdout+stderr, "hunter2") {
				t.Errorf("%q exits with %d and says\n%s%s", args, status, stdout, stderr)
			}
		}
	}
}
