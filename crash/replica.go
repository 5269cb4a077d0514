package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/test/process"
	"checkout/internal/wait"
)

// startTime is how long a process may take until it serves.
const startTime = 15 * time.Second

// replica is a place where the service runs, in one process after another.
type replica struct {
	name    int
	command func() *exec.Cmd
	conn    *grpc.ClientConn // outlives the processes
	log     *os.File

	processes []*instance
}

// instance is a process of a replica.
type instance struct {
	cmd     *exec.Cmd
	started time.Time
	ready   chan struct{} // closed when it serves, or never will
	served  time.Time     // when it first said that it serves; zero if it never did. Valid after ready
	failure error         // why it does not serve. Valid after ready
	gone    chan struct{} // closed when it has ended
	killed  kill          // zero while it processes
}

// kill is the end of a process: between these moments it may have worked or not.
type kill struct{ sent, gone time.Time }

// newReplica prepares a replica with an address and a log of its own.
func newReplica(ctx context.Context, name int, binary string, environ map[string]string, folder string) (*replica, error) {
	port, err := process.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	var env []string
	for name, value := range environ {
		env = append(env, name+"="+value)
	}
	env = append(env, "CHECKOUT_PORT="+port, "CHECKOUT_PUBLIC_ORDERS=true",
		"CHECKOUT_CORE_DUMPS=true") // or /proc/PID/io would be root's alone
	log, err := os.OpenFile(filepath.Join(folder, fmt.Sprintf("replica-%d.log", name)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a log: %w", err)
	}
	conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{ // a killed process is back soon
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 30 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to replica %d: %w", name, err), log.Close())
	}
	command := func() *exec.Cmd {
		cmd := exec.Command(binary) //nolint:noctx // it is killed when its time has come
		cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = env, log, log, process.DieWithParent()
		return cmd
	}
	return &replica{name: name, command: command, conn: conn, log: log}, nil
}

// usage is what the replica's process has used.
func (r *replica) usage() (process.Usage, error) {
	u, err := process.ReadUsage(r.now().cmd.Process.Pid)
	if err != nil {
		return u, fmt.Errorf("measuring replica %d: %w", r.name, err)
	}
	return u, nil
}

// now is the replica's process, or the last one it had.
func (r *replica) now() *instance { return r.processes[len(r.processes)-1] }

// start starts a process. It does not wait until it serves.
func (r *replica) start() error {
	l := &instance{cmd: r.command(), started: time.Now(), ready: make(chan struct{}), gone: make(chan struct{})}
	if err := l.cmd.Start(); err != nil {
		return fmt.Errorf("starting replica %d: %w", r.name, err)
	}
	watch, giveUp := context.WithTimeout(context.Background(), startTime)
	go func() {
		defer close(l.ready)
		if l.failure = serving(watch, r.conn); l.failure == nil {
			l.served = time.Now()
		}
	}()
	go func() {
		defer close(l.gone)
		_ = l.cmd.Wait() // it is killed; how it ended is looked up where it matters
		giveUp()
	}()
	r.processes = append(r.processes, l)
	return nil
}

// serving returns when the service says that it serves.
func serving(ctx context.Context, conn *grpc.ClientConn) error {
	client := grpc_health_v1.NewHealthClient(conn)
	for {
		resp, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		if !wait.For(ctx, 2*time.Millisecond) {
			return fmt.Errorf("it does not serve: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// waitServing returns when the replica's process serves.
func (r *replica) waitServing(ctx context.Context) error {
	l := r.now()
	select {
	case <-l.gone:
		return r.unexpectedExit()
	case <-l.ready:
		if l.failure != nil {
			return fmt.Errorf("replica %d: %w", r.name, l.failure)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unexpectedExit is the error of a process that ended by itself.
func (r *replica) unexpectedExit() error {
	return fmt.Errorf("replica %d ended by itself: %s", r.name, r.now().cmd.ProcessState)
}

// kill ends the process without a warning, and waits until it is gone.
func (r *replica) kill() error { return r.end(syscall.SIGKILL) }

// end sends the process a signal and waits until it is gone.
func (r *replica) end(signal syscall.Signal) error {
	l := r.now()
	defer func() { <-l.ready }()
	select {
	case <-l.gone:
		return r.unexpectedExit()
	default:
	}
	l.killed.sent = time.Now()
	if err := l.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("killing replica %d: %w", r.name, err)
	}
	<-l.gone
	l.killed.gone = time.Now()
	if signal != syscall.SIGKILL && !l.cmd.ProcessState.Success() {
		return fmt.Errorf("replica %d ended badly: %s", r.name, l.cmd.ProcessState)
	}
	return nil
}

// alive tells whether the replica has a process.
func (r *replica) alive() bool {
	if len(r.processes) == 0 {
		return false
	}
	select {
	case <-r.now().gone:
		return false
	default:
		return true
	}
}

// close ends the process as an operator would, and forgets the replica.
func (r *replica) close() error {
	var err error
	if r.alive() {
		err = r.end(syscall.SIGTERM)
	}
	return errors.Join(err, r.conn.Close(), r.log.Close())
}
