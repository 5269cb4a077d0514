// Package redact hides what must not be shown or logged: passwords in URLs and errors, card numbers and e-mail addresses in
// texts.
package redact

import "strings"

const hidden = "…"

// URL returns value without the user information and the query of the URL that it is, or was meant to be: it need not be
// well-formed. As a password may hold any character, all goes that stands before the last @.
func URL(value string) string {
	start := 0
	if i := strings.Index(value, "://"); i >= 0 {
		start = i + len("://")
	}
	if at := strings.LastIndexByte(value, '@'); at >= start && (start > 0 || strings.Contains(value[:at], ":")) {
		value = value[:start] + hidden + value[at:]
	}
	value = hidePort(value, start)
	if query := strings.IndexByte(value, '?'); query > start && start > 0 {
		value = value[:query+1] + hidden
	}
	return value
}

// hidePort hides what stands in the place of a URL's port and is no number: a password whose @ was forgotten.
func hidePort(value string, start int) string {
	if start == 0 {
		return value
	}
	authority, after := value[start:], ""
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority, after = authority[:end], authority[end:]
	}
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.Trim(authority[colon+1:], "0123456789") == "" || strings.HasSuffix(authority, "]") {
		return value
	}
	return value[:start] + authority[:colon+1] + hidden + after
}

// Error returns err with the URLs redacted that it quotes, as %q does.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return redacted{err}
}

type redacted struct{ error }

func (r redacted) Unwrap() error { return r.error }

func (r redacted) Error() string {
	var b strings.Builder
	for rest := r.error.Error(); rest != ""; {
		before, after, found := strings.Cut(rest, `"`)
		b.WriteString(before)
		if !found {
			break
		}
		end := 0
		for end < len(after) && after[end] != '"' {
			if after[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(after))
		b.WriteString(`"` + URL(after[:end]))
		if rest = after[end:]; rest != "" {
			b.WriteString(`"`)
			rest = rest[1:]
		}
	}
	return b.String()
}
