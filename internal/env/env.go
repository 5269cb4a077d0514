// Package env cleans the values of environment variables. Files of variables, unlike a shell, leave blanks and quotes around
// them.
package env

import "strings"

// Clean is a value without what files of environment variables leave around it: blanks, line ends, and a pair of quotes.
func Clean(s string) string {
	s = strings.TrimSpace(s)
	if last := len(s) - 1; last > 0 && s[0] == s[last] && (s[0] == '"' || s[0] == '\'') {
		s = strings.TrimSpace(s[1:last])
	}
	return s
}
