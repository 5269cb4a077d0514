package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"

	"checkout/internal/flags"
	"checkout/internal/frames"
	"checkout/internal/gateway"
	"checkout/internal/telemetry"
)

// closeTime is what the broker's client gets to send what it still holds. What it cannot send is on record.
const closeTime = 500 * time.Millisecond

// shop is the other services as order sees them, and their connections.
type shop struct {
	telemetry.Services
	closers []func() error
}

// connect makes a client for each called service. None of them is contacted yet, and none has to be there.
func connect(c Config, t *telemetry.Telemetry, i identities) (_ *shop, err error) {
	s := &shop{}
	defer func() {
		if err != nil {
			s.close(t.Logger())
		}
	}()
	timeouts := gateway.Timeouts{
		Read: c.ReadTimeout, Charge: c.ChargeTimeout, Ship: c.ShipTimeout, Email: c.EmailTimeout, Publish: c.PublishTimeout,
	}
	fault, err := s.flags(c, t, i)
	if err != nil {
		return nil, err
	}
	for _, n := range []struct {
		variable, addr string
		use            func(conn *grpc.ClientConn)
	}{
		{"CART_ADDR", c.Cart, func(conn *grpc.ClientConn) { s.Cart = gateway.NewCart(conn, timeouts) }},
		{"PRODUCT_CATALOG_ADDR", c.Catalog, func(conn *grpc.ClientConn) {
			s.Catalog = gateway.ShareCatalog(gateway.NewCatalog(conn, timeouts), t.Shared)
		}},
		{"CURRENCY_ADDR", c.Currency, func(conn *grpc.ClientConn) {
			s.Currency = gateway.ShareCurrency(gateway.NewCurrency(conn, timeouts), t.Shared)
		}},
	} {
		target, options := i.dialing(n.addr, t.DialOptions())
		conn, err := gateway.Dial(target, options...)
		if err != nil {
			return nil, fmt.Errorf("%s=%q: %w", n.variable, n.addr, err)
		}
		s.closers = append(s.closers, conn.Close)
		n.use(conn)
	}
	target, options := i.dialing(c.Payment, t.DialOptions())
	payment, err := gateway.NewPayment(target, fault, timeouts, options...)
	if err != nil {
		return nil, fmt.Errorf("PAYMENT_ADDR=%q: %w", c.Payment, err)
	}
	s.Payment = payment
	s.closers = append(s.closers, payment.Close)
	if c.PaymentMode == "keyed" {
		s.Ledger = payment
	}
	err = errors.Join(s.post(c, t, i, timeouts), s.broker(c, t, i, fault, timeouts))
	s.Services = t.Timed(s.Services)
	return s, err
}

// post makes the clients for those who speak HTTP.
func (s *shop) post(c Config, t *telemetry.Telemetry, i identities, timeouts gateway.Timeouts) error {
	http := gateway.NewHTTP(c.MaxOrders, i.dialTLS, t.Transport)
	s.closers = append(s.closers, func() error { http.Close(); return nil })
	shipping, err := gateway.NewShipping(c.Shipping, http, timeouts)
	if err != nil {
		return fmt.Errorf("SHIPPING_ADDR=%q: %w", c.Shipping, err)
	}
	email, err := gateway.NewEmail(c.Email, http, timeouts)
	if err != nil {
		return fmt.Errorf("EMAIL_ADDR=%q: %w", c.Email, err)
	}
	s.Quotes, s.Shipping, s.Email = shipping, shipping, email
	return nil
}

// flags follows the shop's flags, which can switch faults on.
func (s *shop) flags(c Config, t *telemetry.Telemetry, i identities) (*flags.Flags, error) {
	var options []grpc.DialOption
	if c.Security.FlagdTLS {
		options = append(options, grpc.WithTransportCredentials(frames.Limit(i.outgoing.Credentials())))
	}
	f, err := flags.New(flags.Config{
		DialOptions: options,
		Resolver:    c.FlagResolver, Host: c.FlagdHost, Port: c.FlagdPort, Path: c.FlagsPath,
		Hooks: []openfeature.Hook{t.FlagHook()}, Logger: t.Logger(),
	})
	if err != nil {
		return nil, fmt.Errorf("FLAGD_RESOLVER=%q: %w", c.FlagResolver, err)
	}
	s.closers = append(s.closers, f.Close)
	return f, nil
}

// broker makes the producer of events, if there is a broker to produce for.
func (s *shop) broker(c Config, t *telemetry.Telemetry, i identities, fault gateway.Flags, timeouts gateway.Timeouts) error {
	if len(c.Kafka) == 0 {
		return nil
	}
	events, err := gateway.NewEvents(strings.Join(c.Kafka, ","), c.KafkaTopic, fault, timeouts, append(c.Security.kafka(i), kgo.WithHooks(t.KafkaHook()))...)
	if err != nil {
		return fmt.Errorf("KAFKA_ADDR=%q, KAFKA_TOPIC=%q: %w", c.Kafka, c.KafkaTopic, err)
	}
	s.Events = events
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		return events.Close(ctx)
	})
	return nil
}

// close lets go of the other services, in the reverse order of their making.
func (s *shop) close(log *slog.Logger) {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	if err := errors.Join(errs...); err != nil {
		log.Warn("connections were not closed cleanly", "error", err)
	}
}
