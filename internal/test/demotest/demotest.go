// Package demotest provides the demo shop to tests.
package demotest

import (
	"testing"

	"checkout/internal/demo"
)

// Start starts a shop that closes when the test ends.
func Start(t testing.TB) *demo.Shop {
	t.Helper()
	shop, err := demo.Start(t.Context(), demo.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Close(); err != nil {
			t.Errorf("close the shop: %v", err)
		}
	})
	return shop
}
