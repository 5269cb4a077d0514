package gateway

import (
	"strconv"
	"strings"
	"unicode"
)

// The number of digits of a card (ISO/IEC 7812-1), as order accepts them.
const (
	minCardDigits = 12
	maxCardDigits = 19
)

// mask hides card data in a foreign text. A text with a card number in it, however spaced or hyphenated, is an echo of a
// charge, so that all of its digits go: what else stands in it may be the expiry and the CVV.
func mask(text string) string {
	if !holdsCard(text) {
		return text
	}
	return maskDigits(text, func(string) bool { return true })
}

// echoes tells whether the digits of this card stand in text one after the other, whatever stands between them.
func echoes(text, number string) bool {
	card := digits(number)
	return card != "" && strings.Contains(digits(text), card)
}

// isCVV tells whether a run of digits is this card verification value.
func isCVV(run string, cvv int32) bool {
	n, err := strconv.ParseInt(run, 10, 32)
	return err == nil && int32(n) == cvv && (len(run) == 3 || len(run) == 4)
}

// holdsCard tells whether a card number stands in text: 12 to 19 digits with a right check digit (ISO/IEC 7812-1), with
// nothing but spaces and dashes between them. Longer runs of digits are searched through.
func holdsCard(text string) bool {
	var run []byte
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			run = append(run, byte(r-'0'))
			if endsInCard(run) {
				return true
			}
		case unicode.IsSpace(r), unicode.In(r, unicode.Pd, unicode.Cf), r == '\u2212': // spaces, dashes, invisible marks, minus
		default:
			run = run[:0]
		}
	}
	return false
}

// endsInCard tells whether the last 12 to 19 of these digits are a card number.
func endsInCard(run []byte) bool {
	sum := 0
	for n := 1; n <= min(len(run), maxCardDigits); n++ {
		d := int(run[len(run)-n])
		if n%2 == 0 {
			d = d*2%10 + d*2/10
		}
		sum += d
		if n >= minCardDigits && sum%10 == 0 {
			return true
		}
	}
	return false
}

// maskDigits puts stars for the runs of digits that hide chooses.
func maskDigits(text string, hide func(run string) bool) string {
	var b strings.Builder
	for text != "" {
		start := strings.IndexAny(text, "0123456789")
		if start < 0 {
			break
		}
		end := start + len(text[start:]) - len(strings.TrimLeft(text[start:], "0123456789"))
		b.WriteString(text[:start])
		if run := text[start:end]; hide(run) {
			b.WriteString(strings.Repeat("*", len(run)))
		} else {
			b.WriteString(run)
		}
		text = text[end:]
	}
	b.WriteString(text)
	return b.String()
}

// digits is text without whatever is not a digit.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}
