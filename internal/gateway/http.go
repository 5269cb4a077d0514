package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"checkout/internal/money"
	"checkout/internal/order"
	"checkout/internal/redact"
)

// maxBody is how many bytes an answer has, over HTTP or gRPC: the largest cart takes half of it. In memory, a message of empty lines is
// 80 times as large.
const maxBody = 64 << 10

// HTTP is the client of the services that speak JSON over HTTP. It follows no redirects, uses no proxy and limits what it reads.
type HTTP struct {
	calls http.RoundTripper // no http.Client, which follows redirects: a customer's address would be sent elsewhere
	conns *http.Transport
}

// NewHTTP makes an HTTP with at most conns connections to a service, kept alive. dialTLS connects to https services, including
// the handshake; nil is net/http's default. wrap, unless nil, adds telemetry to the transport. Close it after use.
func NewHTTP(conns int, dialTLS func(ctx context.Context, network, address string) (net.Conn, error), wrap func(http.RoundTripper) http.RoundTripper) *HTTP {
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DialTLSContext:         dialTLS,
		TLSHandshakeTimeout:    dialTimeout,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        4 * time.Second, // less than servers' 5 s, or a shipment may be sent while they close the connection
		MaxResponseHeaderBytes: 16 << 10,
		ReadBufferSize:         1 << 10, // there is a connection for every call in progress
		WriteBufferSize:        1 << 10,
		DisableCompression:     true, // so that maxBody also limits what is received
	}
	if wrap == nil {
		return &HTTP{transport, transport}
	}
	return &HTTP{wrap(transport), transport}
}

// Close closes idle connections.
func (h *HTTP) Close() { h.conns.CloseIdleConnections() }

// post sends question as JSON to url and decodes the answer, one JSON value, into answer, unless that is nil.
//
// With a key it is a write: it is sent once, with the header Idempotency-Key. Without one it is a read, which net/http retries
// if the service closes the connection.
//
// Every 2xx is success. It returns order.ErrRefused for a status that refuses for good, order.ErrUnsent if certainly nothing was
// done, order.ErrImplausible for an answer that is too long or not the expected JSON, and other errors if a retry may succeed.
func (h *HTTP) post(ctx context.Context, url string, key order.ID, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", string(key))
		req.GetBody = nil // or net/http would retry, because of the header
	} else {
		req.Header["Idempotency-Key"] = nil // not sent, but permits net/http to retry
	}
	resp, err := h.calls.RoundTrip(req)
	switch {
	case err != nil && !connected.Load(): // it was not sent
		return fmt.Errorf("%w: %w", order.ErrUnsent, masked{err})
	case err != nil:
		return answerError(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refusal(resp.StatusCode)
	}
	if answer == nil {
		_, _ = io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be reused
		return nil
	}
	return decode(resp.Body, answer)
}

// errNotHTTP replaces net/http's error about a malformed answer, which quotes it: it may repeat what the customer typed.
var errNotHTTP = errors.New("the answer is not HTTP, or its header is too long")

// answerError is the error of a request that was sent. Only those of the connection and of the deadline quote no answer.
func answerError(err error) error {
	_, ofConnection := errors.AsType[net.Error](err)
	switch {
	case ofConnection, errors.Is(err, context.Canceled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		err.Error() == "http: server closed idle connection":
		return masked{err}
	}
	return errNotHTTP
}

// masked is an error whose text shows no card number and no e-mail address.
type masked struct{ error }

func (e masked) Error() string { return redact.Text(e.error.Error()) }
func (e masked) Unwrap() error { return e.error }

// refusal is the error for a status other than 2xx. Only statuses that reject this very body are refusals for good. A 404 or a
// 403 can be a deployment that will be corrected, and a 409 an earlier attempt in progress. 429 and 503 reject the request
// before anything is done.
func refusal(code int) error {
	err := fmt.Errorf("answered %d %s", code, http.StatusText(code))
	switch code {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return fmt.Errorf("%w: %w", order.ErrRefused, err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %w", order.ErrUnsent, err)
	}
	return err
}

// decode reads one JSON value of at most maxBody.
func decode(body io.Reader, answer any) error {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the answer: %w", answerError(err))
	case len(text) > maxBody:
		return fmt.Errorf("%w: more than %d bytes", order.ErrImplausible, maxBody)
	case !utf8.Valid(text): // encoding/json would replace it
		return fmt.Errorf("%w: not UTF-8", order.ErrImplausible)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%w: %w", order.ErrImplausible, masked{err}) // it may quote a card number
	}
	return nil
}

// baseURL is the URL of a service that is configured as host:port or as a URL.
func baseURL(addr string) (*url.URL, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	base, err := url.Parse(addr)
	if err != nil { // err quotes it
		return nil, fmt.Errorf("%q is not a URL", redact.URL(addr))
	}
	if base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("%q is not host:port or http://host:port", redact.URL(addr))
	}
	return base, nil
}

// Parts of the JSON bodies. All keys are always sent: some release of the shop needs each.
type (
	jsonAddress struct {
		Street  string `json:"street_address"`
		City    string `json:"city"`
		State   string `json:"state"`
		Country string `json:"country"`
		ZipCode string `json:"zip_code"`
	}
	jsonLine struct {
		ProductID string `json:"product_id"`
		Quantity  int32  `json:"quantity"`
	}
	jsonAmount struct {
		Currency string `json:"currency_code"`
		Units    int64  `json:"units"`
		Nanos    int32  `json:"nanos"`
	}
)

func amountJSON(a money.Amount) jsonAmount {
	return jsonAmount{string(a.Currency()), a.Units(), a.Nanos()}
}
