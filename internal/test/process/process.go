// Package process runs the service as a child process, for programs that measure, kill or attack it.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// stopTime is how long a process may take to end after SIGTERM, before it is killed.
const stopTime = 20 * time.Second

// Spec says what to start.
type Spec struct {
	Path    string
	Args    []string
	Environ map[string]string    // the whole environment
	Output  io.Writer            // receives standard output and standard error; nil discards them
	Cgroup  string               // folder of the cgroup to start it in; empty: that of this process
	System  *syscall.SysProcAttr // account and signals; nil: our account, and it is killed when this process ends
}

// Process is a program that was started.
type Process struct {
	cmd  *exec.Cmd
	gone chan struct{}
	exit error // valid after gone
}

// Start starts a program. It does not wait until it serves. It ends with this process at the latest.
func Start(s Spec) (*Process, error) {
	p := &Process{cmd: command(s), gone: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = s.Output, s.Output, cmp.Or(s.System, DieWithParent())
	p.cmd.Env = []string{} // nil would be this process's
	for name, value := range s.Environ {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Path, err)
	}
	go func() {
		defer close(p.gone)
		p.exit = p.cmd.Wait()
	}()
	return p, nil
}

// command is the command to start: for a cgroup, a shell that enters it and becomes the program.
func command(s Spec) *exec.Cmd {
	if s.Cgroup == "" {
		return exec.Command(s.Path, s.Args...) //nolint:gosec,noctx // the caller chooses the program; Stop ends it
	}
	const enter = `echo 0 >"$1/cgroup.procs" && shift && exec "$@"`
	return exec.Command("/bin/sh", append([]string{"-c", enter, "sh", s.Cgroup, s.Path}, s.Args...)...) //nolint:gosec,noctx // likewise
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// Ended is how the process ended, in words. It must have.
func (p *Process) Ended() string {
	<-p.gone
	return p.cmd.ProcessState.String()
}

// Usage is what the process has used until now.
func (p *Process) Usage() (Usage, error) {
	u, err := ReadUsage(p.PID())
	if err != nil {
		return u, fmt.Errorf("reading the usage of process %d: %w", p.PID(), err)
	}
	return u, nil
}

// AwaitServing returns when the health service at the other end of conn reports SERVING, or with an error when the
// process ends, or ctx does, first.
func (p *Process) AwaitServing(ctx context.Context, conn grpc.ClientConnInterface) error {
	client := grpc_health_v1.NewHealthClient(conn)
	for {
		resp, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("the process ended before it served: %s", p.cmd.ProcessState)
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the process does not serve: %w", errors.Join(err, context.Cause(ctx)))
		}
	}
}

// Stop sends SIGTERM and waits for the end; after 20 s it kills. A process that does not exit with 0 is an error.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	kill := time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.gone
	if p.exit != nil {
		return fmt.Errorf("the process ended badly: %w", p.exit)
	}
	return nil
}

// Kill ends the process at once and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.gone
}

// Connect prepares a plaintext connection to addr that tries again within milliseconds while there is no listener.
func Connect(addr string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Millisecond, Multiplier: 1.2, MaxDelay: 5 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
	}, options...)...)
}

// ports counts the ports that FreePort has tried, so that it gives none out twice: between the moment when a port was seen
// to be free and that when a child takes it, another child may be looking for one.
var ports atomic.Uint32 //nolint:gochecknoglobals // ports belong to the whole process

// FreePort is a TCP port of the loopback interface that was free a moment ago, for a program that cannot report which port it
// has taken. It is below those that the system gives to outgoing connections, one of which might take it meanwhile.
func FreePort(ctx context.Context) (string, error) {
	const low, count = 10_000, 20_000
	var failures []error
	for range 100 {
		n := uint32(os.Getpid()*101) + ports.Add(1) //nolint:gosec // it may wrap around
		port := strconv.Itoa(low + int(n%count))
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+port)
		if err == nil {
			return port, l.Close()
		}
		failures = append(failures, err)
	}
	return "", fmt.Errorf("looking for a free port: %w", errors.Join(failures...))
}

// Executable is the absolute path of the service's executable: the given one or, if that is empty, one that is built into folder.
func Executable(ctx context.Context, given, folder string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	path := filepath.Join(folder, "checkout")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-o", path, "checkout/cmd/checkout") //nolint:gosec // the path is ours
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the service: %w\n%s", err, output)
	}
	return path, nil
}
