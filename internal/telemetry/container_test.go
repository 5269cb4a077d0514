package telemetry

import (
	"testing"

	"checkout/internal/container"
)

func TestTheContainersMemoryIsMeasuredIfItHasALimit(t *testing.T) {
	t.Parallel()
	for _, limited := range []bool{true, false} {
		r := record(t)
		r.observeContainer(func() (container.Memory, bool) {
			return container.Memory{Limit: 20 << 20, Unreclaimable: 12_000_000}, limited
		})
		metrics := r.metrics(t)
		if (metrics[metricMemoryLimit] == "By\n20971520\n") != limited || (metrics[metricMemoryHeld] == "By\n12000000\n") != limited {
			t.Errorf("the metrics are %v, want limit and what is held: %t", metrics, limited)
		}
	}
}
