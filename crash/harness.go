package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"checkout/internal/demo"
	"checkout/internal/test/pgtest"
	"checkout/internal/test/process"
)

// harness is the shop in this process, the service in processes of its own, and the database.
type harness struct {
	options
	out      io.Writer
	folder   string
	shop     *demo.Shop
	postgres *pgtest.Server // nil with SQLite
	replicas []*replica
}

// open builds the service if need be and starts everything. On an error nothing is left running.
func open(ctx context.Context, o options, out io.Writer) (_ *harness, err error) {
	s := &harness{options: o, out: out}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(false))
		}
	}()
	if s.folder, err = os.MkdirTemp("", "crash-"); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if s.binary, err = process.Executable(ctx, o.binary, s.folder); err != nil {
		return nil, err
	}
	if s.shop, err = demo.Start(ctx, demo.Options{Folder: s.folder}); err != nil {
		return nil, err
	}
	s.shop.Payment.HonourKeys(o.payment == keyed)
	s.shop.Shipping.HonourKeys(o.shipping == keyed)
	environ, err := s.environ(ctx)
	if err != nil {
		return nil, err
	}
	for i := range o.replicas {
		r, err := newReplica(ctx, i, s.binary, environ, s.folder)
		if err != nil {
			return nil, err
		}
		s.replicas = append(s.replicas, r)
	}
	for _, r := range s.replicas {
		if err := r.start(); err != nil {
			return nil, err
		}
	}
	for _, r := range s.replicas {
		if err := r.waitServing(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// environ is the environment that all replicas share. It starts the database that they need.
func (s *harness) environ(ctx context.Context) (map[string]string, error) {
	environ := s.shop.Environ()
	environ["GOMEMLIMIT"] = s.memory
	environ["PAYMENT_MODE"] = s.payment
	environ["SHIPPING_MODE"] = s.shipping
	environ["CHECKOUT_SHIP_ATTEMPTS"] = strconv.Itoa(s.attempts)
	environ["CHECKOUT_DB"] = filepath.Join(s.folder, "orders.db")
	if s.db == postgres {
		var err error
		if s.postgres, err = pgtest.Run(ctx); err != nil {
			return nil, fmt.Errorf("starting PostgreSQL: %w", err)
		}
		environ["CHECKOUT_DB"] = s.postgres.URL()
	}
	return environ, nil
}

// close ends everything. It keeps the replicas' logs if asked to.
func (s *harness) close(keepLogs bool) error {
	var failures []error
	for _, r := range s.replicas {
		failures = append(failures, r.close())
	}
	if s.postgres != nil {
		failures = append(failures, s.postgres.Remove())
	}
	if s.shop != nil {
		failures = append(failures, s.shop.Close())
	}
	if keepLogs && len(s.replicas) > 0 {
		_, _ = fmt.Fprintf(s.out, "\nThe logs of the service are %s.\n", filepath.Join(s.folder, "*.log"))
	} else if s.folder != "" {
		failures = append(failures, os.RemoveAll(s.folder))
	}
	return errors.Join(failures...)
}
