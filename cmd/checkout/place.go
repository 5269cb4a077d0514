package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/oteldemo"
	"checkout/internal/order"
	"checkout/internal/redact"
	"checkout/internal/rpc"
)

// purchase is what the flags of `checkout order place` say.
type purchase struct {
	remote

	cartAddr string
	items    items
	cardFile string
	key      string
	json     bool
	req      oteldemo.PlaceOrderRequest
}

func (b *purchase) flags(getenv func(string) string) *flag.FlagSet {
	flags := newFlags("order place", "")
	b.req.Address = &oteldemo.Address{}
	b.shop(flags, getenv)
	flags.StringVar(&b.cartAddr, "cart-addr", getenv("CART_ADDR"), "`host:port` of the cart service, for -item (CART_ADDR)")
	flags.Var(&b.items, "item", "put `product=quantity` into the cart first; may be repeated")
	flags.StringVar(&b.cardFile, "card", "-", "`file` with the card as JSON, - for standard input: {\"credit_card_number\": …, \"credit_card_cvv\": …, \"credit_card_expiration_year\": …, \"credit_card_expiration_month\": …}")
	flags.StringVar(&b.key, "key", "", "idempotency `key`: asked again with the same one, the answer is the same, and nothing is charged twice")
	flags.BoolVar(&b.json, "json", false, "print the answer as JSON")
	flags.StringVar(&b.req.UserId, "user", "", "`id` of the user")
	flags.StringVar(&b.req.UserCurrency, "currency", "USD", "ISO 4217 `code` to pay in")
	flags.StringVar(&b.req.Email, "email", "", "e-mail `address` for the confirmation")
	flags.StringVar(&b.req.Address.StreetAddress, "street", "", "street `address`")
	flags.StringVar(&b.req.Address.City, "city", "", "`city`")
	flags.StringVar(&b.req.Address.State, "state", "", "`state`")
	flags.StringVar(&b.req.Address.Country, "country", "", "`country`")
	flags.StringVar(&b.req.Address.ZipCode, "zip", "", "zip `code`")
	return flags
}

// place places an order at any checkout service of this protocol. The card comes from a file, because arguments are seen
// by everybody on a machine.
func (p process) place(ctx context.Context, args []string) int {
	var buy purchase
	if status, done := p.parse(buy.flags(p.getenv), args); done {
		return status
	}
	card, err := p.card(buy.cardFile)
	if err != nil {
		return p.fail(misuse, "order place: -card=%q: %w", buy.cardFile, err)
	}
	buy.req.CreditCard = card
	ctx, cancel := context.WithTimeout(ctx, buy.timeout)
	defer cancel()
	if err := buy.fillCart(ctx); err != nil {
		return p.fail(failed, "order place: %w", err)
	}
	conn, err := buy.dial()
	if err != nil {
		return p.fail(misuse, "order place: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if buy.key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, rpc.KeyHeader, buy.key)
	}
	var trailer metadata.MD
	resp, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &buy.req, grpc.Trailer(&trailer))
	if err != nil {
		return p.refused("order place", err, buy.json)
	}
	if buy.json {
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(resp))
		return ok
	}
	p.receipt(resp.GetOrder(), trailer)
	return ok
}

// fillCart puts the items of the command line into the user's cart.
func (b *purchase) fillCart(ctx context.Context) error {
	if len(b.items) == 0 {
		return nil
	}
	if b.cartAddr == "" {
		return errors.New("-item needs -cart-addr or CART_ADDR")
	}
	conn, err := dial(b.cartAddr, insecure.NewCredentials())
	if err != nil {
		return fmt.Errorf("-cart-addr=%q: %w", redact.URL(b.cartAddr), err)
	}
	defer func() { _ = conn.Close() }()
	cart := oteldemo.NewCartServiceClient(conn)
	for _, item := range b.items {
		if _, err := cart.AddItem(ctx, &oteldemo.AddItemRequest{UserId: b.req.GetUserId(), Item: item}); err != nil {
			return fmt.Errorf("putting %d × %s into the cart: %w", item.GetQuantity(), item.GetProductId(), err)
		}
	}
	return nil
}

// card reads a card of at most a few hundred bytes. Its errors never quote what was read.
func (p process) card(file string) (*oteldemo.CreditCardInfo, error) {
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return nil, err
	}
	return parseCard(data)
}

// parseCard reads a card as JSON, as it is printed: with blanks and dashes, with a year of two digits, with zeros in front of
// the CVV, and each of them as text or as a number.
func parseCard(data []byte) (*oteldemo.CreditCardInfo, error) {
	invalid := errors.New("is not a card as JSON; checkout order place -h shows one")
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return nil, invalid
	}
	card := &oteldemo.CreditCardInfo{}
	numbers := map[string]*int32{
		"creditcardcvv":             &card.CreditCardCvv,
		"creditcardexpirationyear":  &card.CreditCardExpirationYear,
		"creditcardexpirationmonth": &card.CreditCardExpirationMonth,
	}
	for name, field := range fields {
		value := string(field)
		if text := ""; json.Unmarshal(field, &text) == nil {
			value = text
		}
		value = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
				return -1
			}
			return r
		}, value)
		name = strings.ToLower(strings.ReplaceAll(name, "_", "")) // protobuf's name of the field, or JSON's
		if name == "creditcardnumber" {
			card.CreditCardNumber = value
			continue
		}
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || numbers[name] == nil {
			return nil, invalid
		}
		if name == "creditcardexpirationyear" && n < 100 {
			n += 2000
		}
		*numbers[name] = int32(n) //nolint:gosec // it was parsed as one, and a year has grown little
	}
	return card, nil
}

// receipt prints a placed order for people.
func (p process) receipt(o *oteldemo.OrderResult, trailer metadata.MD) {
	_, _ = fmt.Fprintf(p.stdout, "order     %s\n", o.GetOrderId())
	switch state := trailer.Get(rpc.StateTrailer); {
	case len(state) == 0:
		_, _ = fmt.Fprintf(p.stdout, "tracking  %s\n", o.GetShippingTrackingId())
	case state[0] == order.Parked.String():
		_, _ = fmt.Fprintf(p.stdout, "state     %s: it is paid; an operator finds out whether it was shipped\n", state[0])
	default:
		_, _ = fmt.Fprintf(p.stdout, "state     %s: it is paid and safe, and will be shipped\n", state[0])
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	itemize(table, o.GetItems(), o.GetShippingCost())
	_ = table.Flush()
}

// items are product=quantity pairs.
type items []*oteldemo.CartItem

func (l *items) String() string { return "" }
func (l *items) Set(s string) error {
	product, quantity, found := strings.Cut(s, "=")
	n, err := strconv.ParseInt(cmp.Or(quantity, "1"), 10, 32)
	if product == "" || err != nil || found && quantity == "" {
		return errors.New("is not product=quantity")
	}
	*l = append(*l, &oteldemo.CartItem{ProductId: product, Quantity: int32(n)})
	return nil
}
