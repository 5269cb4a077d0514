//go:build browser

package browser

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	shopBinary    = flag.String("shop", "../bin/shop", "the shop's `executable`")
	consoleBinary = flag.String("console", "../bin/console", "the console's `executable`")
	axeScript     = flag.String("axe", "", "the `file` of axe-core; without it accessibility is not checked")
	screenshots   = flag.String("screenshots", "", "`folder` to leave screenshots in")
)

// patience is how long a test waits for what must happen, and often how often it looks. Nothing is measured by them.
const (
	patience = 30 * time.Second
	often    = 50 * time.Millisecond
)

// process is a program that runs, and says on its output where its site is.
type process struct {
	url string
	cmd *exec.Cmd
	out output
	err error // how it ended
	// mismatch says that the program ends with an error, because orders were wrong at first.
	mismatch bool
}

// start starts a program, in nothing but the given environment, and waits until its output matches a pattern, whose group
// is the address of its site. The program ends with the test.
func start(t *testing.T, pattern string, environ []string, executable string, args ...string) *process {
	t.Helper()
	path, err := filepath.Abs(executable)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, args...)}
	p.cmd.Env = append(environ, "HOME="+t.TempDir(), "TMPDIR="+t.TempDir())
	p.out.pattern, p.out.found = regexp.MustCompile(pattern), make(chan string, 1)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%v; make test-browser builds it", err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); p.err = p.cmd.Wait() }()
	t.Cleanup(func() { p.end(t, ended) })
	select {
	case p.url = <-p.out.found:
	case <-ended:
		t.Fatalf("%s ended before it served: %v", filepath.Base(path), p.err)
	case <-time.After(patience):
		t.Fatalf("%s does not say where its site is", filepath.Base(path))
	}
	return p
}

// end asks the program to end, and waits until it has.
func (p *process) end(t *testing.T, ended <-chan struct{}) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is told of below
	select {
	case <-ended:
	case <-time.After(patience):
		t.Errorf("%s does not end", p.cmd.Path)
		_ = p.cmd.Process.Kill()
		<-ended
	}
	if failed := p.err != nil; failed != p.mismatch {
		t.Errorf("%s ended with %v:\n%s", p.cmd.Path, p.err, p.out.text())
	}
}

// output is what a program writes. The first group of the first match of the pattern is sent to found.
type output struct {
	mu      sync.Mutex
	all     bytes.Buffer
	pattern *regexp.Regexp
	found   chan string // has room for one
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.all.Write(p)
	if match := o.pattern.FindSubmatch(o.all.Bytes()); match != nil {
		select {
		case o.found <- string(match[1]):
		default:
		}
	}
	return n, err
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// startShop opens a shop, as users do, and waits until it has placed its first orders.
func startShop(t *testing.T, args ...string) *process {
	t.Helper()
	return startShopIn(t, nil, args...)
}

// startShopIn is startShop with more in the environment, which is that of checkout, too.
func startShopIn(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	return start(t, `(?s)the site +HTTP +(http://\S+)/ .*\nServing `, environ, *shopBinary, append(args, "-http", "127.0.0.1:0", "-port", "0")...)
}

// token opens the console that startConsole starts.
const token = "a token that nobody guesses"

// startConsole starts a console that looks at a service which is not there.
func startConsole(t *testing.T) *process {
	t.Helper()
	environ := []string{"CHECKOUT_CONSOLE_TOKEN=" + token}
	p := start(t, `"msg":"serving","address":"([^"]+)"`, environ, *consoleBinary, "-addr", "127.0.0.1:0", "-admin-addr", "127.0.0.1:9")
	p.url = "http://" + p.url
	return p
}

// save leaves a picture in the folder of screenshots, if one is wanted.
func save(t *testing.T, name string, picture []byte) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	if err := os.MkdirAll(*screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
