// Package version provides the build's version.
package version

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Info describes a build.
type Info struct {
	Version  string `json:"version"`            // of the module: v1.2.3, a pseudo-version, or (devel) outside a repository
	Commit   string `json:"commit,omitempty"`   // empty outside a repository
	Modified bool   `json:"modified,omitempty"` // built from a commit and changes on top of it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// devel is the version of a build that does not know its own.
const devel = "(devel)"

// Read returns what the Go toolchain has recorded in the executable.
func Read() Info {
	info := Info{Version: devel, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if build.Main.Version != "" {
		info.Version = build.Main.Version
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Commit = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	return info
}

// String is the build on one line.
func (i Info) String() string {
	parts := []string{i.Version}
	if i.Commit != "" {
		parts = append(parts, "commit "+i.Commit)
	}
	return strings.Join(append(parts, i.Go, i.Platform), ", ")
}

// Known is the version, or empty if the build does not know it.
func (i Info) Known() string {
	if i.Version == devel {
		return ""
	}
	return i.Version
}
