package store

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sorted are the columns of a list, in the order of the alphabet.
func sorted(columns string) []string {
	names := strings.Split(columns, ", ")
	slices.Sort(names)
	return names
}

// TestEverythingOfARecordIsCopied fails when a table or a column is added that Copy does not know.
func TestEverythingOfARecordIsCopied(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `
		SELECT m.name, group_concat(c.name, ', ') FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' GROUP BY m.name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	is := map[string][]string{}
	for rows.Next() {
		var table, columns string
		if err := rows.Scan(&table, &columns); err != nil {
			t.Fatal(err)
		}
		is[table] = sorted(columns)
	}
	does := map[string][]string{}
	for table, columns := range copied() {
		does[table] = sorted(columns)
	}
	if diff := cmp.Diff(is, does); diff != "" || rows.Err() != nil {
		t.Errorf("tables (-is +copied): %v\n%s", rows.Err(), diff)
	}
}
