package serve

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"checkout/internal/env"
)

// The kinds of settings. Each says what is wrong with a value; the caller says of which setting.

// unusable is an error of Set that does not end the start: the default holds, and the log warns.
type unusable struct{ error }

type text struct{ p *string }

func (v text) Set(s string) error { *v.p = s; return nil }
func (v text) String() string     { return deref(v.p) }

type choice struct {
	p  *string
	of []string
}

func (v choice) String() string { return deref(v.p) }
func (v choice) Set(s string) error {
	for _, known := range v.of {
		if strings.EqualFold(s, known) {
			*v.p = known
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(v.of, ", "))
}

// preference is a choice that nothing depends on: an unknown value is not worth a service that does not start.
type preference struct{ choice }

func (v preference) Set(s string) error {
	if err := v.choice.Set(s); err != nil {
		return unusable{err}
	}
	return nil
}

// names are separated by commas.
type names struct{ p *[]string }

func (v names) String() string { return strings.Join(deref(v.p), ",") }
func (v names) Set(s string) error {
	*v.p = nil
	for name := range strings.SplitSeq(s, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
			continue
		case strings.ContainsFunc(name, unicode.IsSpace):
			return fmt.Errorf("%q is no name; separate names by commas", name)
		}
		*v.p = append(*v.p, name)
	}
	if *v.p == nil {
		return errors.New("contains no name")
	}
	return nil
}

type boolean struct{ p *bool }

// Type and IsBoolFlag make it a flag that needs no value.
func (v boolean) Type() string { return "bool" }

// IsBoolFlag implements the interface of package flag.
func (v boolean) IsBoolFlag() bool { return true }
func (v boolean) String() string   { return strconv.FormatBool(deref(v.p)) }
func (v boolean) Set(s string) error {
	on, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		return errors.New("must be true or false")
	}
	*v.p = on
	return nil
}

// target is a gRPC service: host:port, or a target of gRPC's naming with one of the resolvers that take such an address;
// https:// in front of it means TLS.
type target struct{ p *string }

func (v target) String() string { return deref(v.p) }
func (v target) Set(s string) error {
	s = strings.TrimPrefix(s, "http://")
	*v.p = s
	s = strings.TrimPrefix(s, "https://")
	for _, resolver := range []string{"dns://", "passthrough://"} {
		if rest, ok := strings.CutPrefix(s, resolver); ok {
			_, s, _ = strings.Cut(rest, "/") // before it stands the name server to ask, or nothing
			break
		}
	}
	return checkAddress(s)
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isHost(host) {
		return errors.New("must be host:port, such as cart:8080")
	}
	if !isPort(port, 1) {
		return errors.New("must have a port between 1 and 65535")
	}
	return nil
}

// isHost reports whether s has only characters of names and addresses: no variable that was not replaced, and no URL.
func isHost(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !isWord(r) && r != ':' && r != '%' })
}

func isPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}

// isWord reports whether r may be in the name of a host or a topic.
func isWord(r rune) bool {
	return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-._", r))
}

type host struct{ p *string }

func (v host) String() string { return deref(v.p) }
func (v host) Set(s string) error {
	if s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"); !isHost(s) {
		return errors.New("must be a host without a port, such as 127.0.0.1")
	}
	*v.p = s
	return nil
}

type topic struct{ p *string }

func (v topic) String() string { return deref(v.p) }
func (v topic) Set(s string) error {
	const longest = 249 // in Kafka
	if s == "" || len(s) > longest || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return !isWord(r) }) {
		return fmt.Errorf("must be 1 to %d letters, digits, dots, dashes and underscores, such as orders", longest)
	}
	*v.p = s
	return nil
}

type listen struct{ p *string }

func (v listen) String() string { return deref(v.p) }
func (v listen) Set(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isHost(host) {
		return errors.New("must be host:port: localhost:5051 for this machine alone, 0.0.0.0:5051 for all interfaces")
	}
	if !isPort(port, 0) {
		return errors.New("must have a port between 0 and 65535")
	}
	*v.p = s
	return nil
}

type addresses struct{ p *[]string }

func (v addresses) String() string { return strings.Join(deref(v.p), ",") }
func (v addresses) Set(s string) error {
	var list []string
	for one := range strings.SplitSeq(s, ",") {
		if one = env.Clean(one); one == "" {
			continue // as after a comma at the end
		}
		if err := checkAddress(one); err != nil {
			return fmt.Errorf("%q %w", one, err)
		}
		list = append(list, one)
	}
	if list == nil {
		return errors.New("must be host:port,…, such as kafka:9092")
	}
	*v.p = list
	return nil
}

type base struct {
	p       *string
	example string
}

func (v base) String() string { return deref(v.p) }
func (v base) Set(s string) error {
	if !strings.Contains(s, "://") {
		if strings.Contains(s, ":/") { // https:/host would be the host https
			return errors.New("must be host:port or a URL, such as " + v.example)
		}
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("must be host:port or a URL, such as " + v.example)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be http:// or https://")
	case !isHost(u.Hostname()) || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("must be scheme://host:port without more, such as " + v.example)
	case u.Port() != "" && !isPort(u.Port(), 1):
		return errors.New("must have a port between 1 and 65535")
	}
	*v.p = strings.TrimRight(s, "/")
	return nil
}

type duration struct {
	p        *time.Duration
	min, max time.Duration
}

func (v duration) String() string { return deref(v.p).String() }

// Type is what help calls it.
func (v duration) Type() string { return "duration" }

func (v duration) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < v.min || d > v.max {
		return fmt.Errorf(`must be a duration between %v and %v, such as "2s" or "250ms"`, v.min, v.max)
	}
	*v.p = d
	return nil
}

// days is a duration of at least a day, such as 7d or 168h.
type days struct{ duration }

func (v days) String() string { return strconv.FormatFloat(deref(v.p).Hours()/24, 'f', -1, 64) + "d" }

func (v days) Set(s string) error {
	if n, err := strconv.ParseUint(strings.TrimSuffix(s, "d"), 10, 16); err == nil && strings.HasSuffix(s, "d") {
		s = fmt.Sprintf("%dh", n*24)
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < v.min || d > v.max {
		return fmt.Errorf("must be a duration between %.0fd and %.0fd, such as 7d or 168h", v.min.Hours()/24, v.max.Hours()/24)
	}
	*v.p = d
	return nil
}

type number[T int | int32 | int64] struct {
	p        *T
	min, max T
}

type (
	integer   = number[int]
	integer32 = number[int32]
	integer64 = number[int64]
)

func (v number[T]) String() string { return fmt.Sprint(deref(v.p)) }

// Type is what help calls it.
func (v number[T]) Type() string { return "number" }

func (v number[T]) Set(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < int64(v.min) || n > int64(v.max) {
		return fmt.Errorf("must be a number between %d and %d", v.min, v.max)
	}
	*v.p = T(n)
	return nil
}

// port is a port. Kubernetes sets variables such as FLAGD_PORT=tcp://10.96.1.7:8013 for every service of a namespace: that
// is the service's address and port, which need not be the one that is meant here.
type port struct{ integer }

func (v port) Set(s string) error {
	if strings.Contains(s, "://") {
		return unusable{errors.New("is a link to a service, set by Kubernetes, and not a port: set the variable in the pod's specification, or enableServiceLinks: false")}
	}
	return v.integer.Set(s)
}

// deref is what p points to; the zero value for the zero Values that package flag makes to tell defaults.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
