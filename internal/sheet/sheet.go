// Package sheet makes text from outside safe for spreadsheets.
package sheet

import "strings"

// Text returns what a cell of a CSV file has to hold so that no spreadsheet takes text for a formula.
func Text(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
