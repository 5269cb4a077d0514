//go:build real

package real

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/test/nettest"
	"checkout/internal/test/process"
)

// flagd is a server of flagd's evaluation protocol with flagd's own core (flagd/main.go), in one process after another.
type flagd struct {
	address, file string
	process       *process.Process
}

func newFlagd(t testing.TB) *flagd {
	t.Helper()
	f := &flagd{address: nettest.Reserve(t), file: filepath.Join(t.TempDir(), "flags.json")}
	if _, err := os.Stat(flagdProgram); err != nil {
		skip(t, "flagd", "there is no "+flagdProgram+", which .ci/flagd builds")
	}
	t.Cleanup(func() {
		if f.process != nil {
			f.process.Kill()
		}
	})
	return f
}

const flagdProgram = "../bin/servers/flagd"

func (f *flagd) start(t testing.TB) {
	t.Helper()
	var err error
	f.process, err = process.Start(process.Spec{
		Path: flagdProgram, Args: []string{"-listen", f.address, "-file", f.file}, Output: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// environ has the service use it.
func (f *flagd) environ() map[string]string {
	host, port, _ := net.SplitHostPort(f.address)
	return map[string]string{"FLAGD_HOST": host, "FLAGD_PORT": port}
}

// set sets the shop's flags: whether payment is unreachable, and the rest of kafkaQueueProblems, of which on is 3 and off is 0.
func (f *flagd) set(t testing.TB, unreachable, extra string) {
	t.Helper()
	text := fmt.Sprintf(`{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "paymentUnreachable": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": %q},
    "kafkaQueueProblems": {"variants": {"on": 3, "off": 0}, %s}
  }
}`, unreachable, extra)
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	extraOff      = `"state": "ENABLED", "defaultVariant": "off"`
	extraOn       = `"state": "ENABLED", "defaultVariant": "on"`
	extraDisabled = `"state": "DISABLED", "defaultVariant": "on"`
	// extraRule is decided by flagd for every order; extraBroken picks a variant that does not exist.
	extraRule   = `"state": "ENABLED", "defaultVariant": "off", "targeting": {"if": [{"==": [{"var": "region"}, "none"]}, "off", "on"]}`
	extraBroken = `"state": "ENABLED", "defaultVariant": "on", "targeting": {"if": [true, "onn"]}`
)

func TestFlagdsFlagsAreObeyed(t *testing.T) {
	k := startKafka(t, 1)
	k.createTopic(t)
	f := newFlagd(t)
	s := openShop(t, k, "", 1, f.environ())

	buy := func() (id string, answer codes.Code) {
		return s.buy(t, s.replicas[0].Conn, fmt.Sprint(time.Now().UnixNano()))
	}
	// events waits until an order has so many events, with the copies that the flag asks for.
	events := func(when string, want int) {
		t.Helper()
		eventually(t, when, func(context.Context) error {
			id, answer := buy()
			if answer != codes.OK {
				return fmt.Errorf("the order was answered with %v", answer)
			}
			found, err := k.events(t)
			if err == nil && found[id] != want {
				err = fmt.Errorf("%d events of an order, want %d", found[id], want)
			}
			return err
		})
	}
	refused := func(when string) {
		t.Helper()
		eventually(t, when, func(context.Context) error {
			if _, answer := buy(); answer != codes.Unavailable {
				return fmt.Errorf("the order was answered with %v", answer)
			}
			return nil
		})
	}

	events("without flagd", 1)
	f.set(t, "off", extraOn)
	f.start(t)
	events("after flagd was started", 4)
	for _, change := range []struct {
		extra string
		want  int
	}{{extraOff, 1}, {extraRule, 4}, {extraDisabled, 1}} {
		f.set(t, "off", change.extra)
		events("after the file was changed to "+change.extra, change.want)
	}
	f.set(t, "on", extraBroken)
	refused("with paymentUnreachable on, and another flag that is broken")
	f.process.Kill()
	events("after flagd was killed", 1)
	f.start(t)
	refused("after flagd was started again")
	f.set(t, "off", extraOn)
	events("after that", 4)
	s.audit(t, k.events)
}
