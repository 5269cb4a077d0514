package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"checkout/internal/store"
	"checkout/internal/test/pgtest"
)

func TestTheDatabaseOfAnotherProgramIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"a table":                  "CREATE TABLE cookies (name TEXT)",
		"a view":                   "CREATE VIEW one AS SELECT 1",
		"a table orders":           "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT)",
		"a version, and no table":  "PRAGMA user_version = 3",
		"a version, like ours":     "PRAGMA user_version = 6; CREATE TABLE orders (id TEXT, state INTEGER)",
		"a version above ours":     "PRAGMA user_version = 99; CREATE TABLE cookies (name TEXT)",
		"an application's id":      "PRAGMA application_id = 7",
		"a setting that we change": "PRAGMA auto_vacuum = FULL; CREATE TABLE cookies (name TEXT)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "theirs.db")
			inFile(t, path, schema)
			before := content(t, path)
			s, err := store.Open(path)
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another program's database") || !strings.Contains(err.Error(), "a file that does not exist yet") {
				t.Errorf("opened with error %v, want that it is another program's, and what to do", err)
			}
			if !bytes.Equal(content(t, path), before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestTablesOfAnotherProgramBesideOursAreLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	for range 2 {
		s, err := store.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		inFile(t, path, "CREATE TABLE IF NOT EXISTS of_a_backup_tool (id INTEGER)")
	}
}

func TestAnotherProgramsTableOfOrdersInPostgreSQLIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Fresh(t)
	execute(t, url, "CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT)")
	s, err := store.OpenPostgres(context.Background(), url)
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "another program's table orders") {
		t.Errorf("opened with error %v, want that the table is another program's", err)
	}
}

func inFile(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
