//go:build unix

package store_test

import (
	"fmt"
	"testing"

	"checkout/internal/store"
	"checkout/internal/store/pgtest"
	"checkout/internal/store/storetest"
)

// postgres is a store that is closed at the end of the test.
func postgres(t testing.TB, url string) *store.Postgres {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPostgreSQLIsAStore(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	storetest.Run(t, func() (storetest.Store, error) {
		return store.OpenPostgres(t.Context(), server.Fresh(t))
	})
}

func TestReplicasShareOneRecord(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	storetest.OneOrder(t, postgres(t, url), postgres(t, url))
}

// BenchmarkOrderPostgres is BenchmarkOrder with a server on the same machine.
func BenchmarkOrderPostgres(b *testing.B) {
	server := pgtest.Start(b)
	for _, customers := range []int{1, 64} {
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			serve(b, postgres(b, server.Fresh(b)), customers)
		})
	}
}
