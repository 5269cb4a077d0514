package process

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
)

// startTime is how long a service may take until it serves; in a small, cold container that takes its time.
const startTime = 30 * time.Second

// Service is the service's executable at work, with an empty record and a folder of its own.
type Service struct {
	*Process
	Addr   string           // where it serves the shop, host:port
	Admin  string           // where it serves operators
	Conn   *grpc.ClientConn // to Addr
	Folder string           // of its record and its output
}

// Serve starts the executable and waits until it serves. environ has the addresses of the services, and overrides what is
// chosen here: ports, record and folder. cgroup may be empty.
func Serve(ctx context.Context, path string, environ map[string]string, cgroup string) (_ *Service, err error) {
	s := new(Service)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.Folder, err = os.MkdirTemp("", "checkout-"); err != nil {
		return nil, err
	}
	ports := [2]string{}
	for i := range ports {
		if ports[i], err = FreePort(ctx); err != nil {
			return nil, err
		}
	}
	s.Addr, s.Admin = net.JoinHostPort("127.0.0.1", ports[0]), net.JoinHostPort("127.0.0.1", ports[1])
	whole := map[string]string{"CHECKOUT_PORT": ports[0], "CHECKOUT_ADMIN_ADDR": s.Admin, "CHECKOUT_DB": filepath.Join(s.Folder, "orders.db")}
	whole["CHECKOUT_CORE_DUMPS"] = "true" // or /proc/PID/io, which ReadUsage reads, would be root's alone
	maps.Copy(whole, environ)
	output, err := os.Create(s.output())
	if err != nil {
		return nil, err
	}
	defer output.Close()
	if s.Process, err = Start(Spec{Path: path, Environ: whole, Output: output, Cgroup: cgroup}); err != nil {
		return nil, err
	}
	if s.Conn, err = Connect(s.Addr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := s.AwaitServing(ctx, s.Conn); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.Output())
	}
	return s, nil
}

func (s *Service) output() string { return filepath.Join(s.Folder, "output") }

// Output is what the service has written to standard output and standard error.
func (s *Service) Output() []byte {
	text, err := os.ReadFile(s.output())
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// Close stops the service and removes its folder.
func (s *Service) Close() error {
	var failures []error
	if s.Process != nil {
		failures = append(failures, s.Stop())
	}
	if s.Conn != nil {
		failures = append(failures, s.Conn.Close())
	}
	if s.Folder != "" {
		failures = append(failures, os.RemoveAll(s.Folder))
	}
	return errors.Join(failures...)
}
