//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"go.uber.org/goleak"
)

// chromium is the browser: every tab is one of it, with a profile of its own.
var chromium context.Context

func TestMain(m *testing.M) { os.Exit(withChromium(m)) }

func withChromium(m *testing.M) int {
	ctx, end := chromedp.NewContext(context.Background())
	defer end()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "starting Chromium: %v\n", err)
		return 1
	}
	chromium = ctx
	code := m.Run()
	end()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// tab is a page in the browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site string

	mu      sync.Mutex
	allowed []string // of what may go wrong: a text for each time
	wrong   []string
}

// open opens a tab, and in the end fails the test if its pages did what they may not: ask others than the site, break its
// Content-Security-Policy, throw an exception, log an error or a warning.
func open(t *testing.T, site string) *tab {
	t.Helper()
	p := newTab(t, site)
	t.Cleanup(func() {
		for _, what := range p.wrongs() {
			t.Errorf("in the browser: %s", what)
		}
	})
	return p
}

func newTab(t *testing.T, site string) *tab {
	t.Helper()
	p := &tab{t: t, site: site}
	ctx, end := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.watch))
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	p.ctx = ctx
	p.size(1280, 800)
	return p
}

// watch is told of everything that goes on in the tab.
func (p *tab) watch(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, p.site+"/") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
			p.blame("the page asks for " + url)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.blame(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventConsoleAPICalled:
		p.blame(fmt.Sprintf("the page calls console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		p.blame("an exception: " + e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description)
	}
}

func (p *tab) blame(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.allowed, func(text string) bool { return strings.Contains(what, text) }); i >= 0 {
		p.allowed = slices.Delete(p.allowed, i, i+1)
		return
	}
	p.wrong = append(p.wrong, what)
}

func (p *tab) wrongs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.wrong)
}

// expect says that the next page is answered with an error status: the browser logs that.
func (p *tab) expect(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, fmt.Sprintf("responded with a status of %d", status))
}

// do does things in the tab, within the test's patience.
func (p *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// call has the browser do something in the tab.
func call[R any](p *tab, what string, do func(context.Context) (R, error)) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := do(ctx)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return got
}

// visit opens a page of the site.
func (p *tab) visit(path string) {
	p.t.Helper()
	p.do("visiting "+path, chromedp.Navigate(p.site+path))
}

// read is the value of a JavaScript expression.
func read[T any](p *tab, expression string) T {
	p.t.Helper()
	return call(p, expression, func(ctx context.Context) (T, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	})
}

// await waits until a JavaScript expression is true. While a page is loaded it is not.
func (p *tab) await(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && is {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("waiting for %s: it is %v, %v; the page %s is\n%s", expression, is, err, p.path(), read[string](p, "document.body.innerText"))
		}
	}
}

// quote is a JavaScript literal.
func quote(text string) string {
	literal, _ := json.Marshal(text) // a string has one
	return string(literal)
}

// text is the visible text of the first element that matches a selector; empty when there is none.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return read[string](p, fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", quote(selector)))
}

// sees waits until an element has a text within it.
func (p *tab) sees(selector, text string) {
	p.t.Helper()
	p.await(fmt.Sprintf("document.querySelector(%s)?.innerText.includes(%s)", quote(selector), quote(text)))
}

// path is where the tab is, within the site.
func (p *tab) path() string {
	p.t.Helper()
	return read[string](p, "location.pathname")
}

// click clicks the first element that matches a selector, once that lies open to the mouse.
func (p *tab) click(selector string, times ...int) {
	p.t.Helper()
	x, y := p.find(selector)
	for range append(times, 1)[0] {
		p.do("clicking "+selector, chromedp.MouseClickXY(x, y))
	}
}

// find is where the middle of an element is on the screen, which it is scrolled to.
func (p *tab) find(selector string) (x, y float64) {
	p.t.Helper()
	const middle = `(() => {
		const element = document.querySelector(%s), folded = element?.parentElement.closest('details:not([open])');
		if (folded && !element.matches('summary')) folded.open = true;
		element?.scrollIntoView({block: 'center', behavior: 'instant'});
		const box = element?.getClientRects()[0]; // a link that is broken into lines has several
		const [x, y] = box ? [box.x + box.width / 2, box.y + box.height / 2] : [-1, -1];
		return element?.contains(document.elementFromPoint(x, y)) ? [x, y] : null;
	})()`
	expression := fmt.Sprintf(middle, quote(selector))
	p.await(expression)
	at := read[[]float64](p, expression)
	if at == nil {
		p.t.Fatalf("%s was to be seen, and is not any more", selector)
	}
	return at[0], at[1]
}

// follow clicks, and waits for the next page.
func (p *tab) follow(selector string) {
	p.t.Helper()
	p.leave(func() { p.click(selector) })
}

// leave does what leads to the next page, and waits for that.
func (p *tab) leave(how func()) {
	p.t.Helper()
	read[bool](p, "window.left = true")
	how()
	p.await("!window.left && document.readyState === 'complete'")
}

// write writes into a field, in the place of what is there.
func (p *tab) write(selector, text string) {
	p.t.Helper()
	p.click(selector)
	read[bool](p, fmt.Sprintf("(document.querySelector(%s).select(), true)", quote(selector)))
	p.press(kb.Delete + text)
}

// choose chooses from a list.
func (p *tab) choose(selector, value string) {
	p.t.Helper()
	p.do("choosing "+value, chromedp.SetValue(chromedp.CSS(selector), value))
}

// press presses keys, wherever the focus is.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do("pressing keys", chromedp.KeyEvent(keys))
}

// size makes the window so large, in CSS pixels.
func (p *tab) size(width, height int64) {
	p.t.Helper()
	p.do("sizing the window", chromedp.EmulateViewport(width, height))
}

// scheme has pages shown as those do who prefer light or dark, and who prefer no motion.
func (p *tab) scheme(name string) {
	p.t.Helper()
	call(p, "choosing a colour scheme", func(ctx context.Context) (any, error) {
		return chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
	})
}

// forget removes the cookies, as a browser does when its user says so.
func (p *tab) forget() {
	p.t.Helper()
	call(p, "forgetting the cookies", func(ctx context.Context) (any, error) {
		return chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
	})
}

// scripts allows pages to run scripts, or forbids it.
func (p *tab) scripts(allowed bool) {
	p.t.Helper()
	call(p, "forbidding scripts", func(ctx context.Context) (any, error) {
		return chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !allowed})
	})
}

// photograph saves a picture: PNG of the whole page, or WebP of what the window shows.
func (p *tab) photograph(name string) {
	p.t.Helper()
	params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: new(true)}
	if strings.HasSuffix(name, ".webp") {
		params = page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: new(int64(60))}
	} else {
		height := read[float64](p, "document.documentElement.scrollHeight")
		params.Clip = &page.Viewport{Width: read[float64](p, "innerWidth"), Height: height, Scale: 1}
	}
	picture := call(p, "taking a picture", func(ctx context.Context) (page.CaptureScreenshotResult, error) {
		return chromedp.Call(ctx, page.CaptureScreenshot, params)
	})
	save(p.t, name, picture.Data)
}
