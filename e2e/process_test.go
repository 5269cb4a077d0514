//go:build telemetry

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"checkout/internal/test/output"
	"checkout/internal/test/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience is how long a test waits for what must happen, and often how often it looks. Nothing is measured by them.
	patience = time.Minute
	often    = 100 * time.Millisecond
)

// program is a program that runs.
type program struct {
	cmd   *exec.Cmd
	out   output.Buffer
	ended chan struct{}
	err   error // how it has ended
	asked bool  // a test has ended it, and checked err
}

// run starts a program, in nothing but the given environment, and ends it with the test.
func run(t *testing.T, environ map[string]string, executable string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(executable, args...), ended: make(chan struct{})}
	p.cmd.Env = []string{"HOME=" + t.TempDir()}
	for name, value := range environ {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); p.err = p.cmd.Wait() }()
	t.Cleanup(func() {
		if !p.asked {
			if err := p.end(syscall.SIGTERM); err != nil {
				t.Errorf("%s: %v", filepath.Base(executable), err)
			}
		}
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(executable), p.out.String())
		}
	})
	return p
}

// end sends a signal, and waits until the program has ended. Its error is the program's.
func (p *program) end(with os.Signal) error {
	p.asked = true
	_ = p.cmd.Process.Signal(with) // one that has ended by itself says so by its error
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return p.err
}

// optional is where an executable is that not every machine has; empty: it is not there. It must be where the variable
// says so.
func optional(t *testing.T, path, variable string) string {
	t.Helper()
	found, err := exec.LookPath(path)
	if err != nil && os.Getenv(variable) == "required" {
		t.Fatal(err)
	}
	return found
}

// built is an executable that make test-telemetry builds.
func built(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make test-telemetry builds it", err)
	}
	return path
}

// free is an address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	port, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// await tries until try succeeds, and fails the test with the last error if it never does.
func await(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// get reads the JSON at a URL into, unless that is nil.
func get(ctx context.Context, at string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", at, res.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
