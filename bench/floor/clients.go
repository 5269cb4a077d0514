package floor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"checkout/gen/oteldemo"
)

const (
	readsAtOnce = 128              // over the process, as in the real service
	maxAnswer   = 64 << 10         // bytes of an HTTP answer
	afterTime   = 10 * time.Second // for the e-mail and the event of an order that was answered
)

// services are the clients of those who are called.
type services struct {
	cart     oteldemo.CartServiceClient
	catalog  oteldemo.ProductCatalogServiceClient
	currency oteldemo.CurrencyServiceClient
	payment  oteldemo.PaymentServiceClient
	shipping string // base URL
	email    string // base URL
	http     http.Client
	events   *kgo.Client // nil without a broker

	reads chan struct{}  // a place for each read under way
	after sync.WaitGroup // e-mails and events of orders that were answered
	conns []*grpc.ClientConn
}

// connect makes the clients. Nobody is contacted yet.
func connect(getenv func(string) string) (*services, error) {
	n := &services{
		shipping: getenv("SHIPPING_ADDR"),
		email:    getenv("EMAIL_ADDR"),
		http:     http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}},
		reads:    make(chan struct{}, readsAtOnce),
	}
	var failures []error
	dial := func(variable string) *grpc.ClientConn {
		conn, err := grpc.NewClient(getenv(variable), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", variable, err))
			return nil
		}
		n.conns = append(n.conns, conn)
		return conn
	}
	n.cart = oteldemo.NewCartServiceClient(dial("CART_ADDR"))
	n.catalog = oteldemo.NewProductCatalogServiceClient(dial("PRODUCT_CATALOG_ADDR"))
	n.currency = oteldemo.NewCurrencyServiceClient(dial("CURRENCY_ADDR"))
	n.payment = oteldemo.NewPaymentServiceClient(dial("PAYMENT_ADDR"))
	if brokers := getenv("KAFKA_ADDR"); brokers != "" {
		events, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.DefaultProduceTopic("orders"),
			kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableClientMetrics(), kgo.AllowAutoTopicCreation())
		failures = append(failures, err)
		n.events = events
	}
	if err := errors.Join(failures...); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// close waits for what is still to be sent, and lets go of the other services.
func (n *services) close() {
	n.after.Wait()
	if n.events != nil {
		n.events.Close()
	}
	n.http.CloseIdleConnections()
	for _, conn := range n.conns {
		_ = conn.Close() // nothing is under way on it
	}
}

// The words of the JSON bodies.
type (
	parcel struct {
		Address address `json:"address"`
		Items   []item  `json:"items"`
	}
	address struct {
		Street  string `json:"street_address"`
		City    string `json:"city"`
		State   string `json:"state"`
		Country string `json:"country"`
		Zip     string `json:"zip_code"`
	}
	item struct {
		Product  string `json:"product_id"`
		Quantity int32  `json:"quantity"`
	}
	amount struct {
		Currency string `json:"currency_code"`
		Units    int64  `json:"units"`
		Nanos    int32  `json:"nanos"`
	}
	line struct {
		Item item   `json:"item"`
		Cost amount `json:"cost"`
	}
	email struct {
		Email string     `json:"email"`
		Order emailOrder `json:"order"`
	}
	emailOrder struct {
		ID       string  `json:"order_id"`
		Tracking string  `json:"shipping_tracking_id"`
		Cost     amount  `json:"shipping_cost"`
		Address  address `json:"shipping_address"`
		Items    []line  `json:"items"`
	}
)

func newParcel(to *oteldemo.Address, cart []*oteldemo.CartItem) parcel {
	items := make([]item, len(cart))
	for i, c := range cart {
		items[i] = item{c.GetProductId(), c.GetQuantity()}
	}
	return parcel{newAddress(to), items}
}

func newAddress(a *oteldemo.Address) address {
	return address{a.GetStreetAddress(), a.GetCity(), a.GetState(), a.GetCountry(), a.GetZipCode()}
}

func newAmount(m *oteldemo.Money) amount {
	return amount{m.GetCurrencyCode(), m.GetUnits(), m.GetNanos()}
}

// quote asks what shipping costs.
func (n *services) quote(ctx context.Context, p parcel) (*oteldemo.Money, error) {
	var answer struct {
		Cost amount `json:"cost_usd"`
	}
	err := n.post(ctx, n.shipping+"/get-quote", p, &answer)
	return &oteldemo.Money{CurrencyCode: answer.Cost.Currency, Units: answer.Cost.Units, Nanos: answer.Cost.Nanos}, err
}

// ship sends the parcel.
func (n *services) ship(ctx context.Context, p parcel) (tracking string, err error) {
	var answer struct {
		ID string `json:"tracking_id"`
	}
	err = n.post(ctx, n.shipping+"/ship-order", p, &answer)
	return answer.ID, err
}

// confirm sends the e-mail.
func (n *services) confirm(ctx context.Context, to string, o *oteldemo.OrderResult) error {
	l := email{to, emailOrder{
		ID: o.GetOrderId(), Tracking: o.GetShippingTrackingId(), Cost: newAmount(o.GetShippingCost()),
		Address: newAddress(o.GetShippingAddress()), Items: make([]line, len(o.GetItems())),
	}}
	for i, ordered := range o.GetItems() {
		l.Order.Items[i] = line{item{ordered.GetItem().GetProductId(), ordered.GetItem().GetQuantity()}, newAmount(ordered.GetCost())}
	}
	return n.post(ctx, n.email+"/send_order_confirmation", l, nil)
}

// publish sends the event, unless there is no broker, and waits until it is acknowledged.
func (n *services) publish(ctx context.Context, o *oteldemo.OrderResult) error {
	if n.events == nil {
		return nil
	}
	value, err := proto.Marshal(o)
	if err != nil {
		return fmt.Errorf("event of order %s: %w", o.GetOrderId(), err)
	}
	return n.events.ProduceSync(ctx, &kgo.Record{Key: []byte(o.GetOrderId()), Value: value}).FirstErr()
}

// post sends question as JSON and decodes the answer, unless none is wanted.
func (n *services) post(ctx context.Context, url string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("POST %s: %w", url, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s: %w", url, resp.Status, errors.Join(err, errNotOK))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

var errNotOK = errors.New("not answered well")
