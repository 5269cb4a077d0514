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

	"checkout/gen/oteldemo"
	"checkout/internal/test/process"
)

const (
	startTime = 30 * time.Second // until a program serves; in a small cold container that takes its time
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

// running is a program that runs.
type running struct {
	program
	*process.Process
	addr    string
	conns   []*grpc.ClientConn
	startup time.Duration // from its start until it says that it serves
	folder  string        // its files
	record  record
}

// start starts a program in the shop and waits until it serves. inside, if not empty, is the cgroup to start it in.
func start(ctx context.Context, p program, c cell, environ map[string]string, inside string) (_ *running, err error) {
	r := &running{program: p}
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
	port, err := process.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	r.addr = net.JoinHostPort("127.0.0.1", port)
	if err := r.connect(c.concurrency); err != nil {
		return nil, err
	}
	output, err := os.Create(filepath.Join(r.folder, "output"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	began := time.Now()
	r.Process, err = process.Start(process.Spec{Path: p.path, Args: p.args, Environ: r.environ(c, environ, port), Output: output, Cgroup: inside})
	if err != nil {
		return nil, err
	}
	if err := r.serving(ctx); err != nil {
		text, _ := os.ReadFile(output.Name())
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	r.startup = time.Since(began)
	return r, nil
}

// environ is the program's environment in a cell, made from the shop's.
func (r *running) environ(c cell, shop map[string]string, port string) map[string]string {
	environ := maps.Clone(shop)
	environ["CHECKOUT_PORT"], environ["GOMEMLIMIT"] = port, c.memory
	environ["OTEL_SERVICE_NAME"] = r.name
	environ["OTEL_METRIC_EXPORT_INTERVAL"] = fmt.Sprint(exportEvery.Milliseconds())
	environ["CHECKOUT_DB"] = r.record.url
	environ["CHECKOUT_CORE_DUMPS"] = "true" // or /proc/PID/io would be root's alone
	if !c.kafka {
		delete(environ, "KAFKA_ADDR")
	}
	if !c.telemetry {
		environ["OTEL_SDK_DISABLED"] = "true"
	}
	return environ
}

// connect prepares the customers' connections.
func (r *running) connect(customers int) error {
	for range (customers + customersPerConn - 1) / customersPerConn {
		conn, err := process.Connect(r.addr)
		if err != nil {
			return err
		}
		r.conns = append(r.conns, conn)
	}
	return nil
}

// serving waits until the program says that it serves, over every connection.
func (r *running) serving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for _, conn := range r.conns {
		if err := r.AwaitServing(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// client is the i-th customer's.
func (r *running) client(i int) oteldemo.CheckoutServiceClient {
	return oteldemo.NewCheckoutServiceClient(r.conns[i%len(r.conns)])
}

// end tells the program to end, and waits for it.
func (r *running) end() error {
	var failures []error
	if r.Process != nil {
		failures = append(failures, r.Stop())
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
