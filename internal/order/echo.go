package order

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
)

// The card in what others say: the payment service knows it, and callers may write it anywhere.

const (
	// part is how many digits of the number, one after the other, are too many in a text. The last four may be told.
	part = 6
	// idPart is the same in an id, where digits stand by chance, and idPartApart where letters may stand between them.
	idPart      = 8
	idPartApart = 12
)

// MayBeIn reports whether text may hold the number of the card, or a part of it, or the CVV: with anything between the
// digits, in digits of any script, as codes of characters, in hexadecimal or in base64. It is for texts that may be
// replaced when in doubt: of those with n digits about n in 1,000 are taken for a text with the CVV.
func (c Card) MayBeIn(text string) bool {
	number, cvv := c.plain()
	if cvv == "" {
		return false
	}
	if strings.ContainsFunc(text, foreignDigit) || inHex(text, number, cvv) {
		return true
	}
	for _, reading := range readings(text) {
		found := digitsIn(reading)
		if bytes.Contains(found, []byte(cvv)) || holdsPart(found, number, part) || holdsApart(found, number) {
			return true
		}
	}
	return false
}

// MayHoldCard reports whether text may hold the number or the CVV of a card that is not known: it has digits, or a word
// that is base64 for some.
func MayHoldCard(text string) bool {
	if strings.ContainsFunc(text, unicode.IsNumber) {
		return true
	}
	for _, reading := range readings(text) {
		for word := range strings.FieldsFuncSeq(reading, func(r rune) bool { return r < '0' || r > '9' }) {
			if len(word) >= 3 {
				return true
			}
		}
	}
	return false
}

// IsIn reports whether id, a short text that a machine has made, repeats the card: 8 digits of its number in sequence, or
// 12 with letters between them; or no other digits than some of the number, or than the CVV. Codes of characters and
// base64 count if they stand for nothing but plain text. It is true of one random UUID in 10 million.
func (c Card) IsIn(id string) bool {
	number, cvv := c.plain()
	if cvv == "" {
		return false
	}
	if strings.ContainsFunc(id, foreignDigit) || inHex(id, number, "") || repeats(id, number, cvv) {
		return true
	}
	for _, reading := range readings(id)[1:] {
		if isPrintable(reading) && repeats(reading, number, cvv) {
			return true
		}
	}
	return false
}

// plain is the digits of the number and the CVV as a number; both are empty without a card.
func (c Card) plain() (number []byte, cvv string) {
	if c.secret == nil || len(c.number) == 0 {
		return nil, ""
	}
	return digitsIn(string(c.number)), strconv.Itoa(int(c.cvv))
}

// repeats is IsIn for one reading of an id.
func repeats(id string, number []byte, cvv string) bool {
	all := digitsIn(id)
	if len(all) == 0 {
		return false
	}
	if len(all) >= part && bytes.Contains(number, all) || holdsPart(all, number, idPartApart) {
		return true
	}
	if strings.TrimLeft(string(all), "0") == strings.TrimLeft(cvv, "0") {
		return true
	}
	for _, word := range strings.FieldsFunc(id, unicode.IsLetter) {
		if holdsPart(digitsIn(word), number, idPart) {
			return true
		}
	}
	return false
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

// holdsApart reports whether the digits of the number stand in found in their order, others between them.
func holdsApart(found, number []byte) bool {
	for _, d := range number {
		i := bytes.IndexByte(found, d)
		if i < 0 {
			return false
		}
		found = found[i+1:]
	}
	return true
}

// foreignDigit reports whether r is a digit, or another number, that is not one of 0 to 9.
func foreignDigit(r rune) bool { return r > unicode.MaxASCII && unicode.IsNumber(r) }

// digitsIn is the digits of text without what stands between them.
func digitsIn(text string) []byte {
	found := make([]byte, 0, 32)
	for i := range len(text) {
		if '0' <= text[i] && text[i] <= '9' {
			found = append(found, text[i])
		}
	}
	return found
}

// inHex reports whether the number stands in text in hexadecimal, or the CVV as a word of three digits or of any number
// of them after 0x.
func inHex(text string, number []byte, cvv string) bool {
	text = strings.ToLower(text)
	if n, err := strconv.ParseUint(string(number), 10, 64); err == nil && strings.Contains(alphanumeric(text), strconv.FormatUint(n, 16)) {
		return true
	}
	n, err := strconv.ParseUint(cvv, 10, 64)
	if err != nil {
		return false
	}
	secret := strconv.FormatUint(n, 16)
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !isAlphanumeric(r) }) {
		value, prefixed := strings.CutPrefix(word, "0x")
		if (prefixed || len(secret) > 2) && strings.TrimLeft(value, "0") == secret {
			return true
		}
	}
	return false
}

// readings is text, and what it says to one who takes it, or a word of it, for base64, or for the codes of characters: in
// hexadecimal, decimal or octal, run together or apart.
func readings(text string) []string {
	all := []string{text, codes(text, 10), codes(text, 8)}
	all = append(all, decodings(text)...)
	if together := strings.Join(strings.Fields(withoutEscapes(text)), ""); together != text {
		all = append(all, together)
		all = append(all, decodings(together)...)
	}
	return all
}

// decodings is text taken for hexadecimal, and each word of it for base64, wherever they begin.
func decodings(text string) (all []string) {
	digits := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.ASCII_Hex_Digit, r) {
			return r
		}
		return -1
	}, strings.ReplaceAll(strings.ReplaceAll(text, "0x", ""), "0X", ""))
	for start := range min(2, len(digits)) {
		aligned := digits[start:]
		decoded, _ := hex.DecodeString(aligned[:len(aligned)&^1])
		all = append(all, strings.ReplaceAll(string(decoded), "\x00", "")) // of UTF-16
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "-", "+"), "_", "/") // of the alphabet for URLs
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !isAlphanumeric(r) && r != '+' && r != '/' }) {
		for start := range min(4, len(word)) {
			decoded, _ := base64.RawStdEncoding.DecodeString(word[start:]) // as far as it goes
			all = append(all, string(decoded))
		}
	}
	return all
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

// codes is the text that the numbers in text are the ASCII codes of; of two digits each, or three, when run together.
func codes(text string, base int) string {
	var b strings.Builder
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return r < '0' || r > '9' }) {
		for size := len(run); size > 0; size = len(run) {
			if size > 3 {
				size = 2
			}
			if n, err := strconv.ParseUint(run[:size], base, 8); err == nil && n < unicode.MaxASCII {
				b.WriteByte(byte(n))
			}
			run = run[size:]
		}
	}
	return b.String()
}

func isPrintable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

func isAlphanumeric(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z' }

// alphanumeric is text without anything but ASCII letters and digits.
func alphanumeric(text string) string {
	return strings.Map(func(r rune) rune {
		if isAlphanumeric(r) {
			return r
		}
		return -1
	}, text)
}
