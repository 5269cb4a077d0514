package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"checkout/gen/oteldemo"
	"checkout/internal/cli"
	"checkout/internal/order"
	"checkout/internal/redact"
	"checkout/internal/rpc"
	"checkout/internal/wire"
)

// Exit statuses beside those of every command.
const (
	placeDeclined = 3
	statusUnknown = 4 // of placing an order or deciding about one: it may have been done
	placeRepeat   = 5
)

// cardVariable is the environment variable with the card.
const cardVariable = "CHECKOUT_CARD"

// purchase is what the flags of `checkout order place` say.
type purchase struct {
	remote

	cartAddr string
	items    []*oteldemo.CartItem
	cardFile string
	key      string
	req      oteldemo.PlaceOrderRequest
}

func (p process) placeCommand() *cobra.Command {
	b := purchase{req: oteldemo.PlaceOrderRequest{Address: &oteldemo.Address{}}}
	cmd := &cobra.Command{
		Use:   "place",
		Short: "Place an order",
		Long: `Place an order for what is in the user's cart, at any server of oteldemo.CheckoutService.

The card is JSON, read from the file --card, from the environment variable CHECKOUT_CARD, or from standard input:

  {"credit_card_number": "4432-8015-6152-0454", "credit_card_cvv": 672,
   "credit_card_expiration_year": 2039, "credit_card_expiration_month": 1}

Exit status: 0 placed; 1 not placed, nothing was charged; 2 the command line is wrong; 3 the card was declined; 4 the card was
or may have been charged: do not order again, look at the order; 5 this command charged nothing, an earlier one with the same
--key may have: repeat it.`,
		Example: `  checkout order place --user ada --email ada@example.com --street '1 Main' --city London --country UK --zip N1 \
    --item OLJCESPC7Z=2 --cart-addr localhost:7070 --card card.json
  checkout order place --user ada --email ada@example.com --street '1 Main' --key 4711 < card.json`,
		Args: cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.place(cmd.Context(), &b) },
	}
	b.flags(cmd, p.getenv)
	require(cmd, "user", "email")
	return cmd
}

func (b *purchase) flags(cmd *cobra.Command, getenv func(string) string) {
	flags := cmd.Flags()
	flags.StringVar(&b.req.UserId, "user", "", "`id` of the user")
	flags.StringVar(&b.req.Email, "email", "", "e-mail `address` for the confirmation")
	flags.StringVar(&b.req.Address.StreetAddress, "street", "", "street `address`")
	flags.StringVar(&b.req.Address.City, "city", "", "`city`")
	flags.StringVar(&b.req.Address.State, "state", "", "`state`")
	flags.StringVar(&b.req.Address.Country, "country", "", "`country`")
	flags.StringVar(&b.req.Address.ZipCode, "zip", "", "zip `code`")
	flags.StringVar(&b.req.UserCurrency, "currency", "USD", "ISO 4217 `code` of the currency to pay in")
	flags.StringVar(&b.cardFile, "card", "", "JSON `file` with the card; - or none: CHECKOUT_CARD or standard input")
	flags.Func("item", "add `product=quantity` to the cart first, unless it is there; may be repeated", b.addItem)
	flags.StringVar(&b.cartAddr, "cart-addr", getenv("CART_ADDR"), "`host:port` of the cart service, for --item (CART_ADDR)")
	flags.StringVar(&b.key, "key", "", "idempotency `key`: the same key is the same order, charged once")
	b.shopFlags(cmd, getenv)
}

// place places an order. The card is no argument, because every user of the machine can read those.
func (p process) place(ctx context.Context, b *purchase) error {
	card, err := p.card(b.cardFile)
	if err != nil {
		return err
	}
	b.req.CreditCard = card
	return p.call(ctx, &b.remote, func(ctx context.Context, conn *grpc.ClientConn) error {
		if err := b.fillCart(ctx); err != nil {
			return cli.Fail(err)
		}
		if b.key != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, rpc.KeyHeader, b.key)
		}
		var trailer metadata.MD
		var server peer.Peer
		resp, err := oteldemo.NewCheckoutServiceClient(conn).PlaceOrder(ctx, &b.req, grpc.Trailer(&trailer), grpc.Peer(&server))
		if err != nil {
			refused := p.refused(&b.remote, err)
			refused.Status = placeStatus(err, server.Addr != nil, b.key != "")
			if refused.Status == statusUnknown && refused.Err != nil {
				look := "list --user " + b.req.GetUserId()
				if id := wire.ErrorInfo(err).GetMetadata()["order_id"]; id != "" {
					look = "show " + id
				}
				refused.Err = fmt.Errorf("%w\n  do not order again: see 'checkout order %s'", refused.Err, clean(look))
			}
			return refused
		}
		p.print(b.output, resp, func() { p.receipt(resp.GetOrder(), trailer) })
		return nil
	})
}

// placeStatus is the exit status for an order that was not placed. sent: the server may have the request; keyed: it has a key.
func placeStatus(err error, sent, keyed bool) int {
	if info := wire.ErrorInfo(err); info != nil {
		switch moved := info.GetMetadata()["money_moved"]; {
		case info.GetReason() == "CARD_DECLINED":
			return placeDeclined
		case moved == "no" || moved == "":
			return cli.Failed
		case moved == "unknown" && keyed && info.GetMetadata()["safe_to_retry"] == "true":
			return placeRepeat
		}
		return statusUnknown
	}
	switch status.Code(err) { // these come before an order is begun, from whatever server
	case codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted, codes.Unimplemented:
		return cli.Failed
	default:
		if sent {
			return statusUnknown
		}
		return cli.Failed
	}
}

// fillCart adds the items of the command line to the user's cart, unless they are in it: a command that is repeated orders the same.
func (b *purchase) fillCart(ctx context.Context) error {
	if len(b.items) == 0 {
		return nil
	}
	if b.cartAddr == "" {
		return errors.New("--item requires --cart-addr or CART_ADDR")
	}
	conn, err := dial(b.cartAddr, insecure.NewCredentials())
	if err != nil {
		return fmt.Errorf("--cart-addr=%q: %w", redact.URL(b.cartAddr), err)
	}
	defer func() { _ = conn.Close() }()
	service := oteldemo.NewCartServiceClient(conn)
	cart, err := service.GetCart(ctx, &oteldemo.GetCartRequest{UserId: b.req.GetUserId()})
	if err != nil {
		return fmt.Errorf("reading the cart: %w", err)
	}
	has := make(map[string]int32)
	for _, item := range cart.GetItems() {
		has[item.GetProductId()] += item.GetQuantity()
	}
	for _, item := range b.items {
		found := min(has[item.GetProductId()], item.GetQuantity())
		has[item.GetProductId()] -= found
		if item.Quantity -= found; item.GetQuantity() == 0 {
			continue
		}
		if _, err := service.AddItem(ctx, &oteldemo.AddItemRequest{UserId: b.req.GetUserId(), Item: item}); err != nil {
			return fmt.Errorf("adding %d × %s to the cart: %w", item.GetQuantity(), item.GetProductId(), err)
		}
	}
	return nil
}

// card reads a card of at most a few hundred bytes. Its errors never quote what was read.
func (p process) card(file string) (*oteldemo.CreditCardInfo, error) {
	in, from := p.stdin, "standard input"
	switch set := p.getenv(cardVariable); {
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--card: %w", err)
		}
		defer func() { _ = f.Close() }()
		in, from = f, "--card="+file
	case file == "" && set != "":
		in, from = strings.NewReader(set), cardVariable
	case columns(in) > 0: // a person types it
		_, _ = fmt.Fprintln(p.stderr, "Reading the card as JSON from standard input; Ctrl-D ends it.")
	}
	data, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	card, err := parseCard(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return card, nil
}

// parseCard reads a card as JSON, as it is printed: with blanks and dashes, with a year of two digits, with zeros in front of
// the CVV, and each of them as text or as a number.
func parseCard(data []byte) (*oteldemo.CreditCardInfo, error) {
	invalid := errors.New("is not a card as JSON; 'checkout order place --help' shows one")
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

// receipt prints a placed order, and what the customer can do next.
func (p process) receipt(o *oteldemo.OrderResult, trailer metadata.MD) {
	state, next := order.Placed.String(), "checkout order show "+clean(o.GetOrderId())
	if set := trailer.Get(rpc.StateTrailer); len(set) > 0 {
		state, next = clean(set[0])+": paid, will be shipped", "checkout order watch "+clean(o.GetOrderId())
		if set[0] == order.Parked.String() {
			state = "parked: paid; an operator finds out whether it was shipped"
		}
	}
	total := wire.Sum(o.GetItems(), o.GetShippingCost())
	p.facts([][2]string{
		{"order", o.GetOrderId()}, {"state", state}, {"total", total}, {"tracking", o.GetShippingTrackingId()}, {"next", next},
	})
	p.bill(o.GetItems(), o.GetShippingCost(), total)
}

// addItem takes a product=quantity pair.
func (b *purchase) addItem(s string) error {
	product, quantity, found := strings.Cut(s, "=")
	n, err := strconv.ParseInt(cmp.Or(quantity, "1"), 10, 32)
	if product == "" || err != nil || n < 1 || found && quantity == "" {
		return errors.New("must be product=quantity, such as OLJCESPC7Z=2")
	}
	b.items = append(b.items, &oteldemo.CartItem{ProductId: product, Quantity: int32(n)})
	return nil
}
