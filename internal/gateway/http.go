package gateway

import (
	"bytes"
	"context"
	"encoding/json"
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

// maxBody is how many bytes of an answer are read.
const maxBody = 64 << 10

// HTTP is the client that the neighbours who speak JSON over HTTP are called with. It follows no redirect, asks no proxy
// and bounds what it reads.
type HTTP struct {
	calls http.RoundTripper // no http.Client: what that adds is redirects, and a neighbour that sends us elsewhere would have us post a customer's address there
	conns *http.Transport
}

// NewHTTP makes an HTTP with at most conns connections to one neighbour, each kept for the next call. dialTLS connects to
// https services, handshake included; nil is net/http's own way. wrap, unless nil, puts telemetry around the transport. Close it after use.
func NewHTTP(conns int, dialTLS func(ctx context.Context, network, address string) (net.Conn, error), wrap func(http.RoundTripper) http.RoundTripper) *HTTP {
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DialTLSContext:         dialTLS,
		TLSHandshakeTimeout:    dialTimeout,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        4 * time.Second, // shorter than servers' 5 s, or a shipment may meet a connection that is just being closed; and each is two goroutines
		MaxResponseHeaderBytes: 16 << 10,
		ReadBufferSize:         1 << 10, // a connection's own: there is one for every call under way
		WriteBufferSize:        1 << 10,
		DisableCompression:     true, // so that maxBody is also what comes over the wire
	}
	if wrap == nil {
		return &HTTP{transport, transport}
	}
	return &HTTP{wrap(transport), transport}
}

// Close closes the connections that no call is using.
func (h *HTTP) Close() { h.conns.CloseIdleConnections() }

// post sends question as JSON to url and decodes the answer, one JSON value, into answer, unless that is nil.
//
// With a key it writes: it is sent once, with the header Idempotency-Key. Without one it only asks, and net/http may ask
// again when the neighbour has just closed the connection that the question went out on.
//
// Every status of the class 2xx is success. It returns order.ErrRefused for a status by which the neighbour says no for
// good, order.ErrUnsent when certainly nothing was done, order.ErrImplausible for an answer that is too long or not the JSON
// expected, and other errors for what may pass.
func (h *HTTP) post(ctx context.Context, url string, key order.ID, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", string(key))
		req.GetBody = nil // or net/http would take the header as leave to send the request again
	} else {
		req.Header["Idempotency-Key"] = nil // not sent, but says the same to net/http
	}
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	resp, err := h.calls.RoundTrip(req)
	switch {
	case err != nil && !connected.Load(): // there was no connection to send it on
		return fmt.Errorf("%w: %w", order.ErrUnsent, maskError(err))
	case err != nil:
		return maskError(err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing more is wanted of it
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refusal(resp.StatusCode)
	}
	if answer == nil {
		_, _ = io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be used again
		return nil
	}
	return decode(resp.Body, resp.ContentLength, answer)
}

// refusal is the error of an answer with a status other than 2xx. Only those by which a service says that it has read
// this very body and will not have it are for good. A 404 or a 403 is a deployment that somebody will mend, and a 409 may
// say that an earlier try is still under way. 429 and 503 say that the request was turned away before anything was done.
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

// decode reads one JSON value and no more than maxBody. length is that of the body, or -1 when it is not known.
func decode(body io.Reader, length int64, answer any) error {
	var buffer bytes.Buffer
	buffer.Grow(int(min(max(length, 0), 4<<10)) + bytes.MinRead) // a neighbour's word is not worth more
	_, err := buffer.ReadFrom(io.LimitReader(body, maxBody+1))
	text := buffer.Bytes()
	switch {
	case err != nil:
		return fmt.Errorf("read the answer: %w", err)
	case len(text) > maxBody:
		return fmt.Errorf("%w: more than %d bytes", order.ErrImplausible, maxBody)
	case !utf8.Valid(text): // encoding/json would mend it
		return fmt.Errorf("%w: not UTF-8", order.ErrImplausible)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%w: %w", order.ErrImplausible, maskError(err)) // it may quote a number
	}
	return nil
}

// baseURL is the URL of a neighbour that is configured as host:port or as a URL.
func baseURL(addr string) (*url.URL, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	base, err := url.Parse(addr)
	if err != nil { // which quotes what it cannot read
		return nil, fmt.Errorf("%q is not a URL", redact.URL(addr))
	}
	if base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("%q is not host:port or http://host:port", redact.URL(addr))
	}
	return base, nil
}

// The words of the JSON bodies. Every key is always sent: one generation of the shop or the other misses it otherwise.
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
