package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"checkout/internal/test/pgtest"
)

// Where orders are recorded: values of the flag -db.
const (
	sqlite   = "sqlite"
	postgres = "postgres"
	memory   = "memory"
)

// errNotHere says that a cell needs what this machine does not have.
var errNotHere = errors.New("not possible on this machine")

// record is where a program records orders.
type record struct {
	url   string       // for CHECKOUT_DB
	close func() error // nil: nothing is to be closed
}

// openRecord prepares an empty record. folder is for files that are the program's own.
func openRecord(ctx context.Context, db, folder string) (record, error) {
	switch db {
	case memory:
		return record{url: memory}, nil
	case postgres:
		return startPostgres(ctx)
	}
	return record{url: filepath.Join(folder, "orders.db")}, nil
}

// startPostgres starts a server in a folder of its own, which is given to the server's user.
func startPostgres(ctx context.Context) (record, error) {
	folder, err := os.MkdirTemp("", "bench-postgres-")
	if err != nil {
		return record{}, err
	}
	server, err := pgtest.Run(ctx, folder)
	if err != nil {
		return record{}, errors.Join(fmt.Errorf("%w: PostgreSQL: %w", errNotHere, err), os.RemoveAll(folder))
	}
	return record{url: server.URL(), close: func() error { return errors.Join(server.Stop(), os.RemoveAll(folder)) }}, nil
}
