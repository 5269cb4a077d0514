// Package cardtest provides card numbers, the ways in which they may be written, and a search for them.
package cardtest

import (
	"bytes"
	"compress/gzip"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Numbers returns twelve card numbers that begin with prefix.
func Numbers(prefix string) []string {
	all := make([]string, 12)
	for i := range all {
		all[i] = withCheckDigit(fmt.Sprintf("%s%0*d", prefix, 15-len(prefix), 7_919_003*(i+1)))
	}
	return all
}

// withCheckDigit appends the digit that makes the sum right (ISO/IEC 7812-1).
func withCheckDigit(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			d = 2*d/10 + 2*d%10
		}
		sum += d
	}
	return fmt.Sprintf("%s%d", digits, (10-sum%10)%10)
}

// Typed returns the ways to write a number that the service accepts.
func Typed(number string) []string {
	return []string{
		number,
		fmt.Sprintf("%s-%s-%s-%s", number[:4], number[4:8], number[8:12], number[12:]),
		fmt.Sprintf("%s %s %s %s", number[:4], number[4:8], number[8:12], number[12:]),
		strings.Join(strings.Split(number, ""), " "),
	}
}

// A Spelling is a way to write digits, and its name.
type Spelling struct{ Name, Text string }

// Spellings returns the ways in which the digits of a number or of a CVV may be written.
func Spellings(digits string) []Spelling {
	single := strings.Split(digits, "")
	halves := digits[:len(digits)/2] + "-" + digits[len(digits)/2:]
	n, _ := strconv.ParseUint(digits, 10, 64)
	from := func(zero rune) string {
		return strings.Map(func(r rune) rune { return r - '0' + zero }, digits)
	}
	all := []Spelling{
		{"plain", digits},
		{"leading zeros", "000" + digits},
		{"dashes", halves},
		{"spaces", strings.Join(single, " ")},
		{"letters", strings.Join(single, "x")},
		{"words", strings.Join(single, " and ")},
		{"lines", strings.Join(single, "\n")},
		{"no-break spaces", strings.Join(single, "\u00a0")},
		{"list", "[" + strings.Join(single, ", ") + "]"},
		{"full width", from('０')},
		{"Arabic", from('٠')},
		{"mathematical", from('𝟎')},
		{"hexadecimal", fmt.Sprintf("%#x", n)},
		{"hexadecimal without prefix", fmt.Sprintf("%X", n)},
		{"bytes", hex.EncodeToString([]byte(digits))},
		{"bytes of halves", hex.EncodeToString([]byte(halves))},
		{"bytes with colons", each("%02X:", halves)},
		{"escaped in a string", each(`\x%02x`, halves)},
		{"escaped in JSON", each(`\u%04x`, halves)},
		{"octal", each(`\%03o`, halves)},
		{"percent-encoded", each("%%%02X", halves)},
		{"HTML", each("&#%d;", halves)},
		{"HTML, hexadecimal", each("&#x%x;", halves)},
		{"decimal codes", each("%d", digits)},
		{"array of bytes", fmt.Sprintf("%d", []byte(halves))},
		{"base64", base64.StdEncoding.EncodeToString([]byte(digits))},
		{"base64 of halves", base64.RawURLEncoding.EncodeToString([]byte(halves))},
		{"base64 of JSON", base64.StdEncoding.EncodeToString([]byte(`{"x":"` + digits + `"}`))},
		{"base64 twice", base64.RawURLEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(digits))))},
		{"base64 of bytes", base64.RawURLEncoding.EncodeToString([]byte(hex.EncodeToString([]byte(digits))))},
		{"bytes of base64", hex.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(digits))))},
		{"base32", base32.StdEncoding.EncodeToString([]byte(digits))},
		{"base32 in lower case, without padding", strings.TrimRight(strings.ToLower(base32.StdEncoding.EncodeToString([]byte(digits))), "=")},
	}
	if len(digits) > 4 { // a CVV from its end is another CVV
		backwards := []byte(digits)
		slices.Reverse(backwards)
		all = append(all, Spelling{"reversed", string(backwards)}, Spelling{"reversed, base64", base64.RawURLEncoding.EncodeToString(backwards)})
	}
	return all
}

// Obscure returns some of the endlessly many other ways, which are recognized in no text.
func Obscure(digits string) []Spelling {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, digits) // a buffer takes everything
	_ = w.Close()                    // likewise
	return []Spelling{
		{"Han", strings.Map(func(r rune) rune { return []rune("〇一二三四五六七八九")[r-'0'] }, digits)},
		{"gzip", zipped.String()},
		{"gzip, base64", base64.RawURLEncoding.EncodeToString(zipped.Bytes())},
		{"other letters", strings.Map(func(r rune) rune { return r - '0' + 'a' }, digits)},
	}
}

// each is text with every byte written by format.
func each(format, text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// Find returns the names of the spellings of a card's number that are in text, as they are or as JSON escapes them.
func Find(text, number string) (found []string) {
	compact := strings.NewReplacer(" ", "", "-", "", "\n", "", "\u00a0", "").Replace(text)
	if strings.Contains(compact, number) {
		found = append(found, "digits")
	}
	for _, s := range Spellings(number) {
		escaped, _ := json.Marshal(s.Text)
		if strings.Contains(text, s.Text) || strings.Contains(text, strings.Trim(string(escaped), `"`)) {
			found = append(found, s.Name)
		}
	}
	return found
}

// FindCVV returns where one of some CVVs stands in text as a number of its own. Times, addresses and ids have such digits, too; they
// are recognized by the text beside them.
func FindCVV(text string, cvvs ...string) (found []string) {
	alone := regexp.MustCompile(`(?:^|":|[^0-9A-Za-z.:-])0*(?:` + strings.Join(cvvs, "|") + `)(?:$|[^0-9A-Za-z.:-])`)
	for _, at := range alone.FindAllStringIndex(text, -1) {
		found = append(found, text[max(0, at[0]-20):min(len(text), at[1]+20)])
	}
	return found
}
