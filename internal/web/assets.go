package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var assets embed.FS

// Assets serves what every page needs: style.css, live.js and icon.svg, by the last element of the path. Asked for by the
// address that a page gives, which names the contents, they may be kept for a year.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		data, err := fs.ReadFile(assets, "assets/"+name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		mark := contentMark(data)
		w.Header().Set("ETag", `"`+mark+`"`)
		if r.URL.RawQuery == mark {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	})
}

// assetPath is where a page finds an asset, below its site's base.
func assetPath(name string) (string, error) {
	data, err := fs.ReadFile(assets, "assets/"+name)
	if err != nil {
		return "", fmt.Errorf("asset %q: %w", name, err)
	}
	return "/assets/" + name + "?" + contentMark(data), nil
}

// contentMark is another one for other contents.
func contentMark(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}
