package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/gen/oteldemo"
)

const (
	startTime = 30 * time.Second // until a program serves; in a small cold container that takes its time
	endTime   = 20 * time.Second // until it has ended, when told to
	// customersPerConn is how many customers share a connection: fewer than the calls that a server lets one have under way.
	customersPerConn = 64
)

// program is what can be measured: an executable that takes the stock service's environment.
type program struct {
	name string
	path string
	args []string
	bare bool // it exports nothing and has no record
}

// process is a program that runs.
type process struct {
	program
	cmd     *exec.Cmd
	addr    string
	conns   []*grpc.ClientConn
	startup time.Duration // from its start until it says that it serves
	folder  string        // its files
	record  record
	gone    chan struct{} // closed when it has ended
	exit    error         // how. Valid after gone
}

// start starts a program in the shop and waits until it serves. inside, if not empty, is the cgroup to start it in.
func start(ctx context.Context, p program, c cell, environ map[string]string, inside string) (_ *process, err error) {
	r := &process{program: p}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("starting %s: %w", p.name, err), r.end())
		}
	}()
	if r.folder, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	if !p.bare {
		if r.record, err = openRecord(ctx, c.db, r.folder); err != nil {
			return nil, err
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	r.addr = net.JoinHostPort("127.0.0.1", port)
	if err := r.connect(c.concurrency); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(r.folder, "stderr"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd := command(p, inside)
	cmd.Stderr, cmd.SysProcAttr = said, mortal()
	for name, value := range r.environ(c, environ, port) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.cmd, r.gone = cmd, make(chan struct{})
	go func() {
		defer close(r.gone)
		r.exit = cmd.Wait()
	}()
	if err := r.serving(ctx); err != nil {
		text, _ := os.ReadFile(said.Name())
		return nil, fmt.Errorf("it does not serve: %w\n%s", err, text)
	}
	r.startup = time.Since(began)
	return r, nil
}

// command runs a program, in a cgroup if one is named: a shell enters it and becomes the program.
func command(p program, inside string) *exec.Cmd {
	if inside == "" {
		return exec.Command(p.path, p.args...) //nolint:gosec,noctx // it is what shall be measured; end tells it to end
	}
	const enter = `echo 0 >"$1/cgroup.procs" && shift && exec "$@"`
	return exec.Command("/bin/sh", append([]string{"-c", enter, "sh", inside, p.path}, p.args...)...) //nolint:gosec,noctx // likewise
}

// environ is the program's environment in a cell, made from the shop's.
func (r *process) environ(c cell, shop map[string]string, port string) map[string]string {
	environ := maps.Clone(shop)
	environ["CHECKOUT_PORT"], environ["GOMEMLIMIT"] = port, c.memory
	environ["OTEL_SERVICE_NAME"] = r.name
	environ["OTEL_METRIC_EXPORT_INTERVAL"] = fmt.Sprint(exportEvery.Milliseconds())
	environ["CHECKOUT_DB"] = r.record.url
	if !c.kafka {
		delete(environ, "KAFKA_ADDR")
	}
	if !c.telemetry {
		environ["OTEL_SDK_DISABLED"] = "true"
	}
	return environ
}

// connect prepares the customers' connections.
func (r *process) connect(customers int) error {
	quick := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: time.Millisecond, Multiplier: 1.2, MaxDelay: 5 * time.Millisecond},
		MinConnectTimeout: time.Second,
	}
	for range (customers + customersPerConn - 1) / customersPerConn {
		conn, err := grpc.NewClient(r.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(quick))
		if err != nil {
			return err
		}
		r.conns = append(r.conns, conn)
	}
	return nil
}

// serving waits until the program says that it serves, or has ended.
func (r *process) serving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for _, conn := range r.conns {
		client := grpc_health_v1.NewHealthClient(conn)
		for {
			resp, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			if resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
				break
			}
			select {
			case <-r.gone:
				return fmt.Errorf("it has ended: %w", r.exit)
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			}
		}
	}
	return nil
}

// client is the i-th customer's.
func (r *process) client(i int) oteldemo.CheckoutServiceClient {
	return oteldemo.NewCheckoutServiceClient(r.conns[i%len(r.conns)])
}

// usage is what the program has used until now.
func (r *process) usage() (usage, error) {
	u, err := readUsage(r.cmd.Process.Pid)
	if err != nil {
		return u, fmt.Errorf("measuring %s: %w", r.name, err)
	}
	return u, nil
}

// end tells the program to end, and waits for it.
func (r *process) end() error {
	var failures []error
	if r.cmd != nil {
		failures = append(failures, r.stop())
	}
	for _, conn := range r.conns {
		failures = append(failures, conn.Close())
	}
	if r.record.close != nil {
		failures = append(failures, r.record.close())
	}
	if r.folder != "" {
		failures = append(failures, os.RemoveAll(r.folder))
	}
	return errors.Join(failures...)
}

// stop tells the process to end, and kills it when it does not.
func (r *process) stop() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	impatient := time.AfterFunc(endTime, func() { _ = r.cmd.Process.Kill() })
	defer impatient.Stop()
	<-r.gone
	if r.exit != nil {
		return fmt.Errorf("%s ended badly: %w", r.name, r.exit)
	}
	return nil
}

// freePort is a port that was free a moment ago, for a program that cannot say which it has taken: below those that the
// system gives to whoever asks for any.
func freePort(ctx context.Context) (string, error) {
	var failures []error
	for range 20 {
		port := strconv.Itoa(10_000 + rand.IntN(10_000)) //nolint:gosec // any will do
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, l.Close()
		}
		failures = append(failures, err)
	}
	return "", fmt.Errorf("looking for a free port: %w", errors.Join(failures...))
}

// pause waits, and tells whether it could.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
