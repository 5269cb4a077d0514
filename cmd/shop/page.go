package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// page is what the user sees: with colours and a progress bar on a terminal, plain anywhere else.
type page struct {
	out      io.Writer
	terminal bool
}

func newPage(out io.Writer) *page {
	p := &page{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *page) say(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

func (p *page) title(format string, args ...any) {
	const bold, plain = "\x1b[1m", "\x1b[0m"
	text := fmt.Sprintf(format, args...)
	if p.terminal {
		text = bold + text + plain
	}
	p.say("\n%s\n\n", text)
}

// table prints rows with their columns aligned.
func (p *page) table(rows [][]string) {
	table := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(table, "  "+strings.Join(row, "\t"))
	}
	_ = table.Flush()
}

// indent prints a text two columns to the right.
func (p *page) indent(text string) {
	for line := range strings.Lines(text) {
		p.say("  %s", line)
	}
}

// progress draws a bar over itself, on a terminal.
func (p *page) progress(done, of int, note string) {
	if !p.terminal {
		return
	}
	const columns = 40
	full := columns * done / max(of, 1)
	p.say("\r\x1b[K  %s%s %d/%d  %s", strings.Repeat("█", full), strings.Repeat("░", columns-full), done, of, note)
}

// wipe removes the bar.
func (p *page) wipe() {
	if p.terminal {
		p.say("\r\x1b[K")
	}
}
