package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"checkout/internal/web"
)

const (
	// sessionCookie is the cookie of a signed-in user, and sessionTime how long it is valid.
	sessionCookie = "checkout_console"
	sessionTime   = 12 * time.Hour
)

// gate is the sign-in by token.
type gate struct {
	token [sha256.Size]byte // its hash, so that comparing takes the same time for all
	key   []byte            // what sessions are signed with
}

func newGate(token string) *gate {
	return &gate{sha256.Sum256([]byte(token)), []byte(token)}
}

// session is the cookie of a session that is valid until then: that time in Unix seconds, and its signature.
func (g *gate) session(until time.Time) string {
	expiry := strconv.FormatInt(until.Unix(), 10)
	mac := hmac.New(sha256.New, g.key)
	_, _ = mac.Write([]byte("a pass for the console until " + expiry)) // never fails: hash.Hash
	return expiry + "." + hex.EncodeToString(mac.Sum(nil))
}

// valid reports whether the cookie of a session is one of ours, and has not expired.
func (g *gate) valid(session string, now time.Time) bool {
	expiry, _, _ := strings.Cut(session, ".")
	until, err := strconv.ParseInt(expiry, 10, 64)
	return err == nil && now.Unix() < until && hmac.Equal([]byte(session), []byte(g.session(time.Unix(until, 0))))
}

// isToken reports whether that is the token.
func (g *gate) isToken(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return hmac.Equal(g.token[:], sum[:])
}

// allows reports whether the request has the token or the cookie.
func (g *gate) allows(r *http.Request) bool {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.isToken(token)
	}
	cookie, err := r.Cookie(sessionCookie)
	return err == nil && g.valid(cookie.Value, time.Now())
}

// behindGate is h for those who have signed in. A browser is redirected to the form.
func (c *Console) behindGate(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case c.gate == nil || c.gate.allows(r):
			h.ServeHTTP(w, r)
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, c.site.URL("/login")+"?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
		}
	})
}

// loginPage is the form that asks for the token.
type loginPage struct {
	Next  string // where to go from there
	Wrong bool   // what was told is not the token
}

func (c *Console) showLogin(w http.ResponseWriter, r *http.Request) {
	c.askForToken(w, r, http.StatusOK, loginPage{Next: r.URL.Query().Get("next")})
}

func (c *Console) askForToken(w http.ResponseWriter, r *http.Request, status int, data loginPage) {
	c.bare.Show(w, r, status, "login", web.Page{Title: "Sign in", Data: data})
}

// login sets the cookie if the token is right.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	next := r.PostFormValue("next")
	switch {
	case c.gate != nil && !c.gate.isToken(r.PostFormValue("token")):
		c.askForToken(w, r, http.StatusUnauthorized, loginPage{next, true})
		return
	case c.gate != nil:
		c.setSession(w, r, c.gate.session(time.Now().Add(sessionTime)), int(sessionTime.Seconds()))
	}
	http.Redirect(w, r, c.site.URL(localPath(next)), http.StatusSeeOther) //nolint:gosec // localPath returns paths of this site only
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	c.setSession(w, r, "", -1)
	http.Redirect(w, r, c.site.URL("/login"), http.StatusSeeOther)
}

// setSession sets the cookie for so many seconds; a negative number deletes it.
func (c *Console) setSession(w http.ResponseWriter, r *http.Request, session string, seconds int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // without TLS there are no secure cookies
		Name: sessionCookie, Value: session, Path: c.site.URL("/"), MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
}

// localPath is next if that is a path of this site, and otherwise the first page: a link to the sign-in must not lead to another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	return next
}
