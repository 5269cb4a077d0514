package redact

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"checkout/internal/creditcard"
)

const masked = "***"

// maxText is how many bytes of a text are shown: a database's error may have 4 MiB.
const maxText = 16 << 10

// Text returns text with everything masked that looks like a card number or an e-mail address, for text that services
// answer and callers send. It is the last line of defence, after types that cannot be printed. The rest stays readable,
// unlike what the payment gateway masks. Invalid UTF-8 is replaced: it would make an exporter drop a whole batch. What is too long
// is cut.
func Text(text string) string {
	text = maskWords(strings.ToValidUTF8(text, "\uFFFD"), func(word, plain string) bool {
		return isEmail(plain) || plain != word && HasCard(plain)
	})
	ascii := creditcard.ASCIIDigits(text)
	if without := withoutCards(ascii); without != ascii {
		text = without
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// HasCard reports whether text contains what Text masks as a card number.
func HasCard(text string) bool {
	ascii := creditcard.ASCIIDigits(text)
	return withoutCards(ascii) != ascii
}

// Emails returns s with every word masked that is an e-mail address, percent-encoded or not.
func Emails(s string) string {
	return maskWords(s, func(_, plain string) bool { return isEmail(plain) })
}

// AtSigns are the characters that stand between the name and the domain of an e-mail address.
const AtSigns = "@＠﹫"

// Decoded is text without percent-encoding, even if it was encoded up to three times. What is no encoding stays.
func Decoded(text string) string {
	for n := 0; n < 3 && strings.Contains(text, "%"); n++ {
		parts := strings.Split(text, "%")
		for i, part := range parts[1:] {
			plain, err := url.PathUnescape("%" + part[:min(2, len(part))])
			if err != nil {
				plain, part = "%", "  "+part
			}
			parts[i+1] = plain + part[min(2, len(part)):]
		}
		text = strings.Join(parts, "")
	}
	return text
}

// maskWords returns s with every word masked that is private, as it is written or decoded.
func maskWords(s string, private func(word, plain string) bool) string {
	if !strings.ContainsAny(s, AtSigns+"%") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexFunc(s, delimits)
		if end < 0 {
			end = len(s)
		}
		word := s[:end]
		if private(word, Decoded(word)) {
			word = masked
		}
		b.WriteString(word)
		rest := strings.TrimLeftFunc(s[end:], delimits)
		b.WriteString(s[end : len(s)-len(rest)])
		s = rest
	}
	return b.String()
}

// isEmail reports whether word has a name, an at sign and a domain. The last label of a domain does not begin with a digit (RFC 3696,
// §2), as the version of a Go module does.
func isEmail(word string) bool {
	at := strings.IndexAny(word, AtSigns)
	if at <= 0 {
		return false
	}
	_, size := utf8.DecodeRuneInString(word[at:])
	domain := strings.TrimRight(word[at+size:], ".")
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	return last != "" && !isDigit(last[0])
}

func delimits(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`"'<>(){}[],;:=|/\`, r)
}

// group is a run of digits, s[start:end].
type group struct{ start, end int }

// withoutCards masks the digits of every card number, written in one or in groups. The digits of a UUID are none: one in a
// hundred would be masked, and orders, parcels and charges have UUIDs.
func withoutCards(s string) string {
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

// enoughDigits reports whether there are as many digits in s as a card number has. Nearly all texts have fewer.
func enoughDigits(s string) bool {
	if len(s) < creditcard.MinDigits {
		return false
	}
	n := 0
	for i := range len(s) {
		if isDigit(s[i]) {
			n++
		}
	}
	return n >= creditcard.MinDigits
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
		if len(digits) > creditcard.MaxDigits {
			break
		}
		if creditcard.ValidNumber(digits) {
			longest = n + 1
		}
	}
	return longest
}

// spacing reports whether people write s between the digits of a card: spaces, dashes, invisible marks.
func spacing(s string) bool {
	return utf8.RuneCountInString(s) <= 3 && strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf) || strings.ContainsRune("._/\u2212", r)
	}) == ""
}

const uuidLength = 36

// startsUUID reports whether a UUID starts in s at i, and is no part of something longer.
func startsUUID(s string, i int) bool {
	end := i + uuidLength
	if end > len(s) || i > 0 && isHex(s[i-1]) || end < len(s) && isHex(s[end]) {
		return false
	}
	return s[i+8] == '-' && uuid.Validate(s[i:end]) == nil
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
