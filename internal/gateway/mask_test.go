package gateway

import (
	"strings"
	"testing"
)

func TestMaskHidesCardNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"4432801561520454":                      "****************",
		"card 4432-8015-6152-0454, cvv 672":     "card ****-****-****-****, cvv ***",
		"4432 8015 6152 0454":                   "**** **** **** ****",
		"4432\u00a08015\u20116152\n\n0454":      "****\u00a0****\u2011****\n\n****",
		"4 4 3 2 8 0 1 5 6 1 5 2 0 4 5 4":       "* * * * * * * * * * * * * * * *",
		"in 12 4432801561520454":                "in ** ****************",
		"amex 378282246310005":                  "amex ***************",
		"maestro 500000000009":                  "maestro ************",
		"19 digits: 6304000000000000000":        "** digits: *******************",
		"{\"number\":\"4111111111111111\",1,99": "{\"number\":\"****************\",*,**",
	} {
		if got := mask(text); got != want {
			t.Errorf("mask(%q) is %q, want %q", text, got, want)
		}
	}
}

func TestMaskLeavesOtherTextsAlone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"",
		"The credit card (ending 0454) expired on 1/2021.",
		"Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted.",
		"dial tcp 192.168.100.200:50051: connect: connection refused",
		"4432801561520455",    // the check digit is wrong
		"44328015615",         // too short
		"44328015 and 615204", // not one run
	} {
		if got := mask(text); got != text {
			t.Errorf("mask(%q) is %q, want no change", text, got)
		}
	}
}

func FuzzMaskHidesACardInAnyText(f *testing.F) {
	f.Add("card ", " is bad", "-")
	f.Add("12", "34", " ")
	f.Add("", "", "\u2013\u00a0")
	f.Fuzz(func(t *testing.T, before, after, between string) {
		if strings.Trim(between, " -\t\u00a0\u2011\u2013") != "" {
			t.Skip()
		}
		number := strings.Join([]string{"4432", "8015", "6152", "0454"}, between)
		got := mask(before + number + after)
		if strings.ContainsAny(got, "0123456789") {
			t.Errorf("mask(%q) is %q", before+number+after, got)
		}
		if got := mask(before + after); len(got) != len(before+after) {
			t.Errorf("mask(%q) is %q", before+after, got)
		}
	})
}
