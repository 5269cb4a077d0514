// Package child runs a program as a child process and keeps it running: when it dies it is started again, until Close.
//
// On Unix what the child has started ends with it, as long as that stays in its process group. On Linux the child is killed by the kernel when this process dies, however that happens.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"checkout/internal/wait"
)

const (
	// probeEvery is how often a child that does not serve yet is asked, and probeTime how long it may take to answer.
	probeEvery = 10 * time.Millisecond
	probeTime  = time.Second
	// firstPause is how long the first pause before a restart is, and lastPause the longest: the pause doubles while the child
	// runs for less than stableTime.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	stableTime = time.Second
	// maxTries is how often in a row it may die before it serves.
	maxTries = 5
)

// Options say what to run.
type Options struct {
	Path string
	Args []string  // without the program's name
	Env  []string  // all of the environment, as "name=value"
	Log  io.Writer // gets what the child says, on both of its outputs

	// Probe returns nil when the child serves. It is asked again and again after each start.
	Probe func(ctx context.Context) error
	// Grace is how long the child may take to end after a signal; then it is killed.
	Grace time.Duration
}

// Status is that of the child.
type Status struct {
	PID      int  // 0 while there is no process
	Serving  bool // Probe has succeeded since its start
	Restarts int
	Outage   Outage // the last one
}

// Outage is an exit and the restart after it. Times that have not come yet are zero.
type Outage struct {
	PID     int       // of the process that died
	Died    time.Time // when that was noticed
	Started time.Time // when the next process was
	Served  time.Time // when that served
}

// Child is a program that is kept running.
type Child struct {
	options Options
	last    *tail // of what it said
	stop    context.CancelFunc
	ended   chan struct{}
	err     error // why it was given up; to be read when ended is closed

	mu      sync.Mutex
	status  Status
	process *os.Process   // nil while there is none
	changed chan struct{} // closed at the next change of status
}

// Start starts the program and returns when it serves, or ctx ends. Its error quotes what the program said last, when it
// died before.
func Start(ctx context.Context, o Options) (*Child, error) {
	c := &Child{options: o, last: &tail{}, ended: make(chan struct{}), changed: make(chan struct{})}
	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // until Close
	c.stop = stop
	go c.supervise(life)
	for {
		changed := c.Changed()
		if c.Status().Serving {
			return c, nil
		}
		select {
		case <-changed:
		case <-c.ended:
			return nil, c.Close()
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("starting %s: %w", o.Path, context.Cause(ctx)), c.Close())
		}
	}
}

// Status is how it is now.
func (c *Child) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Changed is closed when the status is not any more what Status returns after this call.
func (c *Child) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Ended is closed when the child is not started again any more: it was closed, or died too often without having served.
func (c *Child) Ended() <-chan struct{} { return c.ended }

// Kill ends the process at once, as kill -9 does, and returns its id. It does nothing and returns 0 while there is none.
func (c *Child) Kill() (pid int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0, nil
	}
	if err := kill(c.process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, fmt.Errorf("killing process %d: %w", c.process.Pid, err)
	}
	return c.process.Pid, nil
}

// Close tells the child to end and waits for that, for Options.Grace at most, and then kills it. Its error says why the
// child was not kept running, or that it did not end well. It may be called again.
func (c *Child) Close() error {
	c.stop()
	<-c.ended
	return c.err
}

// supervise runs the program again and again, until ctx ends.
func (c *Child) supervise(ctx context.Context) {
	defer close(c.ended)
	runtime.LockOSThread() // the kernel ends the child with the thread that started it
	defer runtime.UnlockOSThread()
	for tries, pause := 0, firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		served, err := c.runOnce(ctx)
		if ctx.Err() != nil {
			c.err = err
			return
		}
		if tries++; served {
			tries = 0
		}
		if tries == maxTries || !served && c.Status().Restarts == 0 {
			c.err = c.startError(err)
			return
		}
		if time.Since(began) >= stableTime {
			pause = firstPause
		}
		if !wait.For(ctx, pause) {
			return
		}
	}
}

// runOnce runs the program to its end, and reports whether it ever served. The error describes an end that was not expected.
func (c *Child) runOnce(ctx context.Context) (served bool, err error) {
	cmd := exec.CommandContext(ctx, c.options.Path, c.options.Args...) //nolint:gosec // it is what the caller wants to run
	cmd.Env = c.options.Env
	cmd.Stdout = c.options.Log
	cmd.Stderr = io.MultiWriter(c.options.Log, c.last)
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = c.options.Grace
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("starting %s: %w", c.options.Path, err)
	}
	c.started(cmd.Process)
	dying, die := context.WithCancel(ctx)
	var probing sync.WaitGroup
	probing.Go(func() { c.probe(dying) })
	_ = cmd.Wait()        // the process's own state tells more
	_ = kill(cmd.Process) // what it has left behind would be in the way of the next process
	die()
	probing.Wait()
	served = c.exited(cmd.Process.Pid)
	if !cmd.ProcessState.Success() {
		return served, fmt.Errorf("%s: %v", c.options.Path, cmd.ProcessState)
	}
	return served, nil
}

// probe asks the child until it serves or ctx ends.
func (c *Child) probe(ctx context.Context) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, probeTime)
		err := c.options.Probe(asking)
		cancel()
		if err == nil && ctx.Err() == nil {
			c.change(func(s *Status) {
				s.Serving = true
				if s.Restarts > 0 {
					s.Outage.Served = time.Now()
				}
			})
			return
		}
		wait.For(ctx, probeEvery)
	}
}

func (c *Child) started(p *os.Process) {
	c.change(func(s *Status) {
		c.process, s.PID = p, p.Pid
		if !s.Outage.Died.IsZero() {
			s.Restarts++
			s.Outage.Started = time.Now()
		}
	})
}

func (c *Child) exited(pid int) (served bool) {
	c.change(func(s *Status) {
		served = s.Serving
		c.process, s.PID, s.Serving = nil, 0, false
		s.Outage = Outage{PID: pid, Died: time.Now()}
	})
	return served
}

func (c *Child) change(how func(*Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how(&c.status)
	close(c.changed)
	c.changed = make(chan struct{})
}

// startError says that the child ends before it serves, why, and what it printed last.
func (c *Child) startError(err error) error {
	if err == nil {
		err = fmt.Errorf("%s ended before it served", c.options.Path)
	}
	if said := c.last.String(); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// maxTail is how many bytes of what the child said are quoted.
const maxTail = 2048

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxTail; extra > 0 {
		t.text = bytes.Clone(t.text[extra:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
