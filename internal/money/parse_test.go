package money

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawPayable draws an amount that can be paid, from nothing on.
func drawPayable(t *rapid.T) Amount {
	c := rapid.SampledFrom(somewhat).Draw(t, "currency")
	a, err := New(c, rapid.Int64Min(0).Draw(t, "units"), rapid.Int32Range(0, nanosPerUnit-1).Draw(t, "nanos"))
	if err == nil {
		a, err = a.Round()
	}
	if err != nil { // beyond the largest amount
		return Zero(c)
	}
	return a
}

func TestParseReadsWhatStringWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawPayable(t)
		if got, err := Parse(want.String()); got != want || err != nil {
			t.Fatalf("Parse(%q) = %v, %v", want, got, err)
		}
	})
}

func TestParseReadsAmountsThatCanBePaid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Amount{
		"EUR 123.45":              {"EUR", 123, 450_000_000},
		"EUR 123.4":               {"EUR", 123, 400_000_000},
		"EUR 123":                 {"EUR", 123, 0},
		"USD 0.05":                {"USD", 0, 50_000_000},
		"JPY 8600":                {"JPY", 8600, 0},
		"KWD 1.005":               {"KWD", 1, 5_000_000},
		"USD 9223372036854775807": {"USD", 1<<63 - 1, 0},
	} {
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("%q: %#v, %v; want %#v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "EUR", "EUR ", "123.45", "EUR123.45", "eur 1", "XYZ 1", "EUR  1", " EUR 1", "EUR 1 ", "EUR -1", "EUR +1", "EUR 1.", "EUR .5", "EUR 1.234",
		"EUR 1,5", "EUR 1e3", "EUR 1_000", "EUR 0x10", "JPY 1.0", "EUR 1.-5", "EUR 1.+5", "EUR 9223372036854775808", "EUR ١", "EUR 1.2.3",
	} {
		if got, err := Parse(text); !errors.Is(err, ErrInvalid) || got != (Amount{}) {
			t.Errorf("%q is %v, %v; want ErrInvalid", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"EUR 123.45", "JPY 8600", "KWD 0.001", "USD 1.", "XAU 1", "EUR -0.01"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err != nil {
			return
		}
		rounded, err := got.Round()
		if again, failed := Parse(got.String()); rounded != got || err != nil || again != got || failed != nil || got.Sign() < 0 {
			t.Errorf("Parse(%q) = %#v, which is written %q; rounded %v, %v; parsed %v, %v", text, got, got, rounded, err, again, failed)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return !slices.Contains([]rune("ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789."), r) }) {
			t.Errorf("Parse(%q) = %v", text, got)
		}
	})
}
