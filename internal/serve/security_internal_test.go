package serve

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestATokenThatCouldBeGuessedIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for token, accepted := range map[string]bool{"": false, "secret": false, "fifteen bytes.": false, "sixteen bytes..\n": false, "sixteen bytes...\n": true} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		s := Security{AdminToken: file}
		_, err := s.load(slog.New(slog.DiscardHandler))
		if (err == nil) != accepted {
			t.Errorf("a token of %d bytes: %v, want it accepted: %t", len(strings.TrimSpace(token)), err, accepted)
		}
		if err != nil && token != "" && strings.Contains(err.Error(), strings.TrimSpace(token)) {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}
