package schema_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/telemetry.md")

func TestTheDocumentIsThatOfTheRegistry(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/telemetry.md"
	got := registry(t).Document()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test ./internal/test/schema -update):\n%s", path, diff)
	}
}
