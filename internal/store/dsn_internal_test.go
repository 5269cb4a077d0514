package store

import (
	"strings"
	"testing"

	"github.com/lib/pq"
)

func TestAURLNamesOneHostOrSeveral(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct {
		addresses, user, password, database string
		attrs                               pq.TargetSessionAttrs
	}{
		"postgres://u:p@h/db":                                        {"h:5432", "u", "p", "db", ""},
		"postgres://u:p@h:5433/db":                                   {"h:5433", "u", "p", "db", ""},
		"postgres://u:p@h1:1,h2:2/db":                                {"h1:1,h2:2", "u", "p", "db", "read-write"},
		"postgres://u:p@h1,h2:2,h3/db":                               {"h1:5432,h2:2,h3:5432", "u", "p", "db", "read-write"},
		"postgres://u:p@h1,h2/db?target_session_attrs=any":           {"h1:5432,h2:5432", "u", "p", "db", "any"},
		"postgres://u:p@[::1]:1,[fe80::1]/db":                        {"[::1]:1,[fe80::1]:5432", "u", "p", "db", "read-write"},
		"postgres://u:p@/db?host=h1,h2&port=1,2":                     {"h1:1,h2:2", "u", "p", "db", "read-write"},
		"postgres://u:p@%2Fvar%2Frun/db":                             {"/var/run:5432", "u", "p", "db", ""},
		"postgres://u:p%40%2F%3F%23%25'%5C%5C%20+@h/db":              {"h:5432", "u", `p@/?#%'\\ +`, "db", ""},
		"postgres://u:p@ss@h/db":                                     {"h:5432", "u", "p@ss", "db", ""},
		"postgres://h/db?user=u&password=p":                          {"h:5432", "u", "p", "db", ""},
		"postgres://u@h/a%20db?sslmode=disable&statement_timeout=5s": {"h:5432", "u", "", "a db", ""},
	} {
		config, err := postgresConfig(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if addresses(config) != want.addresses || config.User != want.user || config.Password != want.password ||
			config.Database != want.database || config.TargetSessionAttrs != want.attrs {
			t.Errorf("%s is user %q, password %q, database %q on %s, attributes %q; want %+v", url,
				config.User, config.Password, config.Database, addresses(config), config.TargetSessionAttrs, want)
		}
	}
}

// TestNoErrorOfAURLRepeatsThePassword has the password where it does not belong, because a character in it was not encoded.
func TestNoErrorOfAURLRepeatsThePassword(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, url := range []string{
		"postgres://u:/" + secret + "@h/db",
		"postgres://u:?" + secret + "@h/db",
		"postgres://u:#" + secret + "@h/db",
		"postgres://u:%" + secret + "@h/db",
		"postgres://u:%zz" + secret + "@h/db",
		"postgres://u:" + secret + "/@h/db",
		"postgres://u:" + secret + "?@h/db",
		"postgres://u:" + secret + "#@h/db",
		"postgres://u:" + secret + "\x7f@h/db",
		"postgres://u:" + secret + "\n@h/db",
		"postgres://u:" + secret + "<>@h/db",
		"postgres://u:" + secret + "@h:port/db",
		"postgres://u:" + secret + "@h:0/db",
		"postgres://u:" + secret + "@h:70000/db",
		"postgres://u:" + secret + "@h1,,h3/db",
		"postgres://u:" + secret + "@[::1/db",
		"postgres://u:" + secret + "@h%zz/db",
		"postgres://u:" + secret + "@h/db#fragment",
		"postgres://u:" + secret + "@h/db?sslmode=none",
		"postgres://u:12/" + secret + "@h/db",
		"postgres://u:12?sslmode=" + secret + "@h/db",
		"postgres://u:12?sslmode=" + secret,
		"postgres://u:12?port=" + secret,
		"postgres://h/db?password=" + secret + "&connect_timeout=soon",
		"postgres://h/db?" + secret + "=1&connect_timeout=soon",
		"postgres://h/db?password=" + secret + "&client_encoding=LATIN1",
		"postgres://u:" + secret,
		"postgres://u:" + secret + "/db",
	} {
		if _, err := postgresConfig(url); err == nil {
			t.Errorf("%q is understood", url)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error of %q repeats the password: %v", url, err)
		}
		if name := DatabaseName(url); strings.Contains(name, secret) {
			t.Errorf("the name of %q repeats the password: %s", url, name)
		}
	}
}

func FuzzURL(f *testing.F) {
	const secret = "s3cr3t"
	for _, seed := range [][3]string{
		{"u:", "", "h/db"}, {"u:/", "#", "h1:1,h2:2/db?sslmode=disable"}, {"u:%", "?", "[::1]:1/db"}, {"", ":x", "h/db?port=x"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, before, after, rest string) {
		if strings.Contains(before+after+rest, secret) || strings.ContainsAny(before, "@") {
			t.Skip()
		}
		url := "postgres://" + before + secret + after + "@" + rest
		if _, err := postgresConfig(url); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error of %q repeats the password: %v", url, err)
		}
		if name := DatabaseName(url); strings.Contains(name, secret) {
			t.Errorf("the name of %q repeats the password: %s", url, name)
		}
	})
}

// TestAnEnvironmentVariableThatIsRefusedIsNamed is not parallel, as the environment is the process's.
func TestAnEnvironmentVariableThatIsRefusedIsNamed(t *testing.T) {
	for variable, value := range map[string]string{
		"PGSSLCRL":           "/etc/crl.pem",
		"PGREQUIREPEER":      "postgres",
		"PGGSSENCMODE":       "disable",
		"PGCHANNELBINDING":   "require",
		"PGCLIENTENCODING":   "LATIN1",
		"PGDATESTYLE":        "German",
		"PGSSLMODE":          "on",
		"PGPORT":             "tcp://10.96.1.7:5432",
		"PGCONNECT_TIMEOUT":  "soon",
		"PGLOADBALANCEHOSTS": "yes",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			t.Setenv("PGPASSWORD", "s3cr3t")
			_, err := postgresConfig("postgres://u:s3cr3t@h/db")
			if err == nil || !strings.Contains(err.Error(), variable) || !strings.Contains(err.Error(), "environment variable") || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s=%s: %v, want an error that names it", variable, value, err)
			}
		})
	}
}
