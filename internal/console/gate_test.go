package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/internal/order"
)

const secret = "0123456789abcdef"

func TestWithATokenOthersAreRefused(t *testing.T) {
	t.Parallel()
	w := open(t, Options{Token: secret})
	w.put(t, doubtful())
	one := "/orders/" + string(id(2))
	for _, path := range []string{"/", "/orders", one, "/attention", "/live/overview", "/live/orders", "/live" + one, "/live/attention", "/openapi.yaml", "/nothing"} {
		for _, headers := range [][]string{
			{},
			{"Authorization", "Bearer " + secret + "0"},
			{"Authorization", "Basic " + secret},
			{"Cookie", sessionCookie + "=" + secret},
			{"Cookie", sessionCookie + "="},
		} {
			if r := w.do(t, http.MethodGet, path, nil, headers...); r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s with %q: status %d, want 401", path, headers, r.status)
			}
		}
	}
	r := w.do(t, http.MethodPost, one+"/resolve", url.Values{"resolution": {"not_paid"}, "by": {"eve"}, "why": {"so"}}, "Accept", "text/html")
	if got := w.stands(t); r.status != http.StatusUnauthorized || got != order.InDoubt {
		t.Errorf("a decision without the token: status %d, and the order is %v; want 401, and in doubt", r.status, got)
	}
	if r := w.do(t, http.MethodGet, "/orders", nil, "Authorization", "Bearer "+secret); r.status != http.StatusOK {
		t.Errorf("with the token: status %d, want 200", r.status)
	}
	if r := w.get(t, "/assets/style.css"); r.status != http.StatusOK {
		t.Errorf("what the form looks like: status %d, want 200", r.status)
	}
}

func TestSigningInAndOut(t *testing.T) {
	t.Parallel()
	w := open(t, Options{Token: secret, Base: "/console"})
	r := w.get(t, "/console/orders?state=parked")
	form, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusSeeOther || form.Path != "/console/login" {
		t.Fatalf("a stranger is answered %d, and led to %q, want 303 to the form", r.status, r.header.Get("Location"))
	}
	next := form.Query().Get("next")
	if r := w.do(t, http.MethodPost, "/console/login", url.Values{"token": {"another"}, "next": {next}}); r.status != http.StatusUnauthorized || len(r.cookies) > 0 {
		t.Errorf("another token is answered %d with cookies %v, want 401 and none", r.status, r.cookies)
	}
	r = w.do(t, http.MethodPost, "/console/login", url.Values{"token": {secret}, "next": {next}})
	if got := r.header.Get("Location"); r.status != http.StatusSeeOther || got != "/console/orders?state=parked" {
		t.Errorf("the token is answered %d, and leads to %q, want 303 to what was asked for", r.status, got)
	}
	cookies := r.cookies
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Path != "/console/" || strings.Contains(cookies[0].Value, secret) {
		t.Fatalf("the pass is %v, want one for scripts and other sites not to use, without the token in it", cookies)
	}
	pass := cookies[0].Name + "=" + cookies[0].Value
	if r := w.do(t, http.MethodGet, "/console/orders", nil, "Accept", "text/html", "Cookie", pass); r.status != http.StatusOK {
		t.Errorf("with the pass: status %d, want 200", r.status)
	}
	if r := w.do(t, http.MethodPost, "/console/logout", nil, "Cookie", pass); len(r.cookies) != 1 || r.cookies[0].MaxAge >= 0 {
		t.Errorf("signing out leaves %v, want the pass taken away", r.cookies)
	}
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	w := open(t, Options{Token: secret})
	for _, next := range []string{"", "//evil.example/", "https://evil.example/", `/\evil.example`, `\\evil.example`, "orders", "javascript:alert(1)", "/\t/evil.example"} {
		r := w.do(t, http.MethodPost, "/login", url.Values{"token": {secret}, "next": {next}})
		if got := r.header.Get("Location"); got != "/" {
			t.Errorf("next=%q leads to %q, want the first page", next, got)
		}
	}
}

func TestOtherSitesCanDecideNothing(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, doubtful())
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
	} {
		r := w.do(t, http.MethodPost, "/orders/"+string(id(2))+"/resolve", url.Values{"resolution": {"not_paid"}, "by": {"eve"}, "why": {"so"}}, headers...)
		if got := w.stands(t); r.status != http.StatusForbidden || got != order.InDoubt {
			t.Errorf("%q: status %d, and the order is %v; want 403, and in doubt", headers, r.status, got)
		}
	}
}

func TestWithoutATokenNoOtherNameLeadsHere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options Options
		host    string
		want    int
	}{
		{Options{}, "localhost:8070", http.StatusOK},
		{Options{}, "127.0.0.1:8070", http.StatusOK},
		{Options{}, "[::1]:8070", http.StatusOK},
		{Options{}, "evil.example:8070", http.StatusMisdirectedRequest},
		{Options{}, "localhost.evil.example", http.StatusMisdirectedRequest},
		{Options{Proven: true}, "console.example", http.StatusOK},
		{Options{Token: secret}, "console.example", http.StatusOK},
	} {
		w := open(t, test.options)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+test.host+"/orders", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		answer := httptest.NewRecorder()
		if w.ServeHTTP(answer, r); answer.Code != test.want {
			t.Errorf("asked as %s: status %d, want %d", test.host, answer.Code, test.want)
		}
	}
}

func TestSecurityHeadersOfPages(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	for _, path := range []string{"/", "/orders", "/nothing", "/assets/live.js"} {
		header := w.get(t, path).header
		got := map[string]string{}
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
			got[name] = header.Get(name)
		}
		want := map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
				"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestNothingStandsInAPageThatItsPolicyForbids(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.put(t, completed())
	w.put(t, doubtful())
	w.busy()
	for _, path := range []string{"/", "/orders", "/orders/" + string(id(1)), "/orders/" + string(id(2)), "/attention", "/login", "/nothing"} {
		shown := w.get(t, path).body
		for _, forbidden := range []string{" style=", "<style", " onclick=", "<script>", "javascript:", "data:"} {
			if strings.Contains(shown, forbidden) {
				t.Errorf("%s has %q in it", path, forbidden)
			}
		}
	}
}

func TestAConsoleIsNotMadeOfWrongOptions(t *testing.T) {
	t.Parallel()
	some := []Service{{Name: "a service"}}
	for name, options := range map[string]Options{
		"no service":     {},
		"a short token":  {Services: some, Token: secret[1:]},
		"no trace's URL": {Services: some, TraceURL: "http://localhost:16686/trace/"},
	} {
		if _, err := New(options); err == nil {
			t.Errorf("%s: a console was made of it", name)
		}
	}
}

func TestAPassIsGoodForItsTime(t *testing.T) {
	t.Parallel()
	g, now := newGate(secret), time.Unix(1_800_000_000, 0)
	pass := g.session(now.Add(sessionTime))
	later := g.session(now.Add(2 * sessionTime))
	for name, test := range map[string]struct {
		pass string
		at   time.Time
		want bool
	}{
		"at first":             {pass, now, true},
		"just before its end":  {pass, now.Add(sessionTime - time.Second), true},
		"at its end":           {pass, now.Add(sessionTime), false},
		"with another's end":   {later[:strings.Index(later, ".")] + pass[strings.Index(pass, "."):], now, false},
		"of another token":     {newGate(secret + "0").session(now.Add(sessionTime)), now, false},
		"that is none":         {"", now, false},
		"without a signature":  {strconv.FormatInt(now.Add(sessionTime).Unix(), 10), now, false},
		"with a sign too many": {"+" + pass, now, false},
	} {
		if got := g.valid(test.pass, test.at); got != test.want {
			t.Errorf("a pass %s is honoured: %t, want %t", name, got, test.want)
		}
	}
}
