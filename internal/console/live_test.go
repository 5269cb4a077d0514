package console

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"checkout/internal/order"
)

// patience is how long a test waits for what must happen. Nothing is measured by it.
const patience = 30 * time.Second

// listen opens a stream of the console, and returns how to wait for the element of an id to contain something.
func (w *world) listen(t *testing.T, path string) (await func(id, content string)) {
	t.Helper()
	site := httptest.NewServer(w)
	t.Cleanup(site.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, site.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := site.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: status %d, %s; want 200 and a stream", path, r.StatusCode, r.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	return func(id, content string) {
		t.Helper()
		element, first := "", true
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			switch {
			case !ok:
				first = true
			case first:
				element, first = data, false
			case element == id && strings.Contains(data, content):
				return
			}
		}
		t.Fatalf("%s: element %q never has %q: %v", path, id, content, lines.Err())
	}
}

func TestAnOpenPageShowsWhatBecomesOfAnOrder(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	o := doubtful()
	w.put(t, o)
	page, list, attention := w.listen(t, "/live/orders/"+string(o.ID)), w.listen(t, "/live/orders?state=in_doubt"), w.listen(t, "/live/attention")
	page("state-of", "payment unknown")
	list("rows", string(o.ID))
	attention("rows", string(o.ID))
	done := *o
	done.State, done.TransactionID = order.Completed, "receipt-2"
	if err := w.record.Save(t.Context(), &done, order.InDoubt, time.Hour); err != nil {
		t.Fatal(err)
	}
	page("state-of", "completed")
	page("facts", "receipt-2")
	list("rows", "no such orders")
	attention("rows", "no such orders")
}

func TestAnOpenPageSaysWhenItIsNotFresh(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	list := w.listen(t, "/live/orders")
	list("rows", string(id(2)))
	if err := w.record.Close(); err != nil {
		t.Fatal(err)
	}
	list("stale", "cannot be read")
}

func TestTheOverviewFollowsTheService(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.now = time.Now
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { w.Watch(ctx) })
	t.Cleanup(func() { cancel(); watch.Wait() })
	overview := w.listen(t, "/live/overview")
	overview("notice", "No order requires manual action")
	w.put(t, doubtful())
	overview("notice", "1 order requires")
	overview("badge", "1")
}
