package money

import (
	"errors"
	"math"
	"testing"
)

const (
	most  = math.MaxInt64
	least = math.MinInt64
	nines = nanosPerUnit - 1
)

// of makes an amount that a test knows to be one.
func of(t testing.TB, c Currency, units int64, nanos int32) Amount {
	t.Helper()
	a, err := New(c, units, nanos)
	if err != nil {
		t.Fatalf("New(%s, %d, %d): %v", c, units, nanos, err)
	}
	return a
}

func usd(t testing.TB, units int64, nanos int32) Amount {
	t.Helper()
	return of(t, "USD", units, nanos)
}

func TestNewRefusesWhatIsNoAmount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		units int64
		nanos int32
		want  error
	}{
		{0, 0, nil},
		{0, nines, nil},
		{0, -nines, nil},
		{most, nines, nil},
		{least, -nines, nil},
		{1, 0, nil},
		{-1, 0, nil},
		{0, nines + 1, ErrInvalid},
		{0, -nines - 1, ErrInvalid},
		{0, math.MaxInt32, ErrInvalid},
		{0, math.MinInt32, ErrInvalid},
		{1, -1, ErrInvalid},
		{-1, 1, ErrInvalid},
	} {
		a, err := New("USD", test.units, test.nanos)
		if !errors.Is(err, test.want) {
			t.Errorf("New(USD, %d, %d): %v, want %v", test.units, test.nanos, err, test.want)
		}
		if want := (Amount{"USD", test.units, test.nanos}); err == nil && a != want {
			t.Errorf("New(USD, %d, %d) = %v", test.units, test.nanos, a)
		}
		if err != nil && a != (Amount{}) {
			t.Errorf("New(USD, %d, %d) failed and made %v", test.units, test.nanos, a)
		}
	}
}

func TestZeroIsNothing(t *testing.T) {
	t.Parallel()
	zero := Zero("EUR")
	if zero.Currency() != "EUR" || zero.Units() != 0 || zero.Nanos() != 0 || zero.Sign() != 0 {
		t.Errorf("Zero(EUR) = %v", zero)
	}
	if got := (Amount{}).String(); got != "0" {
		t.Errorf("the zero value prints %q, want 0", got)
	}
}

func TestAddCarriesAndReportsOverflow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		a, b, want Amount
		err        error
	}{
		{"two prices below one", usd(t, 0, 200_000_000), usd(t, 0, 500_000_000), usd(t, 0, 700_000_000), nil},
		{"the nanos make a unit", usd(t, 19, 990_000_000), usd(t, 0, 10_000_000), usd(t, 20, 0), nil},
		{"the nanos borrow a unit", usd(t, 5, 0), usd(t, 0, -1), usd(t, 4, nines), nil},
		{"the sign follows the sum", usd(t, 1, 0), usd(t, -3, -500_000_000), usd(t, -2, -500_000_000), nil},
		{"from below zero upwards", usd(t, -1, 0), usd(t, 0, 1), usd(t, 0, -nines), nil},
		{"to nothing", usd(t, -1, -1), usd(t, 1, 1), usd(t, 0, 0), nil},
		{"up to the edge", usd(t, most, 0), usd(t, 0, nines), usd(t, most, nines), nil},
		{"one over the edge", usd(t, most, nines), usd(t, 0, 1), Amount{}, ErrOverflow},
		{"one under the edge", usd(t, least, -nines), usd(t, 0, -1), Amount{}, ErrOverflow},
		{"units over, nanos bring it back", usd(t, least, -500_000_000), usd(t, 0, 600_000_000), usd(t, -most, -900_000_000), nil},
		{"all and all", usd(t, most, nines), usd(t, most, nines), Amount{}, ErrOverflow},
		{"two currencies", usd(t, 1, 0), of(t, "EUR", 1, 0), Amount{}, ErrCurrency},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.a.Add(test.b)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%v + %v = %v, %v; want %v, %v", test.a, test.b, got, err, test.want, test.err)
			}
		})
	}
}

func TestMulIsExactAndReportsOverflow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		a    Amount
		n    int32
		want Amount
		err  error
	}{
		{"the nanos carry", usd(t, 101, 960_000_000), 2, usd(t, 203, 920_000_000), nil},
		{"by nothing", usd(t, most, nines), 0, usd(t, 0, 0), nil},
		{"by one", usd(t, least, -nines), 1, usd(t, least, -nines), nil},
		{"by less than nothing", usd(t, 2, 500_000_000), -3, usd(t, -7, -500_000_000), nil},
		{"the most nanos there are", usd(t, 0, nines), math.MaxInt32, usd(t, 2_147_483_644, 852_516_353), nil},
		{"the least nanos there are", usd(t, 0, nines), math.MinInt32, usd(t, -2_147_483_645, -852_516_352), nil},
		{"the least negated is too much", usd(t, least, 0), -1, Amount{}, ErrOverflow},
		{"the most negated", usd(t, most, nines), -1, usd(t, -most, -nines), nil},
		{"the most twice", usd(t, most, 0), 2, Amount{}, ErrOverflow},
		{"to the least exactly", usd(t, 1<<62, 0), -2, usd(t, least, 0), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.a.Mul(test.n)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%v · %d = %v, %v; want %v, %v", test.a, test.n, got, err, test.want, test.err)
			}
		})
	}
}

func TestRoundGoesHalfAwayFromZero(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, want Amount
		err     error
	}{
		{usd(t, 1, 5_000_000), usd(t, 1, 10_000_000), nil},
		{usd(t, 1, 4_999_999), usd(t, 1, 0), nil},
		{usd(t, -1, -5_000_000), usd(t, -1, -10_000_000), nil},
		{usd(t, -1, -4_999_999), usd(t, -1, 0), nil},
		{usd(t, 0, 995_000_000), usd(t, 1, 0), nil},
		{usd(t, 0, -995_000_000), usd(t, -1, 0), nil},
		{usd(t, 8, 990_000_000), usd(t, 8, 990_000_000), nil},
		{of(t, "JPY", 12, 500_000_000), of(t, "JPY", 13, 0), nil},
		{of(t, "JPY", 12, 499_999_999), of(t, "JPY", 12, 0), nil},
		{of(t, "JPY", 0, -500_000_000), of(t, "JPY", -1, 0), nil},
		{of(t, "KWD", 1, 234_500_000), of(t, "KWD", 1, 235_000_000), nil},
		{of(t, "CLF", 1, 234_550_000), of(t, "CLF", 1, 234_600_000), nil},
		{usd(t, most, nines), Amount{}, ErrOverflow},
		{usd(t, least, -nines), Amount{}, ErrOverflow},
		{of(t, "XTS", 1, 0), Amount{}, ErrCurrency},
		{Amount{}, Amount{}, ErrCurrency},
	} {
		got, err := test.a.Round()
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%v rounds to %v, %v; want %v, %v", test.a, got, err, test.want, test.err)
		}
	}
}

func TestCompareOrdersOneCurrency(t *testing.T) {
	t.Parallel()
	ascending := []Amount{
		usd(t, least, -nines), usd(t, least, 0), usd(t, -1, -1), usd(t, -1, 0), usd(t, 0, -1),
		usd(t, 0, 0), usd(t, 0, 1), usd(t, 1, 0), usd(t, 1, 1), usd(t, most, nines),
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := min(max(i-j, -1), 1)
			if got, err := a.Compare(b); got != want || err != nil {
				t.Errorf("%v against %v: %d, %v; want %d", a, b, got, err, want)
			}
		}
	}
	if _, err := usd(t, 1, 0).Compare(of(t, "EUR", 1, 0)); !errors.Is(err, ErrCurrency) {
		t.Errorf("dollars against euros: %v, want ErrCurrency", err)
	}
}

func TestDecimalShowsAtLeastTheMinorUnits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a    Amount
		want string
	}{
		{usd(t, 57, 80_000_000), "57.08"},
		{usd(t, 57, 800_000_000), "57.80"},
		{usd(t, 3, 0), "3.00"},
		{usd(t, 0, -500_000_000), "-0.50"},
		{usd(t, -1, -1), "-1.000000001"},
		{usd(t, most, nines), "9223372036854775807.999999999"},
		{usd(t, least, -nines), "-9223372036854775808.999999999"},
		{of(t, "JPY", 1200, 0), "1200"},
		{of(t, "JPY", 1200, 500_000_000), "1200.5"},
		{of(t, "KWD", 1, 500_000_000), "1.500"},
		{of(t, "CLF", 0, 100_000), "0.0001"},
		{of(t, "???", 1, 0), "1"},
	} {
		if got := test.a.Decimal(); got != test.want {
			t.Errorf("%#v is written %q, want %q", test.a, got, test.want)
		}
		if got, want := test.a.String(), string(test.a.Currency())+" "+test.want; got != want {
			t.Errorf("%#v prints %q, want %q", test.a, got, want)
		}
	}
}

// The success path costs no garbage: an order of two hundred lines adds and multiplies hundreds of times.
func TestArithmeticDoesNotAllocate(t *testing.T) {
	a, b := usd(t, 101, 960_000_000), usd(t, -8, -990_000_000)
	for name, operation := range map[string]func() error{
		"Add":        func() error { _, err := a.Add(b); return err },
		"Mul":        func() error { _, err := a.Mul(10_000); return err },
		"Round":      func() error { _, err := a.Round(); return err },
		"Compare":    func() error { _, err := a.Compare(b); return err },
		"MinorUnits": func() error { _, _ = a.Currency().MinorUnits(); return nil },
	} {
		if err := operation(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = operation() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	x, y := usd(b, 101, 960_000_000), usd(b, 8, 990_000_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Add(y); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMul(b *testing.B) {
	x := usd(b, 101, 960_000_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Mul(10_000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRound(b *testing.B) {
	x := of(b, "ZWG", 101, 965_000_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Round(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecimal(b *testing.B) {
	x := usd(b, 101, 960_000_000)
	b.ReportAllocs()
	for b.Loop() {
		_ = x.Decimal()
	}
}
