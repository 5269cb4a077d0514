package creditcard

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The card in what others say: the payment service knows it, and callers may write it anywhere.

const (
	// part is how many digits an id must have to be part of the number. The last four may be shown.
	part = 6
	// idPart is how many digits of the number, one after the other, are too many in an id, where digits stand by chance, and
	// idPartApart the same where letters may stand between them.
	idPart      = 8
	idPartApart = 12
)

// IsIn reports whether id, a short text that a machine has made, repeats the card: 8 digits of its number in sequence, or
// 12 with letters between them; or no other digits than some of the number, or than the CVV. Codes of characters and
// base64 count if they stand for nothing but plain text. It is true of one random UUID in 10 million.
func (c Card) IsIn(id string) bool {
	number, cvv := c.digits()
	if number == nil {
		return false
	}
	return strings.ContainsFunc(id, isForeignDigit) || inHex(id, number) || repeats([]byte(id), number, cvv) || anyReading(id, func(reading []byte) bool {
		return isPrintable(reading) && repeats(reading, number, cvv)
	})
}

// digits is the number and the CVV of the card, both without zeros before them for the latter; nil without a card.
func (c Card) digits() (number, cvv []byte) {
	if c.secret == nil || len(c.number) == 0 {
		return nil, nil
	}
	return digitsIn(c.number), strconv.AppendInt(nil, int64(c.cvv), 10)
}

// repeats is IsIn for one reading of an id.
func repeats(id, number, cvv []byte) bool {
	all := digitsIn(id)
	switch {
	case len(all) == 0:
		return false
	case bytes.Equal(bytes.TrimLeft(all, "0"), bytes.TrimLeft(cvv, "0")):
		return true
	case len(all) < part:
		return false
	case bytes.Contains(number, all), holdsPart(all, number, idPartApart):
		return true
	}
	run := all[:0]
	for _, b := range id {
		switch {
		case isDecimal(b):
			run = append(run, b)
		case isAlphanumeric(b):
			if holdsPart(run, number, idPart) {
				return true
			}
			run = run[:0]
		}
	}
	return holdsPart(run, number, idPart)
}

// holdsPart reports whether n digits of the number stand in found.
func holdsPart(found, number []byte, n int) bool {
	for i := 0; i+n <= len(number) && len(found) >= n; i++ {
		if bytes.Contains(found, number[i:i+n]) {
			return true
		}
	}
	return false
}

// inHex reports whether the number stands in text in hexadecimal, whatever stands between the digits.
func inHex(text string, number []byte) bool {
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return false
	}
	found := make([]byte, 0, len(text))
	for i := range len(text) {
		if b := text[i]; isAlphanumeric(b) {
			found = append(found, b|0x20) // in lower case; a digit has this bit
		}
	}
	return bytes.Contains(found, strconv.AppendUint(nil, n, 16))
}

// anyReading reports whether test is true of text, or of what it says to one who takes it, or a word of it, for the codes
// of characters or for base64; or of what it says without blanks and escapes. What test is given is overwritten afterwards.
func anyReading(text string, test func(reading []byte) bool) bool {
	if readAs(text, test) {
		return true
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return r == '\\' || unicode.IsSpace(r) }) {
		return false
	}
	return readAs(strings.Join(strings.Fields(withoutEscapes(text)), ""), test)
}

// readAs is anyReading of the text as it stands.
func readAs(text string, test func(reading []byte) bool) bool {
	buffer := make([]byte, len(text))
	return test(append(buffer[:0], text...)) || test(codes(buffer[:0], text, 10)) || test(codes(buffer[:0], text, 8)) ||
		anyHex(text, buffer, test) || anyBase64(text, buffer, test)
}

// anyHex takes text for bytes in hexadecimal, from the first digit or from the second.
func anyHex(text string, buffer []byte, test func(reading []byte) bool) bool {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "0x", ""), "0X", "")
	digits := make([]byte, 0, len(text))
	for i := range len(text) {
		if b := text[i]; isDecimal(b) || 'a' <= b|0x20 && b|0x20 <= 'f' {
			digits = append(digits, b)
		}
	}
	for start := range min(2, len(digits)) {
		aligned := digits[start:]
		n, _ := hex.Decode(buffer, aligned[:len(aligned)&^1])
		if test(slices.DeleteFunc(buffer[:n:n], func(b byte) bool { return b == 0 })) { // UTF-16 has zeros
			return true
		}
	}
	return false
}

// anyBase64 takes each word of text for base64, in either alphabet, from any of its first four letters.
func anyBase64(text string, buffer []byte, test func(reading []byte) bool) bool {
	rest := bytes.Map(func(r rune) rune {
		switch {
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		case r == '+' || r == '/' || isAlphanumeric(r):
			return r
		}
		return ' '
	}, []byte(text))
	for word := range bytes.FieldsSeq(rest) {
		for start := range min(4, len(word)) {
			if n, _ := base64.RawStdEncoding.Decode(buffer, word[start:]); test(buffer[:n]) { // as far as it goes
				return true
			}
		}
	}
	return false
}

// withoutEscapes is text less what JSON or Go write for a character that cannot be seen: \n, \u00a0.
func withoutEscapes(text string) string {
	before, after, found := strings.Cut(text, `\`)
	for found {
		size := 1
		if strings.HasPrefix(after, "u") {
			size = 5
		}
		var rest string
		rest, after, found = strings.Cut(after[min(size, len(after)):], `\`)
		before += rest
	}
	return before
}

// codes appends the text that the numbers in text are the ASCII codes of; of two digits each, when run together.
func codes(into []byte, text string, base int) []byte {
	for i := 0; i < len(text); {
		if !isDecimal(text[i]) {
			i++
			continue
		}
		end := i
		for end < len(text) && isDecimal(text[end]) {
			end++
		}
		for size := end - i; size > 0; size = end - i {
			if size > 3 {
				size = 2
			}
			if n, err := strconv.ParseUint(text[i:i+size], base, 8); err == nil && n < unicode.MaxASCII {
				into = append(into, byte(n))
			}
			i += size
		}
	}
	return into
}

// digitsIn is the digits of text without what stands between them.
func digitsIn(text []byte) []byte {
	found := make([]byte, 0, 32)
	for _, b := range text {
		if isDecimal(b) {
			found = append(found, b)
		}
	}
	return found
}

func isPrintable(text []byte) bool {
	return len(text) > 0 && !slices.ContainsFunc(text, func(b byte) bool { return b < ' ' || b > '~' })
}

// isForeignDigit reports whether r is a digit, or another number, that is not one of 0 to 9.
func isForeignDigit(r rune) bool { return r > unicode.MaxASCII && unicode.IsNumber(r) }

// ASCIIDigits returns text with the decimal digits of all scripts as 0 to 9.
func ASCIIDigits(text string) string {
	ascii := true
	for i := range len(text) {
		ascii = ascii && text[i] <= unicode.MaxASCII
	}
	if ascii {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII || !unicode.IsDigit(r) {
			return r
		}
		for _, digits := range unicode.Nd.R16 { // each range is some sets of ten, from 0 to 9
			if lo, hi := rune(digits.Lo), rune(digits.Hi); lo <= r && r <= hi {
				return '0' + (r-lo)%10
			}
		}
		for _, digits := range unicode.Nd.R32 {
			if lo, hi := rune(digits.Lo), rune(digits.Hi); lo <= r && r <= hi { //nolint:gosec // code points
				return '0' + (r-lo)%10
			}
		}
		return r
	}, text)
}

func isDecimal[C byte | rune](c C) bool { return '0' <= c && c <= '9' }

func isAlphanumeric[C byte | rune](c C) bool { return isDecimal(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }
