// Package web provides what the sites of this repository have in common: the layout of their pages and one design system,
// the headers that keep a browser from being used against them, pages that stay fresh by server-sent events, and charts
// drawn on the server.
//
// A site is a Site, which makes Pages of templates; its handler is wrapped in Secure, serves Assets under /assets/, and is
// served by Serve. Every page works without its script: reloading it shows the same.
package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxBody is how much a request may bring along, in bytes: a form has a few hundred.
const maxBody = 64 << 10

// policy lets a page use what its own site serves, and nothing else: no inline script or style either.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secure sets the headers that restrict what browsers do with the pages of h, refuses requests that come from other sites with
// 403 (Forbidden), and limits the body of a request to 64 KiB.
func Secure(h http.Handler) http.Handler {
	h = http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(h, maxBody))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// Local refuses requests for hosts that are neither localhost nor an address, with 421 (Misdirected Request). A site
// without sign-in needs it, also on the loopback interface: another site's name can be made to resolve to this address, and then
// the browser takes its pages and ours for one site (DNS rebinding).
func Local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			http.Error(w, "use the IP address of this site, or localhost", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// local reports whether host, with or without a port, can only be what it says.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// IsLoopback reports whether only this machine reaches what listens on address, a host:port.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}
