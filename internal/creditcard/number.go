package creditcard

import (
	"strings"

	"github.com/google/uuid"
)

// How many digits the number of a card has (ISO/IEC 7812-1).
const (
	MinDigits = 12
	MaxDigits = 19
)

// ValidNumber reports whether s is 12 to 19 digits, and nothing else, of which the last is the right check digit (Luhn,
// ISO/IEC 7812-1).
func ValidNumber[S string | []byte](s S) bool {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i]) - '0'
		switch {
		case d < 0 || d > 9:
			return false
		case i%2 == 1: // every second digit, from the right, counts twice
			d = 2*d/10 + 2*d%10
		}
		sum += d
	}
	return len(s) >= MinDigits && len(s) <= MaxDigits && sum%10 == 0
}

// HasNumber reports whether text holds what looks like the number of a payment card: 12 to 19 digits with a right check
// digit, with or without blanks, dashes or dots between them. The first digit is one that banks have (2 to 6, ISO/IEC
// 7812-1): the ids of most parcels begin otherwise, and operators type those, too. A UUID is none, though 3 of 1,000 look so.
func HasNumber(text string) bool {
	if uuid.Validate(text) == nil {
		return false
	}
	for i := range len(text) {
		startsGroup := isDigit(text, i) && !isDigit(text, i-1)
		if startsGroup && '2' <= text[i] && text[i] <= '6' && startsWithCard(text[i:]) {
			return true
		}
	}
	return false
}

// startsWithCard reports whether the first groups of digits of text are a card number together.
func startsWithCard(text string) bool {
	var number []byte
	for i := range len(text) {
		switch {
		case isDigit(text, i):
			number = append(number, text[i])
			if !isDigit(text, i+1) && ValidNumber(number) {
				return true
			}
		case !strings.ContainsRune(" -.", rune(text[i])) || !isDigit(text, i-1):
			return false
		}
		if len(number) > MaxDigits {
			return false
		}
	}
	return false
}

// isDigit reports whether text has a digit at i.
func isDigit(text string, i int) bool {
	return i >= 0 && i < len(text) && '0' <= text[i] && text[i] <= '9'
}
