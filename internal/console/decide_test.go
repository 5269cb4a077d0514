package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

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
	parked := func() *order.Order {
		o := numbered(2, order.Parked)
		o.TransactionID = "receipt-2"
		o.Story = []order.Event{{At: o.Created, State: order.Charging}, {At: o.Created, State: order.Charged}, {At: o.Created, State: order.Parked}}
		return o
	}
	for name, test := range map[string]struct {
		of     func() *order.Order
		action string
		form   url.Values
		want   order.State
	}{
		"paid":        {doubtful, "resolve", url.Values{"verdict": {"paid"}, "transaction_id": {" tx-1 "}}, order.Charged},
		"not paid":    {doubtful, "resolve", url.Values{"verdict": {"not_paid"}, "transaction_id": {""}}, order.Cancelled},
		"given back":  {doubtful, "resolve", url.Values{"verdict": {"refunded"}, "transaction_id": {"typed before the choice was changed"}}, order.Refunded},
		"tried again": {parked, "retry", url.Values{}, order.Charged},
	} {
		for _, accept := range []string{"text/html", "application/json"} {
			t.Run(name+" as "+accept, func(t *testing.T) {
				t.Parallel()
				w := open(t, Options{})
				w.put(t, test.of())
				form := url.Values{"by": {"grace"}, "why": {"seen in the books"}}
				for name, values := range test.form {
					form[name] = values
				}
				r := w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/"+test.action, form, "Accept", accept)
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

func TestADecisionThatIsNotDoneIsExplainedAndNothingTypedIsLost(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, completed())
	w.put(t, doubtful())
	r := w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", url.Values{"verdict": {"paid"}, "by": {"grace"}, "why": {"she says so"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusConflict, "order_refused")
	r = w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/retry", url.Values{"by": {" "}, "why": {"the carrier is back"}}, "Accept", "text/html")
	wantPage(t, r, http.StatusBadRequest, "order_mistyped")
	r = w.do(t, http.MethodPost, "/orders/"+string(id(1))+"/retry", url.Values{"by": {"grace"}}, "Accept", "text/html")
	if shown := r.body; r.status != http.StatusConflict || !strings.Contains(shown, "does not wait for a person") {
		t.Errorf("an order that does not rest is answered %d without why", r.status)
	}
	if got := w.stands(t); got != order.InDoubt {
		t.Errorf("the order is %v, want it in doubt as before", got)
	}
}

func TestLookingDecidesNothing(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	for _, action := range []string{"resolve", "retry"} {
		r := w.get(t, "/orders/"+string(id(2))+"/"+action+"?verdict=not_paid&by=grace&why=so")
		if r.status < 400 {
			t.Errorf("GET of %s: status %d, want a refusal", action, r.status)
		}
	}
	if got := w.stands(t); got != order.InDoubt {
		t.Errorf("the order is %v, want it in doubt as before", got)
	}
}
