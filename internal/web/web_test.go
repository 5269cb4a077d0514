package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask has h answer a request of those headers, which are names and values.
func ask(t *testing.T, h http.Handler, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer
}

func fine(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}
}

func TestASecureSiteTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	site := Secure(http.HandlerFunc(fine))
	for _, test := range []struct {
		method  string
		headers []string
		want    int
	}{
		{http.MethodPost, nil, http.StatusOK}, // no browser
		{http.MethodPost, []string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		{http.MethodPost, []string{"Sec-Fetch-Site", "none"}, http.StatusOK},
		{http.MethodPost, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{http.MethodPost, []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		{http.MethodPost, []string{"Origin", "http://other.example"}, http.StatusForbidden},
		{http.MethodPost, []string{"Origin", "http://localhost"}, http.StatusOK},
		{http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusOK},
	} {
		r := ask(t, site, test.method, "http://localhost/", nil, test.headers...)
		if r.Code != test.want {
			t.Errorf("%s with %q: status %d, want %d", test.method, test.headers, r.Code, test.want)
		}
		if policy := r.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s with %q: the policy is %q", test.method, test.headers, policy)
		}
	}
}

func TestABodyIsBounded(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{maxBody: http.StatusOK, maxBody + 1: http.StatusRequestEntityTooLarge} {
		r := ask(t, Secure(http.HandlerFunc(fine)), http.MethodPost, "http://localhost/", strings.NewReader(strings.Repeat("x", size)))
		if r.Code != want {
			t.Errorf("a body of %d bytes: status %d, want %d", size, r.Code, want)
		}
	}
}

func TestWhichNamesAreLocal(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "localhost:80": true, "shop.localhost:8088": true, "127.0.0.1:8088": true, "[::1]:8088": true, "[::1]": true,
		"192.0.2.7:80": true, // an address is no name that somebody else could own
		"example.com":  false, "localhost.example.com": false, "127.0.0.1.example.com:80": false, "notlocalhost": false, "": false,
	} {
		if got := local(host); got != want {
			t.Errorf("%q is local: %v, want %v", host, got, want)
		}
	}
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "localhost:80": true, "[::1]:80": true, "127.9.9.9:1": true,
		"0.0.0.0:80": false, ":80": false, "[::]:80": false, "192.0.2.7:80": false, "example.com:80": false, "127.0.0.1": false,
	} {
		if got := IsLoopback(address); got != want {
			t.Errorf("%q is reached by this machine alone: %v, want %v", address, got, want)
		}
	}
}

func TestAnAssetIsKeptAsLongAsItIsTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"style.css", "live.js", "icon.svg"} {
		address, err := assetPath(name)
		if err != nil {
			t.Fatal(err)
		}
		marked := ask(t, Assets(), http.MethodGet, "http://localhost"+address, nil)
		if got := marked.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s is to be kept as %q, want for long", address, got)
		}
		plain := ask(t, Assets(), http.MethodGet, "http://localhost/assets/"+name, nil)
		if got := plain.Header().Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s without its mark is to be kept as %q, want no-cache", name, got)
		}
		again := ask(t, Assets(), http.MethodGet, "http://localhost/assets/"+name, nil, "If-None-Match", plain.Header().Get("ETag"))
		if again.Code != http.StatusNotModified {
			t.Errorf("%s asked for again: status %d, want 304", name, again.Code)
		}
	}
	if r := ask(t, Assets(), http.MethodGet, "http://localhost/assets/other.css", nil); r.Code != http.StatusNotFound {
		t.Errorf("an asset that there is not: status %d, want 404", r.Code)
	}
	if _, err := (Site{}).funcs()["asset"].(func(string) (string, error))("other.css"); err == nil {
		t.Error("a page may name an asset that there is not")
	}
}

func TestAPageThatCannotBeMadeIsNotHalfShown(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	pages, err := NewPages(Site{Name: "A site", Log: slog.New(slog.NewTextHandler(&log, nil))}, folder{
		"one.html": `{{define "main"}}<p>begun {{template "shared"}} {{.Data.Missing.Deeper}}{{end}}`, "_two.html": `{{define "shared"}}shared{{end}}`,
	}.files())
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	pages.Show(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), http.StatusOK, "one", Page{Data: 7})
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "begun") || !strings.Contains(log.String(), "page=one") {
		t.Errorf("status %d with %q, logged %q; want 500, nothing of the page, and why", answer.Code, answer.Body, log.String())
	}
	emitted := false
	err = pages.Emit(t.Context(), func(string, []byte) error { emitted = true; return nil }, "one", "main", "id", 7)
	if err == nil || emitted || !strings.Contains(log.String(), "part=main") {
		t.Errorf("of a part: %v, emitted %t, logged %q; want an error, nothing, and why", err, emitted, log.String())
	}
}

func TestTheLayoutOfAPage(t *testing.T) {
	t.Parallel()
	pages, err := NewPages(Site{Name: "A site", Base: "/here", Nav: []Link{{Text: "One", Path: "/"}, {Text: "Other", Path: "https://other.example/", Badge: "b"}}},
		folder{"one.html": `{{define "main"}}<p>{{.}}</p>{{end}}`}.files())
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	pages.Show(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), http.StatusTeapot, "one",
		Page{Title: "<T>", Nav: "/", Live: "/live", Badges: map[string]string{"b": "3"}, Data: "<hello>"})
	shown := answer.Body.String()
	for _, want := range []string{
		"<title>&lt;T&gt; · A site</title>", "<p>&lt;hello&gt;</p>", `data-live="/here/live"`,
		`<a href="/here/" aria-current="page">One</a>`, `<a href="https://other.example/">Other <span class="count" id="b">3</span></a>`,
		`<a class="skip" href="#main">`, `<main id="main"`, `lang="en"`, `href="/here/assets/style.css?`,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page has no %s in it:\n%s", want, shown)
		}
	}
	if answer.Code != http.StatusTeapot || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, kept as %q; want 418, no-store", answer.Code, answer.Header().Get("Cache-Control"))
	}
}

// Every text can be read on what it stands on, by WCAG 2.2, 1.4.3: in light and in dark.
func TestTextsHaveContrast(t *testing.T) {
	t.Parallel()
	style, err := assets.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := strings.SplitN(string(style), "prefers-color-scheme: dark", 2)
	light := colours(schemes[0])
	dark := colours(schemes[1])
	for name, scheme := range map[string]map[string]float64{"light": light, "dark": dark} {
		for _, pair := range [][2]string{
			{"text", "bg"},
			{"text", "surface"},
			{"text", "sunken"},
			{"muted", "bg"},
			{"muted", "surface"},
			{"muted", "sunken"},
			{"accent", "bg"},
			{"accent", "surface"},
			{"accent", "sunken"},
			{"on-accent", "accent"},
			{"surface", "bad"},
			{"good", "good-bg"},
			{"warn", "warn-bg"},
			{"bad", "bad-bg"},
			{"info", "info-bg"},
			{"bad", "surface"},
		} {
			if got := contrast(scheme[pair[0]], scheme[pair[1]]); got < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want 4.5", name, pair[0], pair[1], got)
			}
		}
		for _, mark := range []string{"c1", "c2", "c3", "c4", "c5", "c6", "c7", "edge"} { // 1.4.11: what is no text
			if got := contrast(scheme[mark], scheme["surface"]); got < 3 {
				t.Errorf("%s: %s has a contrast of %.2f, want 3", name, mark, got)
			}
		}
	}
}

// colours are the relative luminances of the colours that a style names first.
func colours(style string) map[string]float64 {
	found := map[string]float64{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(style, -1) {
		if _, known := found[m[1]]; !known {
			found[m[1]] = luminance(m[2])
		}
	}
	return found
}

func TestQuantilesAreOfWhatWasSeen(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{hundred, 0.5, 50},
		{hundred, 0.9, 90},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{nil, 0.5, 0},
		{hundred[:1], 0.5, 1},
		{hundred[:3], 0.5, 2},
		{hundred[:10], 0.99, 10},
	} {
		if got := Quantile(test.sorted, test.q); got != test.want {
			t.Errorf("quantile %v of %d: %d, want %d", test.q, len(test.sorted), got, test.want)
		}
	}
}
