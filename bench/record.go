package main

import (
	"context"
	"errors"
	"fmt"
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
		server, err := pgtest.Run(ctx)
		if err != nil {
			return record{}, fmt.Errorf("%w: PostgreSQL: %w", errNotHere, err)
		}
		return record{url: server.URL(), close: server.Remove}, nil
	}
	return record{url: filepath.Join(folder, "orders.db")}, nil
}
