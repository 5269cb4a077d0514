package serve

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"checkout/internal/env"
	"checkout/internal/pricing"
	"checkout/internal/redact"
)

// Config has all settings. Each field is a flag of `checkout serve` and an environment variable; the
// variables of the OpenTelemetry specification are read beside it, by telemetry.
type Config struct {
	Host string // empty: all interfaces
	Port int    // 0 takes any free port

	Cart, Catalog, Currency, Payment string // host:port, or a gRPC target such as dns:///host:port
	Shipping, Email                  string // base URLs
	PaymentMode                      string // stock, or keyed: the payment service honours keys and can be asked
	ShippingMode                     string // stock, or keyed: the shipping service honours keys
	ShipAttempts                     int    // of one order with a stock shipping service that may each have sent a parcel, at most

	Kafka      []string // brokers, host:port; none: no events
	KafkaTopic string

	FlagdHost, FlagResolver, FlagsPath string
	FlagdPort                          int

	DB string // a path, "memory", or the URL of a PostgreSQL database; empty: the default place

	Retention, AuditRetention time.Duration // of finished orders, and of operators' actions

	Admin string // host:port for operators; empty: none

	ReadTimeout, ChargeTimeout, ShipTimeout, EmailTimeout, PublishTimeout time.Duration

	Deadline  time.Duration // of a caller that sets none
	Delay     time.Duration // how long new calls are still accepted after the signal to end
	Drain     time.Duration // how long orders under way are waited for after the delay
	MaxOrders int           // under way at once, at most
	Target    time.Duration // an order's latency above which fewer are let in
	UserRate  int           // orders a minute of one user; 0: any number
	Declines  int           // declined charges of one user in ten minutes; 0: any number
	Limits    pricing.Limits

	Security Security

	Names string // what telemetry calls an order's facts: app, demo or both

	Baggage   []string // keys of the callers' baggage that go on; none: all
	CoreDumps bool     // a crash may write the memory, and with it cards, to a file

	Hurry <-chan struct{} // when closed, the delay before the drain is over; no setting

	getenv   func(string) string // for telemetry, and for Go itself
	warnings []error             // what the start logs about settings
}

// setting is one row of the configuration: its flag's name comes from its variable's.
type setting struct {
	env      string
	value    flag.Value
	required bool
	usage    string
}

// settings are all of c's, with their defaults, in the order of the documentation.
func (c *Config) settings() []setting {
	*c = Config{
		PaymentMode: "stock", ShippingMode: "stock", ShipAttempts: 3, KafkaTopic: "orders", FlagdPort: 8013, FlagResolver: "rpc",
		ReadTimeout: 2 * time.Second, ChargeTimeout: 8 * time.Second, ShipTimeout: 12 * time.Second,
		EmailTimeout: 5 * time.Second, PublishTimeout: 5 * time.Second,
		Deadline: 15 * time.Second, Delay: 2 * time.Second, Drain: 4 * time.Second,
		MaxOrders: 512, Target: 2 * time.Second, Declines: 20,
		Limits:    pricing.DefaultLimits(),
		Retention: 7 * day, AuditRetention: 400 * day,
		Names: "app",
	}
	const must, may = true, false
	return append([]setting{
		{"CHECKOUT_PORT", port{integer{&c.Port, 0, 65535}}, must, "`port` to serve gRPC on; 0: any free one"},
		{"CHECKOUT_HOST", host{&c.Host}, may, "`address` to serve gRPC on, such as 127.0.0.1; none: all interfaces"},
		{"CART_ADDR", target{&c.Cart}, must, "`host:port` of the cart service; https:// in front of it for TLS"},
		{"PRODUCT_CATALOG_ADDR", target{&c.Catalog}, must, "`host:port` of the product catalog; https:// in front of it for TLS"},
		{"CURRENCY_ADDR", target{&c.Currency}, must, "`host:port` of the currency service; https:// in front of it for TLS"},
		{"PAYMENT_ADDR", target{&c.Payment}, must, "`host:port` of the payment service; https:// in front of it for TLS"},
		{"SHIPPING_ADDR", base{&c.Shipping, "http://shipping:50050"}, must, "base `URL` of the shipping service; http:// may be left out"},
		{"EMAIL_ADDR", base{&c.Email, "http://email:6060"}, must, "base `URL` of the e-mail service; http:// may be left out"},
		{"PAYMENT_MODE", choice{&c.PaymentMode, []string{"stock", "keyed"}}, may, "`mode` of the payment service: stock, or keyed, which honours idempotency keys and serves checkout.v1.PaymentLedger"},
		{"SHIPPING_MODE", choice{&c.ShippingMode, []string{"stock", "keyed"}}, may, "`mode` of the shipping service: stock, or keyed, which honours idempotency keys"},
		{"CHECKOUT_SHIP_ATTEMPTS", integer{&c.ShipAttempts, 1, 100}, may, "maximum `number` of attempts per order that may have sent a parcel, with SHIPPING_MODE=stock; then it requires an operator"},
		{"KAFKA_ADDR", addresses{&c.Kafka}, may, "Kafka brokers, `host:port,…`; none: no events"},
		{"KAFKA_TOPIC", topic{&c.KafkaTopic}, may, "`topic` of the orders' events"},
		{"FLAGD_HOST", host{&c.FlagdHost}, may, "`host` of flagd; none: flags keep their defaults"},
		{"FLAGD_PORT", port{integer{&c.FlagdPort, 1, 65535}}, may, "`port` of flagd's evaluation service"},
		{"FLAGD_RESOLVER", preference{choice{&c.FlagResolver, []string{"rpc", "file"}}}, may, "`source` of flags: rpc for flagd, or file"},
		{"FLAGD_OFFLINE_FLAG_SOURCE_PATH", text{&c.FlagsPath}, may, "flag `file` in flagd's format, for FLAGD_RESOLVER=file"},
		{"CHECKOUT_DB", database{&c.DB}, may, "the record of orders: a `path`, or postgres://…, or memory, lost at exit; default: checkout/orders.db in the user's state folder"},
		{"CHECKOUT_RETENTION", days{duration{&c.Retention, day, 3650 * day}}, may, "`time` for which a finished order, and its idempotency key, stay on record"},
		{"CHECKOUT_AUDIT_RETENTION", days{duration{&c.AuditRetention, day, 3650 * day}}, may, "`time` for which operators' actions stay in the audit log"},
		{"CHECKOUT_ADMIN_ADDR", listen{&c.Admin}, may, "`host:port` to serve operators on; none: no operators"},
		{"CHECKOUT_DEADLINE", duration{&c.Deadline, time.Second, 30 * time.Second}, may, "deadline of an order if the caller sets none"},
		{"CHECKOUT_READ_TIMEOUT", duration{&c.ReadTimeout, time.Millisecond, 15 * time.Second}, may, "timeout of a read"},
		{"CHECKOUT_CHARGE_TIMEOUT", duration{&c.ChargeTimeout, time.Millisecond, 15 * time.Second}, may, "timeout of a charge; then its outcome is unknown"},
		{"CHECKOUT_SHIP_TIMEOUT", duration{&c.ShipTimeout, time.Millisecond, 15 * time.Second}, may, "timeout of a shipment"},
		{"CHECKOUT_EMAIL_TIMEOUT", duration{&c.EmailTimeout, time.Millisecond, 15 * time.Second}, may, "timeout of an e-mail"},
		{"CHECKOUT_PUBLISH_TIMEOUT", duration{&c.PublishTimeout, time.Second, 15 * time.Second}, may, "timeout of an event"},
		{"CHECKOUT_SHUTDOWN_DELAY", duration{&c.Delay, 0, 10 * time.Minute}, may, "`time` after SIGTERM in which new calls are accepted, for load balancers"},
		{"CHECKOUT_DRAIN", duration{&c.Drain, 0, 10 * time.Minute}, may, "`time` after that for orders in progress; then they are cut off and recorded"},
		{"CHECKOUT_MAX_ORDERS", integer{&c.MaxOrders, 8, 1 << 16}, may, "maximum `number` of orders in progress"},
		{"CHECKOUT_TARGET_LATENCY", duration{&c.Target, time.Millisecond, 30 * time.Second}, may, "order duration above which fewer are admitted"},
		{"CHECKOUT_USER_RATE", integer{&c.UserRate, 0, 1 << 16}, may, "maximum `number` of orders per user and minute; 0: no limit"},
		{"CHECKOUT_MAX_DECLINES", integer{&c.Declines, 0, 1 << 16}, may, "`number` of declined charges per user in ten minutes before refusal; per card, ten times as many; 0: no limit"},
		{"CHECKOUT_MAX_LINES", integer{&c.Limits.Lines, 1, 10_000}, may, "maximum `number` of products in an order"},
		{"CHECKOUT_MAX_QUANTITY", integer32{&c.Limits.Quantity, 1, 1_000_000}, may, "maximum `number` of pieces of one product"},
		{"CHECKOUT_MAX_PIECES", integer{&c.Limits.Pieces, 1, 1 << 30}, may, "maximum `number` of pieces in an order"},
		{"CHECKOUT_MAX_PRICE", integer64{&c.Limits.Price, 1, 1 << 50}, may, "maximum `number` of US dollars per piece"},
		{"CHECKOUT_MAX_TOTAL", integer64{&c.Limits.Total, 1, 1 << 50}, may, "maximum `number` of US dollars per order, with shipping"},
		{"CHECKOUT_TELEMETRY_NAMES", choice{&c.Names, []string{"app", "demo", "both"}}, may, "`names` of order attributes in telemetry: app (demo up to 2.1), demo (later), or both"},
		{"CHECKOUT_BAGGAGE_ALLOW", names{&c.Baggage}, may, "baggage `keys`, comma-separated, to propagate to services, record and events; none: all"},
		{"CHECKOUT_CORE_DUMPS", boolean{&c.CoreDumps}, may, "permit core dumps, which may contain cards"},
	}, c.Security.settings()...)
}

// flagName is CHECKOUT_MAX_LINES as -max-lines, and CART_ADDR as -cart-addr.
func (s setting) flagName() string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.env, "CHECKOUT_")), "_", "-")
}

const day = 24 * time.Hour

// slowShipping is how long the shop's shipping service takes when it is slow.
const slowShipping = 10 * time.Second

// Settings are the settings as flags, which stand over the environment.
type Settings struct {
	Flags *flag.FlagSet

	config Config
	rows   []setting
}

// NewSettings makes the settings with their defaults.
func NewSettings() *Settings {
	s := &Settings{Flags: flag.NewFlagSet("checkout serve", flag.ContinueOnError)}
	s.Flags.SetOutput(io.Discard)
	s.rows = s.config.settings()
	for _, row := range s.rows {
		s.Flags.Var(row.value, row.flagName(), row.usage+" ("+row.env+")")
	}
	return s
}

// ParseConfig reads the environment and the arguments over it.
func ParseConfig(args []string, getenv func(string) string) (Config, error) {
	s := NewSettings()
	if err := s.Flags.Parse(args); err != nil { // package flag quotes the value
		return Config{}, redact.Error(err)
	}
	if s.Flags.NArg() > 0 {
		return Config{}, redact.Error(fmt.Errorf("unexpected argument %q", s.Flags.Arg(0)))
	}
	given := map[string]bool{}
	s.Flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return s.Config(getenv, func(name string) bool { return given[name] })
}

// Config reads the environment for all but the flags that were given. Its error names every setting that is missing or
// wrong, with its value. What is only questionable is logged by Run.
func (s *Settings) Config(getenv func(string) string, given func(flag string) bool) (Config, error) {
	c := &s.config
	c.getenv = getenv
	misspelt := len(c.warnings)
	var problems []error
	for _, row := range s.rows {
		if given(row.flagName()) {
			continue
		}
		value := env.Clean(getenv(row.env))
		if value == "" {
			if row.required {
				problems = append(problems, fmt.Errorf("%s is not set: %s", row.env, strings.ReplaceAll(row.usage, "`", "")))
			}
			continue
		}
		err := row.value.Set(value)
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s=%q: %w", row.env, value, err)
		if _, ok := errors.AsType[unusable](err); ok && !row.required {
			c.warnings = append(c.warnings, fmt.Errorf("%w; the default %s is used", err, row.value))
		} else {
			problems = append(problems, err)
		}
	}
	if problems != nil {
		problems = append(problems, c.warnings[:misspelt]...)
	}
	problems = append(problems, c.Security.check(c.Admin)...)
	db, err := locate(c.DB)
	if err != nil {
		problems = append(problems, err)
	}
	c.DB = db
	if c.FlagResolver == "file" && c.FlagsPath == "" {
		problems = append(problems, errors.New("FLAGD_OFFLINE_FLAG_SOURCE_PATH is not set: FLAGD_RESOLVER=file needs the file"))
	}
	if c.ShipTimeout < slowShipping {
		c.warnings = append(c.warnings, fmt.Errorf("CHECKOUT_SHIP_TIMEOUT=%v: slow shipping takes %v, and a call that is cut off may have sent a parcel; set it above", c.ShipTimeout, slowShipping))
	}
	for i, warning := range c.warnings {
		c.warnings[i] = redact.Error(warning)
	}
	return *c, redact.Error(errors.Join(problems...))
}

// CheckNames makes the start warn of variables, as NAME=value, that are not settings but similar to one that is not set.
func (s *Settings) CheckNames(environ []string) {
	set := map[string]bool{}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		set[name] = true
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		near, distance := "", 2 // one letter, and more in a name that can only be ours
		if ours, ok := strings.CutPrefix(name, "CHECKOUT_"); ok {
			distance = max(min(3, len(ours)/2+1), len(ours)/4+1)
		}
		for _, row := range s.rows {
			if edits := edits(name, row.env); edits < distance {
				near, distance = row.env, edits
			}
		}
		if near != "" && !set[near] {
			s.config.warnings = append(s.config.warnings, fmt.Errorf("unknown setting %s; did you mean %s?", name, near))
		}
	}
}

// edits is how many letters are to be changed, added or left out to make b of a (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1) // from the beginning of a to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0]++
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before, row[j+1] = row[j+1], min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// shipAttempts is how many attempts to ship an order may each have sent a parcel; 0 when the service honours keys.
func (c Config) shipAttempts() int {
	if c.ShippingMode == "keyed" {
		return 0
	}
	return c.ShipAttempts
}

// effective is the configuration as it is in force, one "name=value" a setting. There is no secret among them.
func (c Config) effective() []any {
	var copy Config
	var attrs []any
	settings := copy.settings()
	copy = c // the settings point into copy
	for _, s := range settings {
		attrs = append(attrs, s.env, redact.URL(s.value.String()))
	}
	return attrs
}

// file is where the record lies, and whether that is only a stopgap. Without CHECKOUT_DB it is the user's state
// folder (XDG Base Directory Specification); where that cannot be written, as in a read-only container, it is the folder
// for temporary files: it outlives the process, which is what a restart needs, though not the container.
func (c Config) file() (path string, stopgap bool) {
	if c.DB != "" {
		return c.DB, false
	}
	state := c.getenv("XDG_STATE_HOME")
	if home := c.getenv("HOME"); state == "" && home != "" {
		state = filepath.Join(home, ".local", "state")
	}
	if state != "" {
		folder := filepath.Join(state, "checkout")
		if err := os.MkdirAll(folder, 0o700); err == nil && writable(folder) {
			return filepath.Join(folder, "orders.db"), false
		}
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("checkout-%d", os.Getuid()), "orders.db"), true
}

// record names the record of orders. Replicas that share it have the same name for it.
func (c Config) record() string {
	if isURL(c.DB) {
		return database{&c.DB}.String()
	}
	return "a file " + rand.Text()
}

func writable(folder string) bool {
	probe, err := os.CreateTemp(folder, ".probe-*")
	if err != nil {
		return false
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name())) == nil
}
