package flags_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"checkout/internal/flags"
)

// document is a flag file with one flag of each kind and one that is none of checkout's business.
func document(unreachable, extra string) string {
	return fmt.Sprintf(`{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "paymentUnreachable": {"description": "d", "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": %q},
    "kafkaQueueProblems": {"state": "ENABLED", "variants": {"on": 100, "off": 0}, "defaultVariant": %q},
    "imageSlowLoad": {"state": "SOMETIMES"}
  }
}`, unreachable, extra)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts content in path's place in one step, as careful programs do.
func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func fromFile(path string, l *log) flags.Config {
	return flags.Config{Resolver: "file", Path: path, Logger: slog.New(slog.NewTextHandler(l, nil))}
}

func TestTheFlagFileHoldsFromTheFirstOrderOn(t *testing.T) {
	t.Parallel()
	flag := func(rest string) string { return `{"flags": {"kafkaQueueProblems": {` + rest + `}}}` }
	for name, test := range map[string]struct {
		content string
		want    state
		logged  []string
	}{
		"flags on":             {content: document("on", "on"), want: state{Unreachable: true, Extra: 100}},
		"flags off":            {content: document("off", "off")},
		"no flags":             {content: `{"flags": {}}`},
		"nothing":              {content: `{}`},
		"disabled":             {content: flag(`"state": "DISABLED", "variants": {"on": 5}, "defaultVariant": "on"`)},
		"no default variant":   {content: flag(`"state": "ENABLED", "variants": {"on": 5}`)},
		"null default variant": {content: flag(`"state": "ENABLED", "variants": {"on": 5}, "defaultVariant": null`)},
		"empty targeting": {
			content: flag(`"state": "ENABLED", "variants": {"on": 5}, "defaultVariant": "on", "targeting": {}`),
			want:    state{Extra: 5},
		},
		"targeting": {
			content: flag(`"state": "ENABLED", "variants": {"on": 5, "off": 0}, "defaultVariant": "on", "targeting": {"if": [true, "off"]}`),
			want:    state{Extra: 5},
			logged:  []string{"targeting in a flag file is ignored"},
		},
		"unknown state":   {content: flag(`"state": "on"`), logged: []string{`state \"on\": want ENABLED or DISABLED`}},
		"unknown variant": {content: flag(`"state": "ENABLED", "variants": {"on": 5}, "defaultVariant": "of"`), logged: []string{`\"of\" is not among`}},
		"wrong type":      {content: flag(`"state": "ENABLED", "variants": {"on": "5"}, "defaultVariant": "on"`), logged: []string{"cannot unmarshal string"}},
		"not whole":       {content: flag(`"state": "ENABLED", "variants": {"on": 0.5}, "defaultVariant": "on"`), logged: []string{"cannot unmarshal number"}},
		"no JSON":         {content: `flags:`, logged: []string{"parse flag file"}},
		"empty":           {content: ``, logged: []string{"parse flag file"}},
		"too large":       {content: document("on", "on") + strings.Repeat(" ", 1<<20), logged: []string{"larger than 1048576 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flags.json")
			write(t, path, test.content)
			synctest.Test(t, func(t *testing.T) {
				var l log
				f := follow(t, fromFile(path, &l))
				expect(t, f, "at once", test.want)
				time.Sleep(time.Minute)
				expect(t, f, "after a minute", test.want)
				l.expect(t, "after a minute", test.logged...)
			})
		})
	}
}

func TestAChangeOfTheFileIsSeen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flags.json")
	write(t, path, document("off", "off"))
	synctest.Test(t, func(t *testing.T) {
		var l log
		f := follow(t, fromFile(path, &l))
		expect(t, f, "at once", byDefault)

		write(t, path, document("on", "off"))
		time.Sleep(time.Second)
		expect(t, f, "a second after it was written over", state{Unreachable: true})

		replace(t, path, document("on", "on"))
		time.Sleep(time.Second)
		expect(t, f, "a second after it was replaced", state{Unreachable: true, Extra: 100})

		// The same size and time of change, as a volume may restore them: it is another file all the same.
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path+".new", strings.Replace(document("on", "on"), "100", "200", 1))
		if err := os.Chtimes(path+".new", info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect(t, f, "a second after it was replaced unseen", state{Unreachable: true, Extra: 200})

		write(t, path, document("on", "on"))
		if err := os.Chtimes(path, info.ModTime(), info.ModTime().Add(time.Nanosecond)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect(t, f, "a second after other text of the same size", state{Unreachable: true, Extra: 100})
		l.expect(t, "all the while")
	})
}

func TestABrokenFileLeavesTheLastGoodFlags(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flags.json")
	write(t, path, document("on", "on"))
	synctest.Test(t, func(t *testing.T) {
		var l log
		f := follow(t, fromFile(path, &l))
		good := state{Unreachable: true, Extra: 100}
		expect(t, f, "at once", good)

		whole := document("off", "off")
		write(t, path, whole[:len(whole)/2])
		time.Sleep(time.Minute)
		expect(t, f, "half written", good)
		l.expect(t, "half written", "unexpected end of JSON")

		write(t, path, whole)
		time.Sleep(time.Second)
		expect(t, f, "written", byDefault)

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		expect(t, f, "removed", byDefault)
		l.expect(t, "removed", "unexpected end of JSON", "no such file")

		replace(t, path, document("on", "on"))
		time.Sleep(time.Second)
		expect(t, f, "there again", good)
	})
}

func TestAFileThatIsNotThereAtStartIsFoundLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flags.json")
	synctest.Test(t, func(t *testing.T) {
		var l log
		f := follow(t, fromFile(path, &l))
		expect(t, f, "without a file", byDefault)

		replace(t, path, document("on", "on"))
		time.Sleep(time.Second)
		expect(t, f, "with it", state{Unreachable: true, Extra: 100})
		l.expect(t, "with it", "no such file")
	})
}

func TestADirectoryIsNoFlagFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var l log
		f := follow(t, fromFile(path, &l))
		expect(t, f, "at once", byDefault)
		l.expect(t, "at once", "not a regular file")
	})
}
