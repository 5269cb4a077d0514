package flags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"checkout/internal/wait"
)

const (
	pollInterval = time.Second // how soon a change of the file is seen
	maxFile      = 1 << 20     // bytes
)

// file is a flag file in flagd's format, https://flagd.dev/reference/flag-definitions, without targeting.
type file struct {
	path string
	log  *slog.Logger

	read      fs.FileInfo // of the content that was published last, if any
	complaint string      // what was logged since, so that it is said once
}

// follow publishes the file's flags whenever it changes. To look at it every second also works on file systems that
// tell of no changes, and through the symbolic links of a Kubernetes volume.
func (f *file) follow(ctx context.Context, publish func(answers)) {
	for wait.For(ctx, pollInterval) {
		f.poll(publish)
	}
}

// poll publishes the file's flags if they are not those that were read before. While the file is missing, half
// written or wrong, the last good ones stay.
func (f *file) poll(publish func(answers)) {
	info, err := os.Stat(f.path)
	if err == nil && f.read != nil && unchanged(f.read, info) {
		return
	}
	var flags answers
	if err == nil {
		flags, err = f.load(info)
	}
	if err != nil {
		f.complain(err)
		return
	}
	f.read = info
	f.complaint = ""
	publish(flags)
}

func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (f *file) complain(err error) {
	if err.Error() != f.complaint {
		f.log.Warn("flag file is unusable: the last valid flags are used", "path", f.path, "error", err)
	}
	f.complaint = err.Error()
}

// load reads the file that info describes.
func (f *file) load(info fs.FileInfo) (answers, error) {
	if !info.Mode().IsRegular() { // to open a pipe could wait for ever
		return nil, errors.New("not a regular file")
	}
	r, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return f.parse(content)
}

// definition is one flag in the file.
type definition struct {
	State          string                     `json:"state"`
	Variants       map[string]json.RawMessage `json:"variants"`
	DefaultVariant string                     `json:"defaultVariant"`
	Targeting      map[string]any             `json:"targeting"`
}

func (f *file) parse(content []byte) (answers, error) {
	var document struct {
		Flags map[string]json.RawMessage `json:"flags"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("parse flag file: %w", err)
	}
	flags := answers{}
	for _, flag := range flagNames() {
		raw, ok := document.Flags[flag]
		if !ok {
			continue
		}
		var d definition
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("parse flag %s: %w", flag, err)
		}
		a, err := d.answer(flag)
		if err != nil {
			return nil, fmt.Errorf("flag %s: %w", flag, err)
		}
		if len(d.Targeting) > 0 {
			f.log.Warn("targeting in a flag file is ignored: the default variant is used", "feature_flag.key", flag)
		}
		flags[flag] = a
	}
	return flags, nil
}

// answer is the flag's value for all users, by its definition.
func (d definition) answer(flag string) (answer, error) {
	switch d.State {
	case "ENABLED":
	case "DISABLED":
		return answer{detail: openfeature.ProviderResolutionDetail{Reason: openfeature.DisabledReason}}, nil
	default:
		return answer{}, fmt.Errorf("state %q: want ENABLED or DISABLED", d.State)
	}
	if d.DefaultVariant == "" { // flagd leaves the choice to the program then
		return unknown(), nil
	}
	raw, ok := d.Variants[d.DefaultVariant]
	if !ok {
		return answer{}, fmt.Errorf("default variant %q is not among the variants", d.DefaultVariant)
	}
	value, err := parseValue(flag, raw)
	if err != nil {
		return answer{}, fmt.Errorf("variant %q: %w", d.DefaultVariant, err)
	}
	reason := openfeature.StaticReason
	if len(d.Targeting) > 0 {
		reason = openfeature.DefaultReason
	}
	return answer{value: value, detail: openfeature.ProviderResolutionDetail{Reason: reason, Variant: d.DefaultVariant}}, nil
}

// parseValue reads a variant as what the flag is: a bool or an int64.
func parseValue(flag string, raw json.RawMessage) (any, error) {
	if flag == paymentUnreachable {
		var value bool
		err := json.Unmarshal(raw, &value)
		return value, err
	}
	var value int64
	err := json.Unmarshal(raw, &value)
	return value, err
}
