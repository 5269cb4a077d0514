package creditcard

import (
	"bytes"
	"encoding/base32"
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

// depth is how many codes are looked for, one inside the other.
const depth = 2

// IsIn reports whether id, a short text that a machine has made, repeats the card: 8 digits of its number in sequence, from
// either end, or 12 with letters between them; or no other digits than some of the number, or than the CVV. Digits may be
// written as codes of characters, in hexadecimal, base64 or base32, also twice, if that stands for nothing but plain text. It
// is true of two random UUIDs in 10 million. No list of codes is complete.
func (c Card) IsIn(id string) bool {
	number := c.Digits()
	if len(number) == 0 {
		return false
	}
	cvv, backwards := strconv.AppendInt(nil, int64(c.cvv), 10), slices.Clone(number)
	slices.Reverse(backwards)
	defer func() { clear(number); clear(cvv); clear(backwards) }()
	return strings.ContainsFunc(id, isForeignDigit) || inHex(id, number) || inReading([]byte(id), depth, func(reading []byte) bool {
		return repeats(reading, number, cvv) || repeats(reading, backwards, cvv)
	})
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

// inReading reports whether test is true of text, or of what it says to one who takes it, or a word of it, for one of so many
// codes, one inside the other.
func inReading(text []byte, codesLeft int, test func(reading []byte) bool) bool {
	if test(text) {
		return true
	}
	if codesLeft == 0 {
		return false
	}
	buffer := make([]byte, len(text))
	plain := func(reading []byte) bool { return isPrintable(reading) && inReading(reading, codesLeft-1, test) }
	return plain(codes(buffer[:0], text, 10)) || plain(codes(buffer[:0], text, 8)) || anyHex(text, buffer, plain) ||
		anyWord(text, buffer, hex.Decode, plain) || anyWord(text, buffer, base64.RawStdEncoding.Decode, plain) ||
		anyWord(bytes.ToUpper(text), buffer, base32.StdEncoding.WithPadding(base32.NoPadding).Decode, plain)
}

// anyHex takes the words of text that are numbers in hexadecimal for bytes, from the first digit or from the second.
func anyHex(text, buffer []byte, test func(reading []byte) bool) bool {
	digits := make([]byte, 0, len(text))
	for word := range bytes.FieldsFuncSeq(text, isSeparator) {
		if word = bytes.TrimLeft(bytes.TrimPrefix(word, []byte("0x")), "xu"); len(bytes.Trim(word, "0123456789abcdefABCDEF")) == 0 {
			digits = append(digits, word...)
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

// anyWord decodes each word of text, from any of its first eight letters and as far as it goes.
func anyWord(text, buffer []byte, decode func(into, text []byte) (int, error), test func(reading []byte) bool) bool {
	for word := range bytes.FieldsFuncSeq(text, isSeparator) {
		for start := range min(8, len(word)) {
			if n, _ := decode(buffer, word[start:]); test(buffer[:n]) {
				return true
			}
		}
	}
	return false
}

// codes appends the text that the numbers in text are the ASCII codes of; of two digits each, when run together.
func codes(into, text []byte, base int) []byte {
	for number := range bytes.FieldsFuncSeq(text, func(r rune) bool { return !isDecimal(r) }) {
		for len(number) > 0 {
			size := len(number)
			if size > 3 {
				size = 2
			}
			code, valid := 0, true
			for _, digit := range number[:size] {
				code, valid = code*base+int(digit-'0'), valid && int(digit-'0') < base
			}
			if valid && code < unicode.MaxASCII {
				into = append(into, byte(code))
			}
			number = number[size:]
		}
	}
	return into
}

// digitsIn is the digits of text without what stands between them.
func digitsIn(text []byte) []byte {
	found := make([]byte, 0, len(text)) // never copied: it may be the card's
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

func isSeparator(r rune) bool { return !isAlphanumeric(r) }

func isDecimal[C byte | rune](c C) bool { return '0' <= c && c <= '9' }

func isAlphanumeric[C byte | rune](c C) bool { return isDecimal(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }
