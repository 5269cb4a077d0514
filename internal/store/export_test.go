package store

import (
	"context"
	"time"
)

// OpenPatiently opens a database whose calls may take as long as a busy machine needs.
func OpenPatiently(ctx context.Context, url string) (*Postgres, error) {
	p, err := OpenPostgres(ctx, url)
	if err == nil {
		p.patience = time.Minute
	}
	return p, err
}
