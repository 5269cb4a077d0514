//go:build !planted

package sim

import (
	"testing"

	"checkout/internal/store/storetest"
)

func TestRecordsAreAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func() (storetest.Store, error) { return newRecords(), nil })
}
