package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"checkout/internal/demo"
)

// process is the program that is measured.
type process struct {
	cmd    *exec.Cmd
	addr   string
	folder string
}

// start starts the program in the shop and waits until it serves.
func (l load) start(ctx context.Context, shop *demo.Shop) (*process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	environ := shop.Environ()
	environ["CHECKOUT_PORT"], environ["GOMEMLIMIT"], environ["CHECKOUT_DB"] = port, l.memory, filepath.Join(folder, "orders.db")
	if !l.durable {
		environ["CHECKOUT_DB"] = "memory"
	}
	if !l.telemetry {
		environ["OTEL_SDK_DISABLED"] = "true"
	}
	p := &process{cmd: exec.CommandContext(ctx, l.binary), addr: "127.0.0.1:" + port, folder: folder} //nolint:gosec // the program is what the caller wants measured
	for name, value := range environ {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := serving(ctx, p.addr); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not serve: %w", l.binary, err), p.end())
	}
	return p, nil
}

func serving(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second}))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	return err
}

// end tells the program to end, and waits for it.
func (p *process) end() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, p.cmd.Wait(), os.RemoveAll(p.folder))
}

// usage is what the program has used until now.
type usage struct {
	cpu             time.Duration
	peak, anonymous int64 // KiB
}

// usage reads what Linux knows of the program (proc(5)).
func (p *process) usage() (usage, error) {
	folder := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return usage{}, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime, stime, tick = 11, 12, 10 * time.Millisecond // fields 14 and 15, of which the first two are gone
	var u usage
	for _, field := range []int{utime, stime} {
		ticks, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return usage{}, err
		}
		u.cpu += time.Duration(ticks) * tick
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmHWM":
			u.peak = kib
		case "RssAnon":
			u.anonymous = kib
		}
	}
	return u, nil
}
