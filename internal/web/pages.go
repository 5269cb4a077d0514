package web

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed layout.html
var layout string

// Site is what the pages of a site have in common.
type Site struct {
	Name string // as it stands in the header, and in every title
	Base string // the path that the site is mounted at, such as "/console"; empty for the root
	Nav  []Link
	Log  *slog.Logger // of pages that could not be rendered

	// Funcs are more functions for the templates, which have already: url, the address of a path of the site; asset, the
	// address of an asset; took, a duration in words; clock, a time as people read it; stamp, one as machines do. There are
	// the templates plot and waterfall, for a Plot and a Waterfall.
	Funcs template.FuncMap
}

// Link leads to a page from every other one.
type Link struct {
	Text  string
	Path  string // within the site, such as "/orders"; or a whole URL
	Group string // the heading of the links that begin with this one; empty for none
	Badge string // the id of the element beside the text that says how much there is to see; empty for none
}

// Page is one page, as it is shown once.
type Page struct {
	Title  string
	Nav    string            // the path of the link that it belongs to
	Live   string            // the path of the stream that keeps it fresh (Streams); empty for none
	Badges map[string]string // what the badges of links say, by id
	Data   any               // for the page's own template
}

// Pages are the templates of a site.
type Pages struct {
	site  Site
	pages map[string]*template.Template
}

// NewPages parses the templates in fsys. Each file of the form NAME.html is a page; it defines the template "main", and
// others as it likes. Files that begin with an underscore define templates for all pages; go:embed takes them as all:FOLDER.
func NewPages(site Site, fsys fs.FS) (*Pages, error) {
	base := template.New("layout").Funcs(site.Funcs).Funcs(site.funcs())
	if _, err := base.Parse(layout); err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	files, err := fs.Glob(fsys, "*.html")
	if err != nil {
		return nil, err
	}
	shared, _ := fs.Glob(fsys, "_*.html") // the pattern is well-formed
	if len(shared) > 0 {
		if _, err := base.ParseFS(fsys, shared...); err != nil {
			return nil, err
		}
	}
	p := &Pages{site: site, pages: make(map[string]*template.Template)}
	for _, file := range files {
		if strings.HasPrefix(file, "_") {
			continue
		}
		page, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if _, err := page.ParseFS(fsys, file); err != nil {
			return nil, err
		}
		p.pages[strings.TrimSuffix(path.Base(file), ".html")] = page
	}
	return p, nil
}

// funcs are the functions that every template has.
func (s Site) funcs() template.FuncMap {
	return template.FuncMap{
		"url": s.URL,
		"asset": func(name string) (string, error) {
			found, err := assetPath(name)
			return s.Base + found, err
		},
		"took":  Took,
		"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"stamp": func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
	}
}

// URL is the address of a path of the site. What is no path stays as it is.
func (s Site) URL(path string) string {
	if strings.HasPrefix(path, "/") {
		return s.Base + path
	}
	return path
}

// Show answers with the page of that name. It is never kept by the browser: it shows how things are now.
func (p *Pages) Show(w http.ResponseWriter, r *http.Request, status int, name string, page Page) {
	html, err := p.render(name, "layout", map[string]any{"Site": p.site, "Page": page})
	if err != nil {
		p.site.Log.ErrorContext(r.Context(), "page was not rendered", "page", name, "error", err)
		http.Error(w, "this page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(html) // the reader may have gone
}

// Emit gives the element of that id what a template of the page makes of data.
func (p *Pages) Emit(ctx context.Context, emit Emit, name, part, id string, data any) error {
	html, err := p.render(name, part, data)
	if err != nil {
		p.site.Log.ErrorContext(ctx, "part of a page was not rendered", "page", name, "part", part, "error", err)
		return err
	}
	return emit(id, html)
}

func (p *Pages) render(name, part string, data any) ([]byte, error) {
	page, ok := p.pages[name]
	if !ok {
		return nil, fmt.Errorf("page %q: %w", name, fs.ErrNotExist)
	}
	var html bytes.Buffer
	if err := page.ExecuteTemplate(&html, part, data); err != nil {
		return nil, err
	}
	return html.Bytes(), nil
}
