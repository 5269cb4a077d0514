package telemetry

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"checkout/internal/creditcard"
)

const hidden = "***"

// redact hides what looks like a card number or an e-mail address in text that others have a hand in: what neighbours
// answer, what callers send. Types that cannot be printed are the first line of defence; this is the last.
//
// Unlike the payment gateway, which hides every digit beside a card, it leaves all else as it was: what it is applied to
// is there to be read. What is no UTF-8 is made so: it would cost the whole batch that it travels in.
func redact(s string) string {
	s = redactEmails(strings.ToValidUTF8(s, "\uFFFD"))
	if plain := creditcard.ASCIIDigits(s); plain != s {
		if redacted := redactCards(plain); redacted != plain {
			return redacted
		}
		return s
	}
	return redactCards(s)
}

// redactEmails hides every word with an @ inside it.
func redactEmails(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexFunc(s, delimits)
		if end < 0 {
			end = len(s)
		}
		word := s[:end]
		if isEmail(word) {
			word = hidden
		}
		b.WriteString(word)
		rest := strings.TrimLeftFunc(s[end:], delimits)
		b.WriteString(s[end : len(s)-len(rest)])
		s = rest
	}
	return b.String()
}

// isEmail tells whether word has an @ inside it, and then a domain. Its last label does not begin with a digit
// (RFC 3696, §2), as the version of a module does.
func isEmail(word string) bool {
	name, domain, _ := strings.Cut(word, "@")
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	return name != "" && last != "" && !isDigit(last[0])
}

func delimits(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`"'<>(){}[],;:=|/\`, r)
}

// A card number has as many digits as order accepts.
const (
	minDigits = 12
	maxDigits = 19
)

// group is a run of digits, s[start:end].
type group struct{ start, end int }

// redactCards hides every 12 to 19 digits with a right check digit (ISO/IEC 7812-1), written in one or in groups. The
// digits of a UUID are none: one in a hundred would be hidden, and orders, parcels and charges are named by them.
func redactCards(s string) string {
	if !enoughDigits(s) {
		return s
	}
	groups := digitGroups(s)
	var b []byte
	for i := 0; i < len(groups); i++ {
		n := cardAt(s, groups[i:])
		if n == 0 {
			continue
		}
		if b == nil {
			b = []byte(s)
		}
		for _, g := range groups[i : i+n] {
			for j := g.start; j < g.end; j++ {
				b[j] = '*'
			}
		}
		i += n - 1
	}
	if b == nil {
		return s
	}
	return string(b)
}

// enoughDigits tells whether there are as many digits in s as a card number has. Nearly all that is told has fewer.
func enoughDigits(s string) bool {
	if len(s) < minDigits {
		return false
	}
	n := 0
	for i := range len(s) {
		if isDigit(s[i]) {
			n++
		}
	}
	return n >= minDigits
}

func digitGroups(s string) []group {
	var groups []group
	for i := 0; i < len(s); i++ {
		if startsUUID(s, i) {
			i += uuidLength - 1
			continue
		}
		if !isDigit(s[i]) {
			continue
		}
		start := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		groups = append(groups, group{start, i})
	}
	return groups
}

// cardAt is how many of the groups make up the longest card number that begins with the first; 0 when none does.
func cardAt(s string, groups []group) int {
	longest := 0
	var digits []byte
	for n, g := range groups {
		if n > 0 && !spacing(s[groups[n-1].end:g.start]) {
			break
		}
		digits = append(digits, s[g.start:g.end]...)
		if len(digits) > maxDigits {
			break
		}
		if creditcard.ValidNumber(digits) {
			longest = n + 1
		}
	}
	return longest
}

// spacing tells whether people write s between the digits of a card: spaces, dashes, marks that are not seen.
func spacing(s string) bool {
	return utf8.RuneCountInString(s) <= 3 && strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf) || strings.ContainsRune("._/\u2212", r)
	}) == ""
}

const uuidLength = 36

// startsUUID tells whether a UUID (RFC 9562) stands in s at i, and is no part of something longer.
func startsUUID(s string, i int) bool {
	end := i + uuidLength
	if end > len(s) || i > 0 && isHex(s[i-1]) || end < len(s) && isHex(s[end]) {
		return false
	}
	for j := range uuidLength {
		switch c := s[i+j]; j {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHex(c) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
