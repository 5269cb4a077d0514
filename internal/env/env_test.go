package env

import "testing"

func TestQuotesAndBlanksAroundAValueAreNoPartOfIt(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "", " ": "", `"`: `"`, `""`: "", `"a'`: `"a'`, "a b": "a b", `'"a"'`: `"a"`, "\t\" a\" \r\n": "a", `a"b"`: `a"b"`, `"a",`: `"a",`,
	} {
		if got := Clean(value); got != want {
			t.Errorf("Clean(%q) = %q, want %q", value, got, want)
		}
	}
}
