package console

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"checkout/internal/order"
)

// found are the orders that a page lists.
func found(t *testing.T, r *reply) (ids []string) {
	t.Helper()
	var l orderList
	decode(t, r, &l)
	for _, o := range l.Orders {
		ids = append(ids, strings.TrimLeft(o.ID[len(o.ID)-4:], "0"))
	}
	return ids
}

func TestOrdersAreFoundByWhatAnOperatorKnows(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	for n := range 4 {
		o := asNumber(n+1, completed())
		o.UserID, o.Email = []string{"ada", "bob"}[n%2], order.EmailAddress([]string{"Ada@example.com", "bob@example.com"}[n/2])
		o.TransactionID, o.TrackingID = "tx-"+string(rune('1'+n)), "parcel-"+string(rune('1'+n))
		w.put(t, o)
	}
	for query, want := range map[string][]string{
		"user=ada": {"3", "1"}, "transaction=tx-2": {"2"}, "tracking=parcel-4": {"4"}, "user=ada&tracking=parcel-4": nil,
		"user=bob&state=completed": {"4", "2"}, "order=" + string(id(1))[:9]: {"4", "3", "2", "1"}, "user=nobody": nil,
	} {
		if got := found(t, w.do(t, http.MethodGet, "/orders?"+query, nil, "Accept", "application/json")); !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", query, got, want)
		}
	}
	r := w.do(t, http.MethodPost, "/orders", url.Values{"email": {" ada@EXAMPLE.com "}, "user": {"bob"}}, "Accept", "application/json")
	if got := found(t, r); !slices.Equal(got, []string{"2"}) {
		t.Errorf("the address finds %v", got)
	}
	r = w.do(t, http.MethodPost, "/orders", url.Values{"user": {"bob"}, "state": {"completed"}}, "Accept", "text/html")
	if at := r.header.Get("Location"); r.status != http.StatusSeeOther || at != "/orders?state=completed&user=bob" {
		t.Errorf("a search without an address leads to %q, %d", at, r.status)
	}
	r = w.do(t, http.MethodGet, "/orders?order="+string(id(1)), nil, "Accept", "text/html")
	if at := r.header.Get("Location"); r.status != http.StatusSeeOther || at != "/orders/"+string(id(1)) {
		t.Errorf("a whole id leads to %q, %d", at, r.status)
	}
}

func TestTextThatIsNotUTF8IsRefusedByItsName(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	for path, field := range map[string]string{
		"/orders?user=%ff": "user", "/orders?transaction=%ff": "transaction", "/orders?tracking=a%c3": "tracking", "/orders?order=%ff": "order",
		"/orders?key=k&user=%ff": "user", "/audit?order=%ff": "order",
	} {
		r := w.do(t, http.MethodGet, path, nil, "Accept", "application/json")
		if want := `the field \"` + field + `\" is not UTF-8`; r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want 400 and %s", path, r.status, r.body, want)
		}
	}
	for _, path := range []string{"/orders", "/orders/" + string(id(1)) + "/resolve", "/audit/export"} {
		r := w.do(t, http.MethodPost, path, url.Values{"by": {"\xff"}}, "Accept", "application/json")
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, `the field \"by\" is not UTF-8`) {
			t.Errorf("POST %s: %d %s, want 400", path, r.status, r.body)
		}
	}
	if r := w.do(t, http.MethodGet, "/orders/%ff", nil, "Accept", "application/json"); r.status != http.StatusNotFound {
		t.Errorf("an id that is not UTF-8: %d %s, want 404", r.status, r.body)
	}
}

func TestTheAddressThatIsSearchedIsInNoLink(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	const orders = pageSize + 1
	for n := range orders {
		o := asNumber(n+1, completed())
		o.Email = "ada@example.com"
		w.put(t, o)
	}
	r := w.do(t, http.MethodPost, "/orders", url.Values{"email": {"ada@example.com"}}, "Accept", "text/html")
	for _, link := range strings.Split(r.body, "href=\"")[1:] {
		if link, _, _ = strings.Cut(link, "\""); strings.Contains(link, "ada") {
			t.Errorf("%s has the address in it", link)
		}
	}
	_, token, more := strings.Cut(r.body, "name=\"page\" value=\"")
	if !more || strings.Contains(r.body, "data-live=\"/live/orders") {
		t.Fatal("there is no button for the next page, or the page asks by its address")
	}
	token, _, _ = strings.Cut(token, "\"")
	r = w.do(t, http.MethodPost, "/orders", url.Values{"email": {"ada@example.com"}, "page": {token}}, "Accept", "application/json")
	if got := found(t, r); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the next page has %v, want the oldest order", got)
	}
}

func TestASelectionIsExported(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	for n := range 3 {
		o := asNumber(n+1, completed())
		o.Reason = []string{"=HYPERLINK(0)", "a, \"b\"", "@x"}[n]
		w.put(t, o)
	}
	w.put(t, asNumber(9, doubtful()))
	r := w.do(t, http.MethodPost, "/orders/export", url.Values{"format": {"csv"}, "state": {"completed"}}, "Accept", "text/html")
	rows, err := csv.NewReader(strings.NewReader(r.body)).ReadAll()
	if err != nil || len(rows) != 4 || rows[0][0] != "order_id" {
		t.Fatalf("%v, %v; want a head and three orders", rows, err)
	}
	for i, want := range []string{"'@x", "a, \"b\"", "'=HYPERLINK(0)"} {
		if got := rows[i+1]; got[len(got)-1] != want || got[0] != string(id(3-i)) || got[4] != "CHF" {
			t.Errorf("row %d is %q, want order %s with %q", i+1, got, id(3-i), want)
		}
	}
	r = w.do(t, http.MethodPost, "/orders/export", url.Values{"format": {"json"}, "state": {"refunded"}}, "Accept", "text/html")
	var none []any
	if err := json.Unmarshal([]byte(r.body), &none); err != nil || none == nil || len(none) > 0 {
		t.Errorf("no orders are exported as %q", r.body)
	}
}

func TestTheAuditLogIsExported(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	for n := range 2 {
		w.put(t, asNumber(n+2, doubtful()))
		path := "/orders/" + string(id(n+2)) + "/resolve"
		w.do(t, http.MethodPost, path, url.Values{"resolution": {"not_paid"}, "by": {"=grace"}, "why": {"not listed"}}, "Accept", "application/json")
	}
	r := w.do(t, http.MethodPost, "/audit/export", url.Values{"format": {"csv"}}, "Accept", "text/html")
	rows, err := csv.NewReader(strings.NewReader(r.body)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][2] != "order_id" || rows[1][2] != string(id(3)) || rows[1][5] != "'=grace" || rows[1][9] != "cancelled" {
		t.Errorf("%q, %v; want a head and two entries, the newest first", rows, err)
	}
	r = w.do(t, http.MethodPost, "/audit/export", url.Values{"format": {"json"}, "order": {string(id(2))}}, "Accept", "text/html")
	var entries []auditEntry
	if err := json.Unmarshal([]byte(r.body), &entries); err != nil || len(entries) != 1 || entries[0].Order != string(id(2)) || entries[0].By != "=grace" {
		t.Errorf("%v, %v; want the entry of that order", entries, err)
	}
}

func TestTheOverviewNamesWhatRequiresAnOperatorAndItsMoney(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	for n := range 7 {
		w.put(t, asNumber(n+1, doubtful()))
	}
	w.busy()
	shown := w.get(t, "/").body
	if !strings.Contains(shown, "At stake: <b>CHF 1490.72</b>") {
		t.Errorf("the overview does not tell the money at stake:\n%s", shown)
	}
	for n := range 7 {
		if named := strings.Contains(shown, string(id(n+1))); named != (n < 5) {
			t.Errorf("order %d of 7 is named: %t, want the five oldest", n+1, named)
		}
	}
}

func TestProductsHaveTheirNames(t *testing.T) {
	t.Parallel()
	w := open(t, Options{ProductName: func(id string) string { return map[string]string{"OLJCESPC7Z": "Explorascope"}[id] }})
	w.put(t, completed())
	if shown := w.get(t, "/orders/"+string(id(1))).body; !strings.Contains(shown, `<th scope="row">Explorascope <span class="mono small muted">OLJCESPC7Z</span></th>`) {
		t.Errorf("the product has no name:\n%s", shown)
	}
}

func TestWhatOperatorsDidIsShown(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", url.Values{"resolution": {"paid"}, "transaction_id": {"tx-1"}, "by": {"<grace>"}, "why": {"seen in the books"}}, "Accept", "application/json")
	w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/retry", url.Values{"by": {"ada"}}, "Accept", "application/json")
	shown := w.get(t, "/audit").body
	for _, want := range []string{"<b>paid</b> <span>done</span>", "<b>retry</b> <span>refused</span>", "&lt;grace&gt;", "(name as given)", "seen in the books", "payment unknown → charged, transaction <span class=\"mono\">tx-1</span>"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page lacks %q:\n%s", want, shown)
		}
	}
}
