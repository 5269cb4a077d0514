// Package money is exact money: amounts of one currency that add and multiply without rounding, overflow or panic.
//
// An amount is units + nanos·10⁻⁹, as on the wire (google.type.Money). Arithmetic that would not fit is an error
// (ErrOverflow), never a wrapped number; rounding happens only where it is asked for, in Round.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

const nanosPerUnit = 1_000_000_000

var (
	// ErrInvalid says that units and nanos do not form an amount: nanos out of ±999,999,999 or of another sign than units.
	ErrInvalid = errors.New("invalid amount")
	// ErrOverflow says that the result does not fit into 64 bits of units.
	ErrOverflow = errors.New("amount overflow")
	// ErrCurrency says that two amounts are of different currencies, or that a code is not in ISO 4217.
	ErrCurrency = errors.New("wrong currency")
)

// Amount is an exact amount of one currency. It is immutable; the zero value is nothing, of no currency.
type Amount struct {
	currency Currency
	units    int64
	nanos    int32 // |nanos| < 10⁹ and of the sign of units
}

// New makes the amount units + nanos·10⁻⁹ of c. It fails with ErrInvalid when nanos is out of range or disagrees in sign.
func New(c Currency, units int64, nanos int32) (Amount, error) {
	if nanos <= -nanosPerUnit || nanos >= nanosPerUnit || units > 0 && nanos < 0 || units < 0 && nanos > 0 {
		return Amount{}, fmt.Errorf("%w: %d units and %d nanos", ErrInvalid, units, nanos)
	}
	return Amount{c, units, nanos}, nil
}

// Zero is no money, in c.
func Zero(c Currency) Amount { return Amount{currency: c} }

// Currency is the currency of a.
func (a Amount) Currency() Currency { return a.currency }

// Units is the whole part of a.
func (a Amount) Units() int64 { return a.units }

// Nanos is the fraction of a in 10⁻⁹ units, of the same sign as Units.
func (a Amount) Nanos() int32 { return a.nanos }

// Sign is -1, 0 or +1.
func (a Amount) Sign() int {
	return cmp.Or(cmp.Compare(a.units, 0), cmp.Compare(a.nanos, 0))
}

// Compare orders two amounts of one currency; of different currencies it fails with ErrCurrency.
func (a Amount) Compare(b Amount) (int, error) {
	if a.currency != b.currency {
		return 0, fmt.Errorf("%w: comparing %s with %s", ErrCurrency, a.currency, b.currency)
	}
	return cmp.Or(cmp.Compare(a.units, b.units), cmp.Compare(a.nanos, b.nanos)), nil
}

// Add is a + b. It fails with ErrCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.currency != b.currency {
		return Amount{}, fmt.Errorf("%w: adding %s to %s", ErrCurrency, b.currency, a.currency)
	}
	// In 128 bits, because a sum of units may leave 64 bits and come back by the carry of the nanos.
	sum := wide(a.units).plus(wide(b.units))
	nanos := int64(a.nanos) + int64(b.nanos)
	return amount(a.currency, sum, nanos)
}

// Mul is a · n, in constant time. It fails with ErrOverflow.
func (a Amount) Mul(n int32) (Amount, error) {
	return amount(a.currency, product(a.units, int64(n)), int64(a.nanos)*int64(n))
}

// Round rounds a to the minor unit of its currency (ISO 4217), half away from zero.
// It fails with ErrOverflow, and with ErrCurrency when the currency is not in ISO 4217.
func (a Amount) Round() (Amount, error) {
	digits, ok := a.currency.MinorUnits()
	if !ok {
		return Amount{}, fmt.Errorf("%w: %q is not in ISO 4217", ErrCurrency, a.currency)
	}
	step := int64(nanosPerUnit)
	for range digits {
		step /= 10
	}
	nanos := int64(a.nanos)
	rest := nanos % step // of the sign of nanos
	nanos -= rest
	if 2*rest >= step {
		nanos += step
	} else if -2*rest >= step {
		nanos -= step
	}
	return amount(a.currency, wide(a.units), nanos)
}

// Decimal is the exact amount as decimal text without the currency: "57.08", "-0.5", "3". At least as many decimals
// as the currency has are shown, so that prices align.
func (a Amount) Decimal() string {
	var b strings.Builder
	if a.Sign() < 0 {
		b.WriteByte('-')
	}
	b.WriteString(strconv.FormatUint(magnitude(a.units), 10))
	fraction := fmt.Sprintf("%09d", max(a.nanos, -a.nanos))
	digits, _ := a.currency.MinorUnits()
	fraction = fraction[:max(digits, len(strings.TrimRight(fraction, "0")))]
	if fraction != "" {
		b.WriteByte('.')
		b.WriteString(fraction)
	}
	return b.String()
}

// String is the amount with its currency: "USD 57.08".
func (a Amount) String() string { return strings.TrimLeft(string(a.currency)+" "+a.Decimal(), " ") }

// Parse reads what String writes of an amount that can be paid: an ISO 4217 code, a blank, and a decimal number without a
// sign that has at most the decimals of the currency, such as "EUR 123.45" or "JPY 8600". It fails with ErrInvalid.
func Parse(text string) (Amount, error) {
	code, number, _ := strings.Cut(text, " ")
	digits, ok := Currency(code).MinorUnits()
	if !ok {
		return Amount{}, fmt.Errorf("%w: %.40q does not begin with an ISO 4217 code and a blank", ErrInvalid, text)
	}
	whole, fraction, point := strings.Cut(number, ".")
	units, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || len(fraction) > digits || point && fraction == "" {
		return Amount{}, fmt.Errorf("%w: %.40q has no number with up to %d decimals", ErrInvalid, text, digits)
	}
	nanos, err := strconv.ParseUint("0"+fraction+strings.Repeat("0", 9-len(fraction)), 10, 31)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %.40q has no number with up to %d decimals", ErrInvalid, text, digits)
	}
	return Amount{Currency(code), int64(units), int32(nanos)}, nil
}

// Float64 is the double nearest to a: for telemetry, never for arithmetic.
func (a Amount) Float64() float64 {
	f, _ := strconv.ParseFloat(a.Decimal(), 64) // of our own decimal text: it cannot fail
	return f
}

// amount joins 128-bit units and nanos of any sign and size below 2⁶² into an Amount.
func amount(c Currency, units int128, nanos int64) (Amount, error) {
	units = units.plus(wide(nanos / nanosPerUnit))
	nanos %= nanosPerUnit
	switch {
	case units.sign() > 0 && nanos < 0:
		units, nanos = units.plus(wide(-1)), nanos+nanosPerUnit
	case units.sign() < 0 && nanos > 0:
		units, nanos = units.plus(wide(1)), nanos-nanosPerUnit
	}
	if !units.fits() {
		return Amount{}, fmt.Errorf("%w: more than 64 bits of %s", ErrOverflow, c)
	}
	return Amount{c, int64(units.lo), int32(nanos)}, nil
}

// int128 is a two's complement integer, wide enough for any sum or product of two int64.
type int128 struct{ hi, lo uint64 }

func wide(x int64) int128 { return int128{uint64(x >> 63), uint64(x)} }

func product(x, y int64) int128 {
	hi, lo := bits.Mul64(magnitude(x), magnitude(y))
	if (x < 0) != (y < 0) { // negate: invert and add one
		return int128{^hi, ^lo}.plus(wide(1))
	}
	return int128{hi, lo}
}

func (a int128) plus(b int128) int128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return int128{hi, lo}
}

func (a int128) sign() int {
	if int64(a.hi) < 0 {
		return -1
	}
	return cmp.Compare(a.hi|a.lo, 0)
}

// fits reports whether a is an int64: whether its upper half only repeats the sign.
func (a int128) fits() bool { return a.hi == uint64(int64(a.lo)>>63) }

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}
