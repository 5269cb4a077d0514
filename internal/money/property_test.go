package money

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The oracle of all these tests is an integer without bounds: an amount as its number of nanos.

var (
	unit     = big.NewInt(nanosPerUnit)
	beyond   = new(big.Int).Mul(new(big.Int).Lsh(big.NewInt(1), 63), unit) // 2⁶³ units
	tooLow   = new(big.Int).Neg(new(big.Int).Add(beyond, unit))            // -(2⁶³+1) units
	somewhat = []Currency{"USD", "JPY", "KWD", "CLF"}
)

func exact(a Amount) *big.Int {
	n := new(big.Int).Mul(big.NewInt(a.Units()), unit)
	return n.Add(n, big.NewInt(int64(a.Nanos())))
}

// fatal is the part of testing.TB that properties (rapid.T) and fuzz targets (testing.T) have in common.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mustBe fails the test unless got is want, or want does not fit into an amount and err says so.
func mustBe(t fatal, what string, got Amount, err error, c Currency, want *big.Int) {
	t.Helper()
	if fits := want.Cmp(beyond) < 0 && want.Cmp(tooLow) > 0; !fits {
		if !errors.Is(err, ErrOverflow) || got != (Amount{}) {
			t.Fatalf("%s = %v, %v; want an overflow (%v nanos)", what, got, err, want)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v; want %v nanos", what, err, want)
	}
	if valid, err := New(got.Currency(), got.Units(), got.Nanos()); valid != got || err != nil {
		t.Fatalf("%s = %#v, which is no amount: %v", what, got, err)
	}
	if got.Currency() != c || exact(got).Cmp(want) != 0 {
		t.Fatalf("%s = %v; want %s, %v nanos", what, got, c, want)
	}
}

// amounts draws from all amounts, with a liking for the edges and for amounts near nothing.
func amounts(c Currency) *rapid.Generator[Amount] {
	units := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3),
		rapid.SampledFrom([]int64{most, most - 1, most / 2, most/2 + 1, least, least + 1, least / 2}))
	nanos := rapid.OneOf(rapid.Int32Range(-nines, nines), rapid.Int32Range(-2, 2),
		rapid.SampledFrom([]int32{nines, nines / 2, nines/2 + 1, 5_000_000, 4_999_999}))
	return rapid.Custom(func(t *rapid.T) Amount { return nearest(c, units.Draw(t, "units"), nanos.Draw(t, "nanos")) })
}

// nearest makes an amount of numbers that need not be one.
func nearest(c Currency, units int64, nanos int32) Amount {
	nanos %= nanosPerUnit
	if units > 0 && nanos < 0 || units < 0 && nanos > 0 {
		nanos = -nanos
	}
	return Amount{c, units, nanos}
}

func checkArithmetic(t fatal, a, b Amount, n int32) {
	t.Helper()
	sum, err := a.Add(b)
	mustBe(t, a.String()+" + "+b.String(), sum, err, a.Currency(), new(big.Int).Add(exact(a), exact(b)))

	product, err := a.Mul(n)
	mustBe(t, a.String()+" · n", product, err, a.Currency(), new(big.Int).Mul(exact(a), big.NewInt(int64(n))))

	order, err := a.Compare(b)
	if want := exact(a).Cmp(exact(b)); order != want || err != nil {
		t.Fatalf("%v against %v: %d, %v; want %d", a, b, order, err, want)
	}
	if got, want := a.Sign(), exact(a).Sign(); got != want {
		t.Fatalf("the sign of %v is %d, want %d", a, got, want)
	}
}

// checkRound compares with rounding by floor(x+½) on the magnitude, in fractions without bounds.
func checkRound(t fatal, a Amount) {
	t.Helper()
	digits, ok := a.Currency().MinorUnits()
	if !ok {
		t.Fatalf("%s is not in the table", a.Currency())
	}
	step := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(9-digits)), nil)
	twice := new(big.Int).Lsh(new(big.Int).Abs(exact(a)), 1)
	steps := new(big.Int).Div(twice.Add(twice, step), new(big.Int).Lsh(step, 1))
	want := steps.Mul(steps, step)
	if a.Sign() < 0 {
		want.Neg(want)
	}
	got, err := a.Round()
	mustBe(t, a.String()+" rounded", got, err, a.Currency(), want)
	if err != nil {
		return
	}
	if again, err := got.Round(); again != got || err != nil {
		t.Fatalf("%v rounded twice is %v, %v", a, again, err)
	}
}

// checkDecimal reads the text back, digit by digit, and looks at its form.
func checkDecimal(t fatal, a Amount) {
	t.Helper()
	text := a.Decimal()
	read, ok := new(big.Rat).SetString(text)
	if want := new(big.Rat).SetFrac(exact(a), unit); !ok || read.Cmp(want) != 0 {
		t.Fatalf("%#v is written %q", a, text)
	}
	_, fraction, pointed := strings.Cut(text, ".")
	digits, _ := a.Currency().MinorUnits()
	if len(fraction) < digits || len(fraction) > digits && strings.HasSuffix(fraction, "0") || pointed && fraction == "" {
		t.Fatalf("%#v is written %q, with %d decimals", a, text, len(fraction))
	}
	double, _ := read.Float64()
	if got := a.Float64(); got != double {
		t.Fatalf("%v as a float is %v, want %v", a, got, double)
	}
}

func TestArithmeticAgreesWithUnboundedIntegers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		factor := rapid.OneOf(rapid.Int32(), rapid.Int32Range(-3, 3)).Draw(t, "n")
		checkArithmetic(t, amounts("USD").Draw(t, "a"), amounts("USD").Draw(t, "b"), factor)
	})
}

func TestRoundAgreesWithUnboundedIntegers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkRound(t, amounts(rapid.SampledFrom(somewhat).Draw(t, "currency")).Draw(t, "a"))
	})
}

func TestDecimalReadsBackAsTheSameAmount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkDecimal(t, amounts(rapid.SampledFrom(somewhat).Draw(t, "currency")).Draw(t, "a"))
	})
}

func TestAddIsCommutativeAndAssociative(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := amounts("USD").Draw(t, "a"), amounts("USD").Draw(t, "b"), amounts("USD").Draw(t, "c")
		ab, errAB := a.Add(b)
		ba, errBA := b.Add(a)
		if ab != ba || (errAB == nil) != (errBA == nil) {
			t.Fatalf("a+b = %v, %v but b+a = %v, %v", ab, errAB, ba, errBA)
		}
		bc, errBC := b.Add(c)
		if errAB != nil || errBC != nil {
			return // an intermediate sum that does not fit is an error, whatever comes after
		}
		left, errLeft := ab.Add(c)
		right, errRight := a.Add(bc)
		if left != right || (errLeft == nil) != (errRight == nil) {
			t.Fatalf("(a+b)+c = %v, %v but a+(b+c) = %v, %v", left, errLeft, right, errRight)
		}
	})
}

func TestMulIsRepeatedAdd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, n := amounts("USD").Draw(t, "a"), rapid.Int32Range(0, 40).Draw(t, "n")
		sum, err := Zero("USD"), error(nil)
		for range n {
			if sum, err = sum.Add(a); err != nil {
				break
			}
		}
		if product, errMul := a.Mul(n); product != sum || (err == nil) != (errMul == nil) {
			t.Fatalf("%v · %d = %v, %v; added up it is %v, %v", a, n, product, errMul, sum, err)
		}
	})
}

func FuzzArithmetic(f *testing.F) {
	f.Add(int64(most), int32(nines), int64(1), int32(1), int32(2))
	f.Add(int64(least), int32(-nines), int64(-1), int32(-1), int32(-1))
	f.Add(int64(0), int32(200_000_000), int64(0), int32(800_000_000), int32(0))
	f.Fuzz(func(t *testing.T, units int64, nanos int32, units2 int64, nanos2, n int32) {
		checkArithmetic(t, nearest("USD", units, nanos), nearest("USD", units2, nanos2), n)
	})
}

func FuzzRound(f *testing.F) {
	f.Add(uint8(0), int64(1), int32(5_000_000))
	f.Add(uint8(1), int64(most), int32(nines))
	f.Fuzz(func(t *testing.T, currency uint8, units int64, nanos int32) {
		checkRound(t, nearest(somewhat[int(currency)%len(somewhat)], units, nanos))
	})
}

func FuzzDecimal(f *testing.F) {
	f.Add("USD", int64(57), int32(80_000_000))
	f.Add("", int64(least), int32(-nines))
	f.Fuzz(func(t *testing.T, currency string, units int64, nanos int32) {
		checkDecimal(t, nearest(Currency(currency), units, nanos))
	})
}

func FuzzNew(f *testing.F) {
	f.Add(int64(1), int32(-1))
	f.Add(int64(0), int32(nines))
	f.Fuzz(func(t *testing.T, units int64, nanos int32) {
		sameSign := units == 0 || nanos == 0 || units > 0 == (nanos > 0)
		want := sameSign && int64(nanos) > -nanosPerUnit && int64(nanos) < nanosPerUnit
		if _, err := New("USD", units, nanos); (err == nil) != want {
			t.Fatalf("New(USD, %d, %d): %v", units, nanos, err)
		}
	})
}
