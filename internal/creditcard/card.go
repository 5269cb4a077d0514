// Package creditcard holds the number and the CVV of a card, which must not be shown, and finds card numbers in texts.
package creditcard

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
)

// Card is a payment card. It prints, logs and marshals as stars.
// Copies of a Card share what they hold, so that Clear clears them all.
type Card struct{ *secret }

// secret is what must not be seen of a card.
type secret struct {
	number      []byte // as the customer typed it; no string, which could not be cleared
	cvv         int32
	year, month int32
}

// New makes a card of what the customer typed, unchecked.
func New(number string, cvv, year, month int32) Card {
	return Card{&secret{[]byte(number), cvv, year, month}}
}

// Reveal returns the card in clear, for the payment gateway alone. Of a card that was cleared it is empty.
func (c Card) Reveal() (number string, cvv, year, month int32) {
	if c.secret == nil {
		return "", 0, 0, 0
	}
	return string(c.number), c.cvv, c.year, c.month
}

// Clone returns a card that is cleared separately.
func (c Card) Clone() Card {
	if c.secret == nil {
		return c
	}
	clone := *c.secret
	clone.number = slices.Clone(c.number)
	return Card{&clone}
}

// ForgetCVV overwrites all but the number.
func (c Card) ForgetCVV() {
	if c.secret != nil {
		*c.secret = secret{number: c.number, cvv: -1}
	}
}

// Clear overwrites the card in memory. No other goroutine may be using it, or a copy.
func (c Card) Clear() {
	if c.secret != nil {
		clear(c.number)
		*c.secret = secret{}
	}
}

const hidden = "card(***)"

// String hides the card when it is printed.
func (Card) String() string { return hidden }

// Format hides the card from every verb of package fmt.
func (Card) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the card from logs.
func (Card) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the card from encoders.
func (Card) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Digits returns the card's number without blanks and dashes, to compare cards. Clear it after use.
func (c Card) Digits() []byte {
	if c.secret == nil {
		return nil
	}
	return digitsIn(c.number)
}

// NumberIn reports whether the digits of text, in any script, contain the card's number.
func (c Card) NumberIn(text string) bool {
	number := c.Digits()
	defer clear(number)
	return len(number) >= MinDigits && bytes.Contains(digitsIn([]byte(ASCIIDigits(text))), number)
}
