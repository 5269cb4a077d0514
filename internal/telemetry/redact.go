package telemetry

import (
	"strings"
	"unicode"
)

const hidden = "***"

// redact hides what looks like a card number or an e-mail address in text that others have a hand in: what neighbours
// answer, what callers send. Types that cannot be printed are the first line of defence; this is the last.
func redact(s string) string {
	return redactCards(redactEmails(s))
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
		if i := strings.IndexByte(word, '@'); i > 0 && i < len(word)-1 {
			word = hidden
		}
		b.WriteString(word)
		rest := strings.TrimLeftFunc(s[end:], delimits)
		b.WriteString(s[end : len(s)-len(rest)])
		s = rest
	}
	return b.String()
}

func delimits(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`"'<>(){}[],;:=|/\`, r)
}

// group is a run of digits, s[start:end].
type group struct{ start, end int }

// redactCards hides every 13 to 19 digits with a right check digit (ISO/IEC 7812-1), written in one or in groups.
func redactCards(s string) string {
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

func digitGroups(s string) []group {
	var groups []group
	for i := 0; i < len(s); i++ {
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
		if len(digits) > 19 {
			break
		}
		if len(digits) >= 13 && luhn(digits) {
			longest = n + 1
		}
	}
	return longest
}

// spacing tells whether people write s between the digits of a card.
func spacing(s string) bool {
	return len(s) <= 4 && strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || r == '.' || r == '_' || r == '/'
	}) == ""
}

func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
