package console

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"html"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

// stands is the state on record of the order that is decided about.
func (w *world) stands(t *testing.T) order.State {
	t.Helper()
	o, err := w.record.Get(t.Context(), id(2))
	if err != nil {
		t.Fatal(err)
	}
	return o.State
}

func TestADecisionIsRecordedAndShown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		of     func() *order.Order
		action string
		form   url.Values
		want   order.State
	}{
		"paid":           {doubtful, "resolve", url.Values{"resolution": {"paid"}, "transaction_id": {" tx-1 "}}, order.Charged},
		"not paid":       {doubtful, "resolve", url.Values{"resolution": {"not_paid"}, "transaction_id": {""}}, order.Cancelled},
		"given back":     {doubtful, "resolve", url.Values{"resolution": {"refunded"}}, order.Refunded},
		"shipped":        {unshipped, "resolve", url.Values{"resolution": {"shipped"}, "tracking_id": {" parcel-2 "}}, order.Placed},
		"shipped again":  {unshipped, "retry", url.Values{}, order.Charged},
		"skipped":        {undelivered, "resolve", url.Values{"resolution": {"skip"}, "skip": {"email", "event"}}, order.Completed},
		"skipped partly": {undelivered, "resolve", url.Values{"resolution": {"skip"}, "skip": {"event"}}, order.Undelivered},
		"sent again":     {undelivered, "retry", url.Values{}, order.Placed},
	} {
		for _, accept := range []string{"text/html", "application/json"} {
			t.Run(name+" as "+accept, func(t *testing.T) {
				t.Parallel()
				w := open(t, Options{})
				w.put(t, test.of())
				form := url.Values{"by": {"grace"}, "why": {"seen in the books"}}
				maps.Copy(form, test.form)
				path := "/orders/" + string(id(2)) + "/" + test.action
				r := w.do(t, http.MethodPost, path, form, "Accept", accept)
				if accept == "text/html" {
					if got := w.stands(t); got != test.of().State || r.status != http.StatusOK {
						t.Fatalf("before it is confirmed the order is %v, answer %d", got, r.status)
					}
					r = w.do(t, http.MethodPost, path, hidden(r.body), "Accept", accept)
				}
				if accept == "text/html" && (r.status != http.StatusSeeOther || r.header.Get("Location") != "/orders/"+string(id(2))) {
					t.Errorf("status %d to %q, want 303 to the order", r.status, r.header.Get("Location"))
				}
				if accept != "text/html" && r.status != http.StatusOK {
					t.Errorf("status %d, want 200", r.status)
				}
				if got := w.stands(t); got != test.want {
					t.Errorf("the order is %v, want %v", got, test.want)
				}
				shown := w.get(t, "/orders/"+string(id(2))).body
				for _, want := range []string{"<b>grace</b>", "seen in the books"} {
					if !strings.Contains(shown, want) {
						t.Errorf("the order's page does not tell of %q", want)
					}
				}
			})
		}
	}
}

// hidden are the fields that a page of confirmation sends.
func hidden(page string) url.Values {
	fields := url.Values{}
	for _, f := range regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		fields.Add(f[1], html.UnescapeString(f[2]))
	}
	return fields
}

func TestADecisionIsConfirmedByWhoSeesWhatItIsAbout(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	r := w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve",
		url.Values{"resolution": {"paid"}, "transaction_id": {"tx-1"}, "by": {"grace"}, "why": {"seen in the books"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusOK, "confirm")
	fields := hidden(r.body)
	o, err := w.record.Get(t.Context(), id(2))
	if err != nil {
		t.Fatal(err)
	}
	o.Attempts++
	if err := w.record.Save(t.Context(), o, order.InDoubt, order.UntilResolved); err != nil {
		t.Fatal(err)
	}
	r = w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", fields, "Accept", "text/html")
	if r.status != http.StatusOK || !strings.Contains(r.body, "The order has changed since") || w.stands(t) != order.InDoubt {
		t.Errorf("an order that has changed is decided: %d, %v", r.status, w.stands(t))
	}
	r = w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", hidden(r.body), "Accept", "text/html")
	if r.status != http.StatusSeeOther || w.stands(t) != order.Charged {
		t.Errorf("the decision was not made: %d, %v", r.status, w.stands(t))
	}
}

func TestADecisionThatComesTwiceIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	path := "/orders/" + string(id(2)) + "/resolve"
	confirm := hidden(w.do(t, http.MethodPost, path, url.Values{"resolution": {"not_paid"}, "by": {"grace"}, "why": {"not listed"}}, "Accept", "text/html").body)
	for range 2 { // a double click
		if r := w.do(t, http.MethodPost, path, confirm, "Accept", "text/html"); r.status != http.StatusSeeOther {
			t.Errorf("status %d, want to be led to the order", r.status)
		}
	}
	if o, err := w.record.Get(t.Context(), id(2)); err != nil || o.State != order.Cancelled || len(o.History) != len(doubtful().History)+1 {
		t.Errorf("the order is %+v, %v; want it cancelled once", o, err)
	}
	confirm.Set("by", "ada") // somebody else, who has seen the same
	if r := w.do(t, http.MethodPost, path, confirm, "Accept", "text/html"); r.status != http.StatusConflict || !strings.Contains(r.body, "It was not done") {
		t.Errorf("status %d, want to be told that it was not done", r.status)
	}
}

func TestACompletedOrderIsRefundedAndAParkedOneCancelled(t *testing.T) {
	t.Parallel()
	parked := func() *order.Order {
		o := unshipped()
		o.ShipAttempts = 0
		return o
	}
	for name, test := range map[string]struct {
		of     func() *order.Order
		action string
		amount string
		want   order.State
		says   string
	}{
		"refunded":               {func() *order.Order { return asNumber(2, completed()) }, "refund", "CHF 212.96", order.Refunding, ""},
		"refunded, as one types": {func() *order.Order { return asNumber(2, completed()) }, "refund", " 212.96  chf ", order.Refunding, ""},
		"too much":               {func() *order.Order { return asNumber(2, completed()) }, "refund", "CHF 212.97", order.Completed, "CHF 212.96"},
		"in another currency":    {func() *order.Order { return asNumber(2, completed()) }, "refund", "EUR 212.96", order.Completed, "CHF 212.96"},
		"refunded in part":       {func() *order.Order { return asNumber(2, completed()) }, "refund", "CHF 12.96", order.Refunding, ""},
		"in part, not completed": {unshipped, "refund", "CHF 12.96", order.Parked, "only a completed order"},
		"no amount":              {func() *order.Order { return asNumber(2, completed()) }, "refund", "all", order.Completed, "amount: is not an amount of money"},
		"cancelled":              {parked, "cancel", "", order.Refunding, ""},
		"perhaps shipped":        {unshipped, "cancel", "", order.Parked, "perhaps shipped"},
		"perhaps shipped, back":  {unshipped, "refund", "CHF 212.96", order.Refunding, ""},
		"cancelled too late":     {func() *order.Order { return asNumber(2, completed()) }, "cancel", "", order.Completed, "it is completed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openKeyed(t)
			w.put(t, test.of())
			path := "/orders/" + string(id(2)) + "/" + test.action
			form := url.Values{"by": {"grace"}, "why": {"sent back"}, "amount": {test.amount}}
			r := w.do(t, http.MethodPost, path, form, "Accept", "text/html")
			if test.says == "" {
				r = w.do(t, http.MethodPost, path, hidden(r.body), "Accept", "text/html")
			}
			if got := w.stands(t); got != test.want || (test.says == "") != (r.status == http.StatusSeeOther) || !strings.Contains(r.body, test.says) {
				t.Errorf("the order is %v, answer %d\n%s\nwant %v, and %q", got, r.status, r.body, test.want, test.says)
			}
		})
	}
	w := openKeyed(t)
	w.put(t, asNumber(2, completed()))
	if shown := w.get(t, "/orders/"+string(id(2))).body; !strings.Contains(shown, `action="/orders/`+string(id(2))+`/refund"`) {
		t.Error("the page of a completed order offers no refund")
	}
}

func TestAContradictionIsRefusedBeforeItIsConfirmed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		of   func() *order.Order
		form url.Values
		says string
	}{
		"not paid, by a transaction":       {doubtful, url.Values{"resolution": {"not_paid"}, "transaction_id": {"tx-1"}}, "transaction id: belongs to an order that was paid"},
		"refunded, by a transaction":       {doubtful, url.Values{"resolution": {"refunded"}, "transaction_id": {"tx-1"}}, "transaction id: belongs to an order that was paid"},
		"paid, without a transaction":      {doubtful, url.Values{"resolution": {"paid"}}, "the transaction is missing"},
		"paid by that of another order":    {doubtful, url.Values{"resolution": {"paid"}, "transaction_id": {"tx-of-3"}}, "belongs to order " + string(id(3))},
		"not paid, though it was":          {unshipped, url.Values{"resolution": {"not_paid"}}, "it was paid, by transaction"},
		"shipped, though perhaps unpaid":   {doubtful, url.Values{"resolution": {"shipped"}, "tracking_id": {"p"}}, "it is not known whether it was paid"},
		"shipped, without a tracking id":   {unshipped, url.Values{"resolution": {"shipped"}}, "tracking id: is missing"},
		"shipped, and paid again":          {unshipped, url.Values{"resolution": {"shipped"}, "tracking_id": {"p"}, "transaction_id": {"t"}}, "transaction id: belongs to an order that was paid"},
		"skipped, and it is not delivered": {doubtful, url.Values{"resolution": {"skip"}, "skip": {"email"}}, "it is in doubt"},
		"without a reason":                 {doubtful, url.Values{"resolution": {"not_paid"}, "why": {""}}, "why: is missing"},
		"without a name":                   {doubtful, url.Values{"resolution": {"not_paid"}, "by": {""}}, "by: is missing"},
		"a customer's address":             {doubtful, url.Values{"resolution": {"not_paid"}, "why": {"told ada@example.com"}}, "e-mail address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, Options{})
			w.put(t, test.of())
			other := asNumber(3, completed())
			other.TransactionID = "tx-of-3"
			w.put(t, other)
			form := url.Values{"by": {"grace"}, "why": {"seen in the books"}}
			maps.Copy(form, test.form)
			r := w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", form, "Accept", "text/html")
			if r.status < 400 || !strings.Contains(strings.ReplaceAll(r.body, "_", " "), test.says) || strings.Contains(r.body, "data-testid=\"confirm\"") {
				t.Errorf("status %d, want a refusal that says %q", r.status, test.says)
			}
			if got := w.stands(t); got != test.of().State {
				t.Errorf("the order is %v, want it as before", got)
			}
		})
	}
}

func TestADecisionThatIsNotDoneIsExplainedAndNothingTypedIsLost(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, completed())
	w.put(t, doubtful())
	w.put(t, asNumber(3, unshipped()))
	w.put(t, asNumber(4, undelivered()))
	r := w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", url.Values{"resolution": {"paid"}, "by": {"grace"}, "why": {"she says so"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusConflict, "order_refused")
	r = w.do(t, http.MethodPost, "/orders/"+string(id(3))+"/retry", url.Values{"by": {" "}, "why": {"the carrier is back"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusBadRequest, "order_mistyped")
	r = w.do(t, http.MethodPost, "/orders/"+string(id(3))+"/resolve", url.Values{"resolution": {"shipped"}, "tracking_id": {"4432 8015 6152 0454"}, "by": {"grace"}, "why": {"so"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusBadRequest, "order_card")
	r = w.do(t, http.MethodPost, "/orders/"+string(id(4))+"/resolve", url.Values{"resolution": {"skip"}, "skip": {"cart", "event"}, "by": {"grace"}, "why": {"so"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusBadRequest, "order_skip_refused")
	r = w.do(t, http.MethodPost, "/orders/"+string(id(1))+"/retry", url.Values{"by": {"grace"}}, "Accept", "text/html")
	if shown := r.body; r.status != http.StatusConflict || !strings.Contains(shown, "does not wait for an operator") {
		t.Errorf("an order that does not rest is answered %d without why", r.status)
	}
	if got := w.stands(t); got != order.InDoubt {
		t.Errorf("the order is %v, want it in doubt as before", got)
	}
}

func TestOnlyDecisionsThatMakeSenseAreOffered(t *testing.T) {
	t.Parallel()
	const paid, notPaid, refunded, shipped, skipEmail, skipEvent = `value="paid"`, `value="not_paid"`, `value="refunded"`, `value="shipped"`, `name="skip" value="email"`, `name="skip" value="event"`
	all := []string{paid, notPaid, refunded, shipped, skipEmail, skipEvent, "Ship again", "Send again", "Ask again", "Refund again"}
	change := func(o *order.Order, c func(*order.Order)) *order.Order { c(o); return o }
	for name, test := range map[string]struct {
		of   *order.Order
		want []string
	}{
		"in doubt":                     {doubtful(), []string{paid, notPaid, refunded}},
		"parked, shipped or not":       {unshipped(), []string{refunded, shipped, "Ship again"}},
		"parked, paid or not":          {change(unshipped(), func(o *order.Order) { o.TransactionID = "" }), []string{paid, notPaid, refunded}},
		"parked, not refunded":         {change(unshipped(), func(o *order.Order) { o.History[2].State = order.Refunding }), []string{refunded}},
		"refunding":                    {numbered(2, order.Refunding), []string{refunded}},
		"undelivered":                  {undelivered(), []string{skipEmail, skipEvent, "Send again"}},
		"undelivered but the event":    {change(undelivered(), func(o *order.Order) { o.Undeliverable = order.EmailSent }), []string{skipEmail, "Send again"}},
		"completed, nothing to decide": {numbered(2, order.Completed), nil},
	} {
		w := open(t, Options{})
		w.put(t, test.of)
		shown := w.get(t, "/orders/"+string(id(2))).body
		var got []string
		for _, what := range all {
			if strings.Contains(shown, what) {
				got = append(got, what)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLookingDecidesNothing(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	for _, action := range []string{"resolve", "retry"} {
		r := w.get(t, "/orders/"+string(id(2))+"/"+action+"?resolution=not_paid&by=grace&why=so")
		if r.status < 400 {
			t.Errorf("GET of %s: status %d, want a refusal", action, r.status)
		}
	}
	if got := w.stands(t); got != order.InDoubt {
		t.Errorf("the order is %v, want it in doubt as before", got)
	}
}

func TestADecisionWithoutAnAnswerIsReportedAsUnknown(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Canceled} {
		for _, known := range []bool{true, false} { // whether the order can still be read
			w := open(t, Options{})
			w.put(t, doubtful())
			rest := w.services[0]
			is, err := w.services.order(t.Context(), &checkoutv1.GetOrderRequest{OrderId: string(id(2))})
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int32
			torn := &desk{
				get: func() (*checkoutv1.Order, error) {
					if asked.Add(1) > 2 { // once to see that the order is as it was confirmed, and once to see who has it
						return nil, status.Error(codes.Unavailable, "away")
					}
					return is, nil
				},
				resolve: func(req *checkoutv1.ResolveOrderRequest) (*checkoutv1.Order, error) {
					// It is recorded, and only the answer is lost.
					_, err := checkoutv1.NewOrderAdminClient(rest.Conn).ResolveOrder(t.Context(), req)
					if err != nil {
						t.Error(err)
					}
					return nil, status.Error(code, "the line is torn")
				},
			}
			w.services = services{torn.service(t, "one whose answers are lost")}
			if known {
				w.services = append(w.services, rest)
			}
			form := url.Values{"resolution": {"not_paid"}, "by": {"grace"}, "why": {"not in the books"}, "seen": {seen(is)}}
			path := "/orders/" + string(id(2)) + "/resolve"
			r := w.do(t, http.MethodPost, path, form, "Accept", "text/html")
			if strings.Contains(r.body, "was not done") || !strings.Contains(r.body, "It is not known whether it was done") {
				t.Errorf("%v: a decision that was recorded is not told as one that may be:\n%s", code, r.body)
			}
			if got := w.stands(t); got != order.Cancelled {
				t.Errorf("%v: the order is %v, want it cancelled", code, got)
			}
		}
	}
}

func TestWhoShowsACertificateDecidesByItsName(t *testing.T) {
	t.Parallel()
	w := open(t, Options{Proven: true})
	w.put(t, unshipped())
	ask := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://localhost"+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		leaf := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "grace", Organization: []string{"Payments"}}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
		answer := httptest.NewRecorder()
		w.ServeHTTP(answer, r)
		return answer
	}
	one := "/orders/" + string(id(2))
	if shown := ask(http.MethodGet, one, nil).Body.String(); strings.Count(shown, `name="by" value="CN=grace,O=Payments" readonly`) != 2 {
		t.Errorf("the forms do not have the certificate's subject, for nobody to change:\n%s", shown)
	}
	confirm := hidden(ask(http.MethodPost, one+"/resolve", url.Values{"resolution": {"refunded"}, "by": {"somebody else"}, "why": {"so"}}).Body.String())
	confirm.Set("by", "somebody else")
	ask(http.MethodPost, one+"/resolve", confirm)
	shown := ask(http.MethodGet, one, nil).Body.String()
	if !strings.Contains(shown, "<b>CN=grace,O=Payments</b>") || strings.Contains(shown, "somebody else") {
		t.Errorf("the history does not show the certificate's subject:\n%s", shown)
	}
}

func TestAnUnverifiedCertificateNamesNoOperator(t *testing.T) {
	t.Parallel()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0xbeef)}
	for name, test := range map[string]struct {
		state *tls.ConnectionState
		want  string
	}{
		"no TLS":                {nil, ""},
		"not verified":          {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, ""},
		"verified, without one": {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}, "certificate beef"},
	} {
		if got := signer(&http.Request{TLS: test.state}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
