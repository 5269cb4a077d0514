package serve_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/rpc"
	"checkout/internal/test/cardtest"
	"checkout/internal/test/nettest"
)

const (
	// said stands before whatever the payment service says of a card. Where it is found, the text was not withheld.
	said = "zqzqzq "
	// planted stands in what is no secret, and has to be found wherever such a text goes.
	planted = "no secret at all"
)

// gossip is a payment service that tells what it knows of a card. The idempotency key of the customer says how; it comes
// along as baggage.
type gossip struct {
	oteldemo.UnimplementedPaymentServiceServer
	checkoutv1.UnimplementedPaymentLedgerServer
	lines map[string]line
	keys  *sync.Map // idempotency key → line
}

// line is what is said of a charge: a failure, or a receipt.
type line struct {
	code codes.Code
	text string
}

// Charge implements oteldemo.PaymentServiceServer.
func (g gossip) Charge(ctx context.Context, _ *oteldemo.ChargeRequest) (*oteldemo.ChargeResponse, error) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("reason", said)) // it is in time
	_ = grpc.SetHeader(ctx, metadata.Pairs("echo", said))    // likewise
	baggage := strings.Join(metadata.ValueFromIncomingContext(ctx, "baggage"), ",")
	_, name, _ := strings.Cut(baggage, "line=")
	name, _, _ = strings.Cut(name, ",")
	say, ok := g.lines[name]
	for _, key := range metadata.ValueFromIncomingContext(ctx, "idempotency-key") {
		g.keys.Store(key, say)
	}
	switch {
	case !ok:
		return nil, status.Errorf(codes.Internal, "no line %q", name)
	case say.code == codes.OK:
		return &oteldemo.ChargeResponse{TransactionId: say.text}, nil
	}
	return nil, status.Error(say.code, say.text)
}

// Lookup implements checkoutv1.PaymentLedgerServer. It says the same.
func (g gossip) Lookup(_ context.Context, req *checkoutv1.LookupRequest) (*checkoutv1.LookupResponse, error) {
	kept, _ := g.keys.Load(req.GetIdempotencyKey())
	say, _ := kept.(line)
	if say.code == codes.OK {
		return &checkoutv1.LookupResponse{State: checkoutv1.LookupResponse_CHARGED, TransactionId: say.text}, nil
	}
	return nil, status.Error(say.code, say.text)
}

// serveGossip serves it and returns its address.
func serveGossip(t *testing.T, g gossip) string {
	t.Helper()
	return nettest.ServeGRPC(t, func(s *grpc.Server) {
		oteldemo.RegisterPaymentServiceServer(s, g)
		checkoutv1.RegisterPaymentLedgerServer(s, g)
	})
}

// purchase is an order of the test, with what the payment service will say of it.
type purchase struct {
	line
	name string
	req  *oteldemo.PlaceOrderRequest
	told map[string]string // by the caller, in the context
	good bool              // it will be placed
}

// purchases are orders in which every card is told of in every spelling, its CVV likewise, with one status after the other;
// and orders that are placed, by callers who tell of the card.
func purchases(numbers []string, cvv func(i int) int32) (all []purchase) {
	add := func(p purchase, i int) {
		p.name = fmt.Sprint("line", len(all))
		p.req = request("user-"+p.name, "USD")
		p.req.CreditCard.CreditCardNumber, p.req.CreditCard.CreditCardCvv = numbers[i], cvv(i)
		all = append(all, p)
	}
	for i, number := range numbers {
		for _, secret := range []string{number, fmt.Sprint(cvv(i))} {
			for j, s := range cardtest.Spellings(secret) {
				if hex := strings.HasPrefix(s.Name, "hexadecimal"); secret == number || !hex { // such digits of a CVV are in many ids
					add(purchase{line: line{codes.OK, "tx-" + s.Text}, good: true}, i)
				}
				failure := line{codes.Code(1 + (i+j)%16), said + s.Text}
				if failure.code == codes.Unknown {
					failure.text = "Credit card info is invalid. " + failure.text
				}
				add(purchase{line: failure}, i)
			}
		}
		s := cardtest.Spellings(number)[i]
		add(purchase{line: line{codes.OK, "T-1"}, good: true, told: map[string]string{"pay": s.Text}}, i)
	}
	return all
}

// TestNothingThatPaymentSaysOfACardIsWrittenAnywhere has a payment service that tells of every card, and callers who do.
func TestNothingThatPaymentSaysOfACardIsWrittenAnywhere(t *testing.T) {
	for mode, numbers := range map[string][]string{"stock": cardtest.Numbers("45")[:6], "keyed": cardtest.Numbers("45")[:2]} {
		t.Run(mode, func(t *testing.T) { listenToGossip(t, mode, numbers) })
	}
}

// listenToGossip has it tell of the cards, and looks for them in everything that the service writes.
func listenToGossip(t *testing.T, mode string, numbers []string) {
	t.Helper()
	first := 7001
	if os.Getpid()%37 == first%37 { // the log has the number of the process
		first++
	}
	cvv := func(i int) int32 { return int32(first + 37*i) }
	cvvs := make([]string, len(numbers))
	for i := range cvvs {
		cvvs[i] = fmt.Sprint(cvv(i))
	}
	all := purchases(numbers, cvv)
	all = append(all, purchase{name: "planted", line: line{codes.Unknown, "Sorry, we cannot process " + planted + " credit cards. Only VISA or MasterCard is accepted."}, req: request("planted", "USD")})
	all = append(all, purchase{name: "delivered", line: line{codes.OK, "T-" + strings.ReplaceAll(planted, " ", "-")}, req: request("delivered", "USD"), good: true})
	all[len(all)-1].req.Address.City = planted
	lines := map[string]line{}
	for _, p := range all {
		lines[p.name] = p.line
	}
	folder := t.TempDir()
	s := open(t, map[string]string{
		"PAYMENT_ADDR": serveGossip(t, gossip{lines: lines, keys: new(sync.Map)}), "PAYMENT_MODE": mode, "CHECKOUT_DB": filepath.Join(folder, "orders.db"),
		"CHECKOUT_TELEMETRY_NAMES": "both", "LOG_LEVEL": "debug", "CHECKOUT_SHUTDOWN_DELAY": "0s", "CHECKOUT_CHARGE_TIMEOUT": "15s",
	})
	var told answers
	var mu sync.Mutex
	work := make(chan purchase)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for p := range work {
				resp, err := s.order(t.Context(), p)
				if (err == nil) != p.good {
					t.Errorf("%s, which says %v %q: %v", p.name, p.code, p.text, err)
				}
				mu.Lock()
				told.keep(resp.GetOrder(), err)
				mu.Unlock()
			}
		})
	}
	for _, p := range all {
		work <- p
	}
	close(work)
	workers.Wait()
	s.await(t, "the events", func() bool { return s.shop.Ledgers().Total().Events >= len(numbers)+1 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	everything := sinks{"answers": told.String(), "stdout": s.log.String()}
	var spans, records bytes.Buffer
	for _, span := range s.shop.Collector.Spans() {
		spans.Write(raw(t, span.Span))
	}
	for _, log := range s.shop.Collector.Logs() {
		records.Write(raw(t, log.LogRecord))
	}
	everything["spans"], everything["log records"] = spans.String(), records.String()
	maps.Copy(everything, worldSinks(t, s.shop, folder))
	for _, name := range []string{"answers", "stdout", "spans", "log records", "the record", "events"} {
		if !strings.Contains(everything[name], planted) {
			t.Errorf("the planted text is not found in %s: this test would find nothing", name)
		}
	}
	for name, text := range everything {
		if i := strings.Index(text, said); i >= 0 {
			t.Errorf("%s tells what the payment service said: %q", name, text[i:min(i+100, len(text))])
		}
		for _, number := range numbers {
			if found := cardtest.Find(text, number); found != nil {
				t.Errorf("%s has the number %s: %q", name, number, found)
			}
		}
		if found := cardtest.FindCVV(text, cvvs...); found != nil {
			t.Errorf("%s has a CVV: %q", name, found)
		}
	}
}

// order places an order; again, when there was no room for it.
func (s *service) order(ctx context.Context, p purchase) (*oteldemo.PlaceOrderResponse, error) {
	baggage := "line=" + p.name
	for key, value := range p.told {
		baggage += "," + key + "=" + url.PathEscape(value)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent, "baggage", baggage, rpc.KeyHeader, p.name)
	s.shop.Cart.Put(p.req.GetUserId(), "OLJCESPC7Z", 1)
	for {
		resp, err := s.PlaceOrder(ctx, p.req)
		if status.Code(err) != codes.ResourceExhausted {
			return resp, err
		}
	}
}

func raw(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
