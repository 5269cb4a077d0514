package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"checkout/internal/test/process"
)

// startTime is how long a process may take until it serves.
const startTime = 15 * time.Second

// replica is a place where the service runs, in one process after another.
type replica struct {
	name int
	spec process.Spec
	conn *grpc.ClientConn // outlives the processes
	log  *os.File

	processes []*instance
}

// instance is a process of a replica.
type instance struct {
	*process.Process

	started time.Time
	ready   chan struct{} // closed when it serves, or never will
	served  time.Time     // when it first said that it serves; zero if it never did. Valid after ready
	failure error         // why it does not serve. Valid after ready
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
	environ = maps.Clone(environ)
	environ["CHECKOUT_PORT"], environ["CHECKOUT_PUBLIC_ORDERS"] = port, "true"
	environ["CHECKOUT_CORE_DUMPS"] = "true" // or /proc/PID/io would be root's alone
	log, err := os.OpenFile(filepath.Join(folder, fmt.Sprintf("replica-%d.log", name)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making a log: %w", err)
	}
	conn, err := process.Connect(net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to replica %d: %w", name, err), log.Close())
	}
	return &replica{name: name, spec: process.Spec{Path: binary, Environ: environ, Output: log}, conn: conn, log: log}, nil
}

// usage is what the replica's process has used.
func (r *replica) usage() (process.Usage, error) { return r.now().Usage() }

// now is the replica's process, or the last one it had.
func (r *replica) now() *instance { return r.processes[len(r.processes)-1] }

// start starts a process. It does not wait until it serves.
func (r *replica) start() error {
	l := &instance{started: time.Now(), ready: make(chan struct{})}
	var err error
	if l.Process, err = process.Start(r.spec); err != nil {
		return fmt.Errorf("replica %d: %w", r.name, err)
	}
	go func() {
		defer close(l.ready)
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		if l.failure = l.AwaitServing(ctx, r.conn); l.failure == nil {
			l.served = time.Now()
		}
	}()
	r.processes = append(r.processes, l)
	return nil
}

// waitServing returns when the replica's process serves.
func (r *replica) waitServing(ctx context.Context) error {
	l := r.now()
	select {
	case <-l.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.failure != nil {
		return fmt.Errorf("replica %d: %w", r.name, l.failure)
	}
	return nil
}

// unexpectedExit is the error of a process that ended by itself.
func (r *replica) unexpectedExit() error {
	return fmt.Errorf("replica %d ended by itself: %s", r.name, r.now().Ended())
}

// kill ends the process without a warning, and waits until it is gone.
func (r *replica) kill() error {
	l := r.now()
	if !l.Alive() {
		return r.unexpectedExit()
	}
	l.killed.sent = time.Now()
	l.Kill()
	l.killed.gone = time.Now()
	<-l.ready
	return nil
}

// alive reports whether the replica has a process.
func (r *replica) alive() bool { return len(r.processes) > 0 && r.now().Alive() }

// close ends the process as an operator would, and forgets the replica.
func (r *replica) close() error {
	var err error
	if r.alive() {
		err = r.now().Stop()
		<-r.now().ready
	}
	return errors.Join(err, r.conn.Close(), r.log.Close())
}
