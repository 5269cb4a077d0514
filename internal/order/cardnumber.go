package order

import "strings"

// HasCardNumber reports whether text holds what looks like the number of a payment card: 12 to 19 digits with a right check
// digit, with or without blanks, dashes or dots between them. The first digit is one that banks have (2 to 6, ISO/IEC
// 7812-1): the ids of most parcels begin otherwise, and operators type those, too.
func HasCardNumber(text string) bool {
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
			if !isDigit(text, i+1) && luhn(string(number)) {
				return true
			}
		case !strings.ContainsRune(" -.", rune(text[i])) || !isDigit(text, i-1):
			return false
		}
		if len(number) > maxCard {
			return false
		}
	}
	return false
}

// isDigit reports whether text has a digit at i.
func isDigit(text string, i int) bool {
	return i >= 0 && i < len(text) && '0' <= text[i] && text[i] <= '9'
}
