package console

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/web"
	"checkout/internal/wire"
)

// How values are shown.

func names(states []checkoutv1.OrderState) (names []string) {
	for _, s := range states {
		names = append(names, wire.StateName(s))
	}
	return names
}

// words are a name as people read it.
func words(name string) string {
	return strings.NewReplacer("in_doubt", "payment unknown", "email", "e-mail", "_", " ").Replace(name)
}

// age is how long ago then is.
func age(then, now time.Time) string { return coarse(now.Sub(then)) }

// coarse is a duration that does not change all the time.
func coarse(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	}
	return web.Took(d)
}

// long is a time in seconds, if known.
func long(seconds figure) string {
	if !seconds.Known() {
		return "–"
	}
	if seconds == 0 {
		return "none"
	}
	return web.Took(time.Duration(float64(seconds) * float64(time.Second)))
}

// ms is a time in milliseconds, if known.
func ms(f figure) string { return long(f / 1000) }

// rate is how many there are in a second, if known.
func rate(f figure) string {
	switch {
	case !f.Known():
		return "–"
	case f > 0 && f < 1:
		return strconv.FormatFloat(float64(f), 'g', 2, 64)
	case f < 10:
		return strconv.FormatFloat(float64(f), 'f', 1, 64)
	}
	return strconv.FormatFloat(float64(f), 'f', 0, 64)
}

// some reports whether there are any, as far as is known.
func some(f figure) bool { return f > 0 }

// whole is a number without fractions, if known.
func whole(f figure) string {
	if !f.Known() {
		return "–"
	}
	return strconv.FormatFloat(float64(f), 'f', 0, 64)
}

// userHash tells users apart without telling who they are.
func userHash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:4])
}

// sumOf is an amount of money.
type sumOf struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"` // in decimals
}

func moneyOf(m *oteldemo.Money) sumOf {
	a, err := wire.Amount(m)
	if err != nil {
		return sumOf{m.GetCurrencyCode(), "?"}
	}
	return sumOf{string(a.Currency()), a.Decimal()}
}

// String is the amount after its currency, as everywhere.
func (s sumOf) String() string { return s.Currency + " " + s.Amount }
