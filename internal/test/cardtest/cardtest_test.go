package cardtest

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestALeakIsFoundInEverySpelling(t *testing.T) {
	t.Parallel()
	for _, number := range Numbers("45") {
		for _, s := range Spellings(number) {
			line, err := json.Marshal(map[string]string{"msg": "no luck with " + s.Text})
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"\x0a\x10" + s.Text + "\x12", string(line)} {
				if Find(text, number) == nil {
					t.Errorf("%s: %q is not found in %q", s.Name, number, text)
				}
			}
		}
		for _, typed := range Typed(number) {
			if Find("<"+typed+">", number) == nil {
				t.Errorf("%q is not found", typed)
			}
		}
	}
}

func TestACVVIsFoundWhereItStandsAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"cvv 7221 is wrong": true, "7221": true, `"cvv":7221}`: true, "\x127221\x18": true, "007221\n": true, "cvv=7038,": true,
		"127.0.0.1:7221": false, "17221": false, "7221ab": false, "0.7221": false, "ab-7221-cd": false, "": false,
	} {
		if got := FindCVV(text, "7221", "7038"); (got != nil) != want {
			t.Errorf("in %q is found %q", text, got)
		}
	}
	if got := fmt.Sprint(FindCVV("a cvv 7221 b", "7221")); got != "[a cvv 7221 b]" {
		t.Errorf("found %q, want what stands around it, too", got)
	}
}
