package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"checkout/internal/web"
)

// answer answers with data: as JSON, or as the page of that name.
func (c *Console) answer(w http.ResponseWriter, r *http.Request, status int, name string, data any, page web.Page) {
	w.Header().Set("Vary", "Accept")
	if !wantsJSON(r) {
		page.Badges = map[string]string{"badge": string(c.badge())}
		c.pages.Show(w, r, status, name, page)
		return
	}
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		c.log.ErrorContext(r.Context(), "JSON was not encoded", "page", name, "error", err)
		http.Error(w, "this answer could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the reader may have gone
}

// wantsJSON reports whether the caller is a program, rather than a browser.
func wantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// trouble is the answer when something cannot be shown.
type trouble struct {
	Error *failure `json:"error"`
}

// fail answers with why something cannot be shown.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, f *failure) {
	data := trouble{f}
	c.answer(w, r, f.Status, "trouble", data, web.Page{Title: "This cannot be shown", Data: data})
}

func (c *Console) showNothing(w http.ResponseWriter, r *http.Request) {
	c.fail(w, r, &failure{Status: http.StatusNotFound, Reason: "NO_SUCH_PAGE", Message: "there is no such page"})
}

// emitAll makes parts of a page of data, and gives each to the element that has its name for an id.
func (c *Console) emitAll(ctx context.Context, emit web.Emit, page string, data any, parts ...string) error {
	for _, part := range parts {
		if err := c.pages.Emit(ctx, emit, page, part, part, data); err != nil {
			return err
		}
	}
	return nil
}
