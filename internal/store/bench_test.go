package store_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
)

// BenchmarkOrder is the life of an order: one Open and three Saves, one after the other, by so many customers at a time.
func BenchmarkOrder(b *testing.B) {
	for _, customers := range []int{1, 64} {
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			s, err := store.Open(filepath.Join(b.TempDir(), "orders.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
			serve(b, s, customers)
		})
	}
}

// serve lets so many customers order until the benchmark has enough.
func serve(b *testing.B, s order.Store, customers int) {
	b.Helper()
	b.ReportAllocs()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range customers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				o := storetest.Order(order.ID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i)))
				if err := live(b.Context(), s, o, func(*order.Order) {}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
