package serve

import (
	"context"
	"errors"
	"fmt"
	"os"

	"checkout/internal/store"
)

// Record is a record of orders that no service works on.
type Record interface {
	store.Database
	// Hold makes the orders that are not finished require an operator, and returns how many do.
	Hold(ctx context.Context) (held int, err error)
	Close() error
}

// OpenRecord opens the record at db, in the forms of CHECKOUT_DB. A file is created only if fresh says so.
func OpenRecord(ctx context.Context, db string, fresh bool) (Record, error) {
	at, err := locate(db)
	switch {
	case err != nil:
		return nil, err
	case isURL(at):
		return store.OpenPostgres(ctx, at)
	case at == "memory":
		return nil, errors.New("a record in memory ends with its process; use a file path or postgres://")
	}
	if _, err := os.Stat(at); err != nil && !fresh {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	return store.Open(at)
}
