package sim

import "checkout/internal/money"

// What things cost: in nanodollars, so that the checker adds up without the arithmetic that it checks.

const nano = 1_000_000_000

func products() []string { return []string{"telescope", "lens", "filter", "book", "cloth"} }

func priceOf(product string) (nanodollars int64, known bool) {
	price, known := map[string]int64{
		"telescope": 101_960_000_000,
		"lens":      205_000_000, // not to be paid in cents
		"filter":    57_085_000_000,
		"book":      29_990_000_000,
		"cloth":     9_999_999,
	}[product]
	return price, known
}

func currencies() []money.Currency { return []money.Currency{"USD", "EUR", "JPY"} }

// exchanged is what so many nanodollars are in a currency, in its 10⁻⁹.
func exchanged(nanodollars int64, to money.Currency) int64 {
	switch to {
	case "EUR":
		return nanodollars * 93 / 100
	case "JPY":
		return nanodollars / 100 * 15137
	}
	return nanodollars
}

// payable is n rounded to what can be paid, half away from zero.
func payable(n int64, c money.Currency) int64 {
	step := int64(10_000_000)
	if c == "JPY" {
		step = nano
	}
	return (n + step/2) / step * step
}

func nanos(a money.Amount) int64 { return a.Units()*nano + int64(a.Nanos()) }

func amountOf(c money.Currency, n int64) (money.Amount, error) {
	return money.New(c, n/nano, int32(n%nano))
}

func dollars(n int64) money.Amount {
	a, _ := amountOf("USD", n) // of no negative number: it cannot fail
	return a
}
