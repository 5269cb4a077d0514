package serve

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"checkout/internal/env"
	"checkout/internal/redact"
	"checkout/internal/store"
)

// database is a path, a URL of PostgreSQL or memory. Set takes anything, because the error that package flag makes of a
// refusal repeats the value, and with it the password: locate checks it. A URL is shown without what may be secret in it.
type database struct{ p *string }

func (v database) Set(s string) error { *v.p = env.Clean(s); return nil }

func (v database) String() string {
	s := deref(v.p)
	if isURL(s) {
		return store.DatabaseName(s)
	}
	return s
}

// isURL reports whether the record lies in a database of PostgreSQL.
func isURL(db string) bool { return strings.HasPrefix(db, "postgres://") }

// locate is where the record lies according to db, written in one way: a path, "memory", or a URL that begins with
// postgres://. Its error shows the scheme alone.
func locate(db string) (string, error) {
	scheme, rest := cutScheme(db)
	var err error
	switch kind := strings.ToLower(scheme); {
	case scheme == "" && isDSN(db):
		err = errors.New("neither a path nor a URL; write postgres://user:password@host:5432/name")
	case strings.EqualFold(db, "memory"), db == ":memory:":
		return "memory", nil
	case scheme == "" && redact.URL(db) != db:
		err = errors.New("contains a password but no scheme; write postgres://user:password@host:5432/name, or a path without @")
	case scheme == "":
		return db, nil
	case kind == "postgres" || kind == "postgresql":
		if strings.HasPrefix(rest, "//") {
			return "postgres:" + rest, nil
		}
		err = errors.New("not a URL of PostgreSQL; write postgres://user:password@host:5432/name")
	case kind == "sqlite" || kind == "sqlite3" || kind == "file":
		path := strings.TrimPrefix(rest, "//")
		switch {
		case path == ":memory:":
			return "memory", nil
		case path != "" && !strings.Contains(path, "?"):
			return filepath.Clean(path), nil
		}
		err = errors.New("no path follows the scheme, or parameters follow the path; use a file path")
	default:
		err = fmt.Errorf("unsupported scheme %q; use a file path, postgres://user:password@host:5432/name, or memory", scheme)
	}
	return "", fmt.Errorf("CHECKOUT_DB=%q: %w", strings.TrimPrefix(scheme+":…", ":"), err)
}

// cutScheme cuts db at its first colon, unless that may belong to a path: ./orders:1.db has no scheme.
func cutScheme(db string) (scheme, rest string) {
	colon := strings.IndexByte(db, ':')
	if colon < 1 || strings.ContainsAny(db[:colon], `/\`) {
		return "", db
	}
	scheme, rest = db[:colon], db[colon+1:]
	if strings.EqualFold(scheme, "jdbc") { // it is followed by that of the database
		if of, after, ok := strings.Cut(rest, ":"); ok && !strings.ContainsAny(of, "/@") {
			return scheme + ":" + of, after
		}
	}
	return scheme, rest
}

// isDSN reports whether db is a connection string such as "host=db user=checkout".
func isDSN(db string) bool {
	for word := range strings.FieldsSeq(db) {
		if key, _, ok := strings.Cut(word, "="); ok && slices.Contains([]string{"host", "user", "password", "dbname"}, key) {
			return true
		}
	}
	return false
}
