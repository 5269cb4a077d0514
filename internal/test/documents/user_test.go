package documents

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"checkout/internal/demo"
	"checkout/internal/storefront"
	"checkout/internal/test/demotest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/output"
)

// patience is how long a command may take. Nothing is measured by it.
const patience = 3 * time.Minute

// user has a terminal with the commands of this repository.
type user struct {
	home    string
	environ []string
}

// newUser builds the commands.
func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{home: t.TempDir()}
	bin := filepath.Join(u.home, "bin")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "CHECKOUT_") && !strings.HasPrefix(name, "OTEL_") {
			u.environ = append(u.environ, variable)
		}
	}
	caches, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs := strings.Fields(string(caches))
	u.environ = append(u.environ, "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+u.home, "XDG_STATE_HOME="+u.home, "GOBIN="+bin, "GOCACHE="+dirs[0], "GOMODCACHE="+dirs[1])
	return u
}

// session is what a user does while reading a document, beside checkout in a shop. What runs until Ctrl-C does so until another
// block has such a command.
type session struct {
	environ []string
	shop    *demo.Shop
	orders  int
	running []*process
	block   int // of the last one
}

// session starts checkout. The user's environment says where it is.
func (u *user) session(t *testing.T) *session {
	t.Helper()
	shop := demotest.Start(t)
	environ := shop.Environ()
	_, environ["CHECKOUT_PORT"], _ = net.SplitHostPort(nettest.Reserve(t))
	environ["CHECKOUT_ADMIN_ADDR"] = nettest.Reserve(t)
	environ["CHECKOUT_DB"], environ["OTEL_SDK_DISABLED"] = filepath.Join(t.TempDir(), "orders.db"), "true"
	service := &session{environ: slices.Clone(u.environ)}
	t.Cleanup(func() { service.interrupt(t) })
	for name, value := range environ {
		service.environ = append(service.environ, name+"="+value)
	}
	service.start(t, "checkout serve")
	s := &session{shop: shop, environ: slices.Clone(u.environ)}
	t.Cleanup(func() { s.interrupt(t) })
	for _, name := range []string{"CHECKOUT_PORT", "CHECKOUT_ADMIN_ADDR", "CART_ADDR"} {
		s.environ = append(s.environ, name+"="+environ[name])
	}
	s.place(t, "--user ada --key 4711")
	return s
}

// process is a command that runs until Ctrl-C.
type process struct {
	text  string
	cmd   *exec.Cmd
	out   *output.Buffer // what it has printed so far
	ended chan struct{}
}

func (s *session) bash(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir, cmd.Env, cmd.Stdin = root, s.environ, strings.NewReader("yes\n")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// output runs a command to its end.
func (s *session) output(t *testing.T, text string) (status int, printed string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := s.bash(ctx, text).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	} else if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return 0, string(out)
}

// run runs a command as it is written.
func (s *session) run(t *testing.T, c command) {
	t.Helper()
	text := s.withID(t, c.text)
	if c.stays {
		if c.block != s.block {
			s.interrupt(t)
		}
		s.block = c.block
		s.start(t, text)
		return
	}
	status, printed := s.output(t, text)
	if status != 0 && (status != 1 || !c.fails) {
		t.Errorf("%s\nexit status %d:\n%s", text, status, printed)
	}
}

// start runs a command until the session ends, and waits until it does what it is for.
func (s *session) start(t *testing.T, text string) {
	t.Helper()
	p := &process{text, s.bash(context.Background(), text), new(output.Buffer), make(chan struct{})} // it ends by SIGINT
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	s.running = append(s.running, p)
	ready := regexp.MustCompile(`(?i)\bserving\b|waiting for changes|in_doubt|charged|parked|completed`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		select {
		case <-tick.C:
			if ready.MatchString(p.out.String()) {
				return
			}
		case <-p.ended:
			t.Errorf("%s\nended: %v\n%s", text, p.cmd.ProcessState, p.out)
			return
		case <-late:
			t.Errorf("%s\nis not ready:\n%s", text, p.out)
			return
		}
	}
}

// interrupt is Ctrl-C for what still runs, the last one first.
func (s *session) interrupt(t *testing.T) {
	t.Helper()
	for i := len(s.running) - 1; i >= 0; i-- {
		p := s.running[i]
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-p.ended:
		case <-time.After(patience):
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("%s\ndoes not end:\n%s", p.text, p.out)
		}
	}
	s.running = nil
}

// withID puts an order into the place of $ID that the command is for.
func (s *session) withID(t *testing.T, text string) string {
	t.Helper()
	if !strings.Contains(text, "$ID") {
		return text
	}
	has := func(words string) bool { return regexp.MustCompile(words).MatchString(text) }
	var id string
	switch {
	case has(`-paid|not_paid`):
		s.shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer})
		id = s.order(t)
	case has(`-refunded|-shipped|shipped|retry`):
		s.shop.Shipping.Inject(demo.Fault{Kind: demo.Refuse, Status: http.StatusUnprocessableEntity}, storefront.ShipOrder)
		id = s.order(t)
	case has(`skip`):
		s.shop.Email.Inject(demo.Fault{Kind: demo.Refuse, Status: http.StatusUnprocessableEntity})
		id = s.order(t)
		s.await(t, id, "UNDELIVERED")
	default:
		id = s.order(t)
	}
	s.shop.Payment.Inject(demo.Fault{})
	s.shop.Shipping.Inject(demo.Fault{}, storefront.ShipOrder)
	s.shop.Email.Inject(demo.Fault{})
	return "ID=" + id + "\n" + text
}

// order places an order of another user.
func (s *session) order(t *testing.T) string {
	t.Helper()
	s.orders++
	return s.place(t, fmt.Sprintf("--user user-%d", s.orders))
}

// place places an order and returns its id, whatever the answer is.
func (s *session) place(t *testing.T, flags string) string {
	t.Helper()
	_, printed := s.output(t, "checkout order place "+flags+" --email ada@example.com --street '1 Main' --item LS4PSXUNUM <<<'"+
		`{"credit_card_number": "4432-8015-6152-0454", "credit_card_cvv": 672, "credit_card_expiration_year": 2039, "credit_card_expiration_month": 1}'`)
	id := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindString(printed)
	if id == "" {
		t.Fatalf("no order was placed:\n%s", printed)
	}
	return id
}

// await waits until an order is in a state.
func (s *session) await(t *testing.T, id, state string) {
	t.Helper()
	for began := time.Now(); ; {
		_, printed := s.output(t, "checkout order show -o json "+id)
		if strings.Contains(printed, `"`+state+`"`) {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("order %s is not %s:\n%s", id, state, printed)
		}
	}
}
