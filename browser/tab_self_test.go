//go:build browser

package browser

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"checkout/internal/web"
)

// A tab must see what it is there to see: else every other test here would pass in vain.
func TestATabSeesWhatGoesWrong(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for _, test := range []struct{ page, want string }{
		{`<img src="` + other.URL + `/picture" alt="">`, "the page asks for " + other.URL},
		{`<style>p { color: red }</style>`, "Content Security Policy"},
		{`<script src="/console.js"></script>`, "console.error"},
		{`<script src="/throws.js"></script>`, "an exception"},
		{`<img src="/missing.png" alt="">`, "404"},
	} {
		site := http.NewServeMux()
		for path, text := range map[string]string{"/console.js": "console.error('oh')", "/throws.js": "throw new Error('oh')"} {
			site.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = w.Write([]byte(text))
			})
		}
		site.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			if strings.Contains(test.page, other.URL) {
				w.Header().Del("Content-Security-Policy") // which would keep the browser from it
			}
			_, _ = w.Write([]byte(`<!doctype html><title>A page</title>` + test.page))
		})
		server := httptest.NewServer(web.Secure(site))
		p := newTab(t, server.URL)
		p.visit("/")
		wrong := p.wrongs()
		if !slices.ContainsFunc(wrong, func(what string) bool { return strings.Contains(what, test.want) }) {
			t.Errorf("%s: the tab sees %q, want %q", test.page, wrong, test.want)
		}
		server.Close()
	}
}
