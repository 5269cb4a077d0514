package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"checkout/internal/order"
	"checkout/internal/test/nettest"
)

// request is what an HTTP service has been sent.
type request struct {
	Method, Path, Type, Key, Body string
}

// replying runs an HTTP service that answers every request like this, and hands out what it was sent.
func replying(t *testing.T, code int, body string) (addr string, requests <-chan request) {
	t.Helper()
	seen := make(chan request, 8)
	return handling(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		key := strings.Join(r.Header.Values("Idempotency-Key"), ",")
		seen <- request{r.Method, r.URL.Path, r.Header.Get("Content-Type"), key, string(text)}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}), seen
}

func handling(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func newHTTP(t *testing.T) *HTTP {
	t.Helper()
	h := NewHTTP(4, nil, nil)
	t.Cleanup(h.Close)
	return h
}

func TestStatusTellsWhetherARefusalIsPermanent(t *testing.T) {
	t.Parallel()
	for code, certain := range map[int]error{
		400: order.ErrRefused, 410: order.ErrRefused, 413: order.ErrRefused, 422: order.ErrRefused, 451: order.ErrRefused,
		429: order.ErrUnsent, 503: order.ErrUnsent,
		302: nil, 307: nil, 401: nil, 403: nil, 404: nil, 405: nil, 408: nil, 409: nil, 425: nil, 500: nil, 501: nil, 502: nil, 504: nil, 507: nil, 599: nil,
	} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			addr, _ := replying(t, code, "")
			shipping := newShipping(t, addr, patient)
			_, quote := shipping.Quote(t.Context(), home, lines)
			_, ship := shipping.Ship(t.Context(), orderID, home, lines)
			for _, err := range []error{quote, ship, newEmail(t, addr, patient).Confirm(t.Context(), placed(t))} {
				if certain != nil {
					wantError(t, err, certain, "answered")
				} else {
					wantPassing(t, err, "answered")
				}
			}
		})
	}
}

func TestEverySuccessStatusIsSuccess(t *testing.T) {
	t.Parallel()
	for _, code := range []int{200, 201, 202, 203, 207, 299} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			addr, _ := replying(t, code, `{"cost_usd":{"currency_code":"USD","units":8,"nanos":0},"tracking_id":"T-1"}`)
			shipping := newShipping(t, addr, patient)
			if _, err := shipping.Quote(t.Context(), home, lines); err != nil {
				t.Error(err)
			}
			if id, err := shipping.Ship(t.Context(), orderID, home, lines); id != "T-1" || err != nil {
				t.Errorf("shipped as %q, %v", id, err)
			}
			if err := newEmail(t, addr, patient).Confirm(t.Context(), placed(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfirmationNeedsNoBody(t *testing.T) {
	t.Parallel()
	addr, _ := replying(t, http.StatusNoContent, "")
	if err := newEmail(t, addr, patient).Confirm(t.Context(), placed(t)); err != nil {
		t.Error(err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere, requests := replying(t, 200, `{"cost_usd":{"currency_code":"USD","units":8,"nanos":0},"tracking_id":"X"}`)
	addr := handling(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	shipping := newShipping(t, addr, patient)
	_, err := shipping.Quote(t.Context(), home, lines)
	wantPassing(t, err, "shipping: quote", "307")
	_, err = shipping.Ship(t.Context(), orderID, home, lines)
	wantPassing(t, err, "shipping: ship order", "307")
	if len(requests) != 0 {
		t.Error("the address went elsewhere")
	}
}

// TestHugeAnswerKeepsMemoryFlat does not run beside other tests, because it counts what the process allocates.
func TestHugeAnswerKeepsMemoryFlat(t *testing.T) {
	var sent atomic.Int64
	chunk := make([]byte, 64<<10)
	addr := handling(t, func(w http.ResponseWriter, _ *http.Request) {
		for range (256 << 20) / len(chunk) {
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	shipping, email := newShipping(t, addr, patient), newEmail(t, addr, patient)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := shipping.Quote(t.Context(), home, lines)
	wantError(t, err, order.ErrImplausible)
	_, err = shipping.Ship(t.Context(), orderID, home, lines)
	wantPassing(t, err)
	if err := email.Confirm(t.Context(), placed(t)); err != nil {
		t.Errorf("the confirmation was accepted, whatever came after the status: %v", err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("allocated %d KiB in all, want 2 MiB at most", got>>10)
	}
	if sent.Load() == 0 {
		t.Error("the called service has sent nothing")
	}
}

func TestEndlessHeaderIsAnError(t *testing.T) {
	t.Parallel()
	addr := handling(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 64<<10))
	})
	_, err := newShipping(t, addr, patient).Ship(t.Context(), orderID, home, lines)
	wantPassing(t, err, "shipping: ship order")
}

func TestASilentServiceIsAnErrorAtTheDeadline(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"says nothing": "", "stops in its answer": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // or connecting might take until the deadline
				h := newHTTP(t)
				h.conns.DialContext = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() {
						if _, err := http.ReadRequest(bufio.NewReader(theirs)); err == nil {
							_, _ = io.WriteString(theirs, answer)
						}
						_, _ = io.Copy(io.Discard, theirs) // until ours is closed
					}()
					return ours, nil
				}
				shipping, err := NewShipping("shipping:1", h, usual)
				if err != nil {
					t.Fatal(err)
				}
				email, err := NewEmail("email:1", h, usual)
				if err != nil {
					t.Fatal(err)
				}
				_, quote := shipping.Quote(t.Context(), home, lines)
				_, ship := shipping.Ship(t.Context(), orderID, home, lines)
				failures := []error{quote, ship}
				if answer == "" { // nobody reads what comes after the status of an e-mail
					failures = append(failures, email.Confirm(t.Context(), placed(t)))
				}
				for _, err := range failures {
					wantPassing(t, err)
					wantError(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}

func TestAServiceThatCannotBeReachedHasShippedNothing(t *testing.T) {
	t.Parallel()
	_, err := newShipping(t, nettest.Reserve(t), patient).Ship(t.Context(), orderID, home, lines)
	wantError(t, err, order.ErrUnsent, "shipping: ship order", "connection refused")

	_, err = newShipping(t, "https://"+silent(t), soon).Ship(t.Context(), orderID, home, lines) // says nothing when greeted
	wantError(t, err, order.ErrUnsent, "shipping: ship order")

	_, err = newShipping(t, "http://no-such-host.invalid", patient).Ship(t.Context(), orderID, home, lines)
	wantError(t, err, order.ErrUnsent, "shipping: ship order")
}

func TestCallThatGetsNoConnectionHasShippedNothing(t *testing.T) {
	t.Parallel()
	h := NewHTTP(1, nil, nil)
	t.Cleanup(h.Close)
	arrived, release := make(chan struct{}), make(chan struct{})
	addr := handling(t, func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	shipping, err := NewShipping(addr, h, patient)
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	first.Go(func() { _, _ = shipping.Ship(t.Context(), orderID, home, lines) })
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), soon.Ship)
	defer cancel()
	_, err = shipping.Ship(ctx, orderID, home, lines)
	wantError(t, err, order.ErrUnsent, "shipping: ship order")
	close(release)
	first.Wait()
}

func TestConnectionThatIsCutMayHaveShipped(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"before the answer":     "",
		"in its status":         "HTTP/1.1 20",
		"after its status":      "HTTP/1.1 200 OK\r\n",
		"in its headers":        "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n",
		"before its body":       "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n",
		"in its body":           "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"tracking_id\":\"T-1",
		"in a chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n{\"tracking_id\":",
		"before the last chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{\"tracking_id\":\"T-1\"}\r\n",
		"by something else":     "SSH-2.0-OpenSSH_9.2\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := handling(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			})
			_, err := newShipping(t, addr, patient).Ship(t.Context(), orderID, home, lines)
			wantPassing(t, err, "shipping: ship order")
		})
	}
}

// faithless is the address of an HTTP service that answers the first request of a connection and closes it after the
// second, without an answer. It counts the requests for each path.
func faithless(t *testing.T, answer string) (addr string, count func(path string) int) {
	t.Helper()
	var mu sync.Mutex
	counts := map[string]int{}
	addr = nettest.Serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for nth := range 2 {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			mu.Lock()
			counts[r.URL.Path]++
			mu.Unlock()
			if nth == 0 {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(answer))+"\r\n\r\n"+answer)
			}
		}
	})
	return addr, func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[path]
	}
}

func TestErrorsDoNotQuoteAMalformedAnswer(t *testing.T) {
	t.Parallel()
	const ok, said = "HTTP/1.1 200 OK\r\n", "a@leak.example"
	for name, answer := range map[string]string{
		"no HTTP":              said + "\r\n\r\n",
		"a version":            "HTTP/" + said + " 200 OK\r\n\r\n",
		"a status":             "HTTP/1.1 " + said + " OK\r\n\r\n",
		"a header line":        ok + said + "\r\n\r\n",
		"a first line":         ok + " " + said + "\r\n\r\n",
		"a length":             ok + "Content-Length: " + said + "\r\n\r\n",
		"two lengths":          ok + "Content-Length: 1\r\nContent-Length: " + said + "\r\n\r\n",
		"an encoding":          ok + "Transfer-Encoding: " + said + "\r\n\r\n",
		"a trailer":            ok + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + said + "\r\n\r\n",
		"the length of a part": ok + "Transfer-Encoding: chunked\r\n\r\n" + said + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := nettest.Serve(t, func(conn net.Conn) {
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(conn, answer)
				}
			})
			_, err := newShipping(t, addr, patient).Ship(t.Context(), orderID, home, lines)
			wantPassing(t, err, "shipping: ship order "+string(orderID), "the answer is not HTTP")
			if strings.Contains(err.Error(), "leak") {
				t.Errorf("the answer is quoted: %q", err)
			}
		})
	}
}

func TestQuestionOnAConnectionThatBreaksIsAskedAgainAndAnOrderIsNot(t *testing.T) {
	t.Parallel()
	addr, count := faithless(t, `{"cost_usd":{"currency_code":"USD","units":8,"nanos":0},"tracking_id":"X"}`)
	shipping := newShipping(t, addr, patient)
	for range 2 {
		if _, err := shipping.Quote(t.Context(), home, lines); err != nil {
			t.Error(err)
		}
	}
	if got := count("/get-quote"); got != 3 {
		t.Errorf("quotes asked for: %d, want 3", got)
	}
	// The connection of the last quote has one request left, which it does not answer.
	_, err := shipping.Ship(t.Context(), orderID, home, lines)
	wantPassing(t, err, "shipping: ship order")
	if got := count("/ship-order"); got != 1 {
		t.Errorf("shipments ordered: %d, want 1", got)
	}
}

func TestConnectionsAreUsedAgainAndBounded(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 9_000))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	email := newEmail(t, server.URL, patient)
	var calls sync.WaitGroup
	for range 64 {
		calls.Go(func() {
			if err := email.Confirm(t.Context(), placed(t)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if got := opened.Load(); got > 4 {
		t.Errorf("%d connections for 64 calls, want 4 at most", got)
	}
}

func TestTelemetryMayWrapTheTransport(t *testing.T) {
	t.Parallel()
	addr, _ := replying(t, 200, "")
	var wrapped roundTripper
	h := NewHTTP(1, nil, func(next http.RoundTripper) http.RoundTripper {
		wrapped.next = next
		return &wrapped
	})
	t.Cleanup(h.Close)
	email, err := NewEmail(addr, h, patient)
	if err != nil {
		t.Fatal(err)
	}
	if err := email.Confirm(t.Context(), placed(t)); err != nil {
		t.Fatal(err)
	}
	if wrapped.calls != 1 {
		t.Errorf("the wrapper has seen %d calls, want 1", wrapped.calls)
	}
}

type roundTripper struct {
	next  http.RoundTripper
	calls int
}

func (r *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	r.calls++
	return r.next.RoundTrip(req)
}

func TestAddressMayBeAHostOrAURL(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"shipping:50050":            "http://shipping:50050/get-quote",
		"http://shipping:50050":     "http://shipping:50050/get-quote",
		"http://shipping:50050/":    "http://shipping:50050/get-quote",
		"https://shop.example/base": "https://shop.example/base/get-quote",
		"[::1]:50050":               "http://[::1]:50050/get-quote",
	} {
		if got := newShipping(t, addr, usual).quote; got != want {
			t.Errorf("quotes of %q are asked at %q, want %q", addr, got, want)
		}
	}
	for _, addr := range []string{"", "http://", "ftp://shipping", "http://user:pass@shipping", "http://a b", "shipping?x=1"} {
		if _, err := NewShipping(addr, nil, usual); err == nil {
			t.Errorf("%q is taken for an address", addr)
		}
		_, err := NewEmail(addr, nil, usual)
		wantError(t, err, nil, "email: ")
		if strings.Contains(err.Error(), "pass@") {
			t.Errorf("the password leaks: %q", err)
		}
	}
}
