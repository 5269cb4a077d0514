package store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// postgresURL is a URL such as postgres://user:password@host:5432,host2:5432/name?sslmode=verify-full, taken apart. Its
// errors quote nothing of it: what looks like a host or a port may be the end of a password.
type postgresURL struct {
	*url.URL

	hosts, ports []string
}

func parseURL(text string) (postgresURL, error) {
	_, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(tail, "@") {
		return postgresURL{}, errors.New(`there is an "@" after the host; in a user name or password write "/" as %2F, "?" as %3F and "#" as %23, elsewhere "@" as %40`)
	}
	at := strings.LastIndexByte(authority, '@') + 1
	u, err := url.Parse("postgres://" + authority[:at] + "host" + tail)
	if err != nil || u.Fragment != "" {
		return postgresURL{}, errors.New(`the URL cannot be parsed; special characters must be percent-encoded, such as "%" as %25`)
	}
	parsed := postgresURL{URL: u}
	if authority[at:] == "" { // then the environment says where the database is
		return parsed, nil
	}
	for i, host := range strings.Split(authority[at:], ",") {
		port := "5432"
		if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
			host, port = host[:colon], host[colon+1:]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return postgresURL{}, fmt.Errorf("the port of host %d is not a number from 1 to 65535; in a password write \"/\" as %%2F and \":\" as %%3A", i+1)
		}
		closed := strings.HasPrefix(host, "[") == strings.HasSuffix(host, "]")
		host, err := url.PathUnescape(strings.Trim(host, "[]"))
		if err != nil || host == "" || !closed {
			return postgresURL{}, fmt.Errorf("host %d has no name or address", i+1)
		}
		parsed.hosts, parsed.ports = append(parsed.hosts, host), append(parsed.ports, port)
	}
	return parsed, nil
}

// dsn is the URL as lib/pq takes it, whose own parser knows one host only.
func (u postgresURL) dsn() string {
	var dsn strings.Builder
	set := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&dsn, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
		}
	}
	password, _ := u.User.Password()
	set("user", u.User.Username())
	set("password", password)
	set("host", strings.Join(u.hosts, ","))
	set("port", strings.Join(u.ports, ","))
	set("dbname", strings.TrimPrefix(u.Path, "/"))
	for key, values := range u.Query() {
		set(key, values[0])
	}
	return dsn.String()
}

// postgresConfig is how to connect to the database that a URL names. Its errors do not repeat the password.
func postgresConfig(text string) (pq.Config, error) {
	u, err := parseURL(text)
	if err != nil {
		return pq.Config{}, err
	}
	config, err := pq.NewConfig(u.dsn())
	if err != nil {
		return pq.Config{}, blame(u, err)
	}
	if config.SSLMode == "" {
		config.SSLMode = pq.SSLModeRequire
	}
	if config.TargetSessionAttrs == "" && len(config.Multi) > 0 {
		config.TargetSessionAttrs = pq.TargetSessionAttrsReadWrite // a standby is of no use here
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectPatience
	}
	if config.ApplicationName == "" {
		config.ApplicationName = "checkout"
	}
	// No statement is prepared: each is sent whole, with its parameters, so that it does not matter which of its
	// connections a pooler such as PgBouncer carries it out on.
	config.BinaryParameters = true
	return config, nil
}

// blame names the setting that the driver has refused: an environment variable, with its value, or a parameter of the
// URL, without.
func blame(u postgresURL, err error) error {
	if _, err := pq.NewConfig(""); err != nil {
		text := strings.NewReplacer("pq: ", "", "$PG", "PG", "client_encoding", "PGCLIENTENCODING", "datestyle", "PGDATESTYLE").Replace(err.Error())
		return fmt.Errorf("%s; change or unset the environment variable", text)
	}
	for key := range u.Query() {
		if said := err.Error(); strings.Contains(said, "wrong value for "+strconv.Quote(key)) || strings.Contains(said, "unsupported "+key) {
			return fmt.Errorf("the value of the parameter %q of the URL is not supported", key)
		}
	}
	return errors.New("the URL cannot be used; write postgres://user:password@host:5432/name")
}

// addresses are where the database is looked for.
func addresses(config pq.Config) string {
	list := []string{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	for _, host := range config.Multi {
		list = append(list, net.JoinHostPort(host.Host, strconv.Itoa(int(host.Port))))
	}
	return strings.Join(list, ",")
}

// DatabaseName is the URL of a PostgreSQL database without its user, password and parameters, fit to be shown.
func DatabaseName(text string) string {
	u, err := parseURL(text)
	if err != nil {
		return "postgres://…"
	}
	var hosts []string
	for i, host := range u.hosts {
		hosts = append(hosts, net.JoinHostPort(host, u.ports[i]))
	}
	return (&url.URL{Scheme: "postgres", Host: strings.Join(hosts, ","), Path: u.Path}).String()
}
