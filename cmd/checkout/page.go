package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/cli"
	operator "checkout/internal/decision"
	"checkout/internal/order"
	"checkout/internal/sheet"
	"checkout/internal/wire"
)

// What people read of orders. What comes from outside is printed without its control characters: it goes to a terminal.

// table prints orders, a line each, cut to the width of the terminal.
func (p process) table(orders []*checkoutv1.Order, now time.Time) {
	var page bytes.Buffer
	table := tabwriter.NewWriter(&page, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "STATE\tAGE\tTOTAL\tUSER\tORDER\tREASON")
	for _, o := range orders {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", wire.StateName(o.GetState()), age(now.Sub(o.GetCreated().AsTime())),
			wire.Price(o.GetTotal()), brief(o.GetUserId()), o.GetOrderId(), clean(o.GetReason()))
	}
	_ = table.Flush()
	for line := range strings.Lines(page.String()) {
		p.row(line)
	}
}

// history prints an order and its history.
func (p process) history(o *checkoutv1.Order, now time.Time) {
	state := fmt.Sprintf("%s for %s", wire.StateName(o.GetState()), age(now.Sub(o.GetChanged().AsTime())))
	if o.GetRequiresOperator() {
		state += "; it requires an operator"
	}
	p.facts([][2]string{
		{"order", o.GetOrderId()},
		{"state", state},
		{"reason", o.GetReason()},
		{"hint", operator.Hint(o)},
		{"decisions", decisions(o)},
		{"pending", strings.Join(o.GetPending(), ", ")},
		{"undelivered", strings.Join(o.GetUndeliverable(), ", ")},
		{"skipped", strings.Join(o.GetSkipped(), ", ")},
		{"tries", tries(o.GetAttempts())},
		{"user", o.GetUserId()},
		{"key", o.GetIdempotencyKey()},
		{"created", fmt.Sprintf("%s, %s ago", o.GetCreated().AsTime().Format(time.DateTime+" MST"), age(now.Sub(o.GetCreated().AsTime())))},
		{"transaction", o.GetTransactionId()},
		{"refunded", some(o.GetRefunded())},
		{"refunding", some(o.GetRefundTo())},
		{"shipping", shipping(o)},
		{"tracking", o.GetTrackingId()},
		{"trace", o.GetTraceId()},
	})
	p.bill(o.GetItems(), o.GetShipping(), wire.Price(o.GetTotal()))
	_, _ = fmt.Fprintln(p.stdout)
	for _, e := range o.GetHistory() {
		_, _ = fmt.Fprintln(p.stdout, eventLine(o, e))
	}
}

// decisions are the commands by which an operator can decide about an order, as far as its record goes.
func decisions(o *checkoutv1.Order) string {
	var commands []string
	for _, name := range o.GetDecisions() {
		switch {
		case name == "retry", name == "cancel", name == "refund":
			commands = append(commands, name)
		case name == "paid" && o.GetTransactionId() != "" && slices.Contains(o.GetDecisions(), "retry"): // does the same
		default:
			commands = append(commands, "resolve --"+strings.ReplaceAll(name, "_", "-"))
		}
	}
	return strings.Join(commands, ", ")
}

// facts prints what is known of an order, with its names in front.
func (p process) facts(all [][2]string) {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, fact := range all {
		if fact[1] != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", fact[0], clean(fact[1]))
		}
	}
	_ = table.Flush()
}

// bill prints what was ordered, and what it costs: a piece, and all of them.
func (p process) bill(items []*oteldemo.OrderItem, shipping *oteldemo.Money, total string) {
	_, _ = fmt.Fprintln(p.stdout)
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, item := range items {
		quantity := item.GetItem().GetQuantity()
		_, _ = fmt.Fprintf(table, "%d ×\t%s\t%s\t%s\t\n", quantity, clean(item.GetItem().GetProductId()), wire.Price(item.GetCost()), wire.Times(item.GetCost(), quantity))
	}
	_, _ = fmt.Fprintf(table, "\tshipping\t\t%s\t\n\ttotal\t\t%s\t\n", wire.Price(shipping), total)
	_ = table.Flush()
}

// print prints an answer as JSON, or by what prints it in words.
func (p process) print(output cli.Output, answer proto.Message, words func()) {
	if output == cli.JSON {
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(answer))
		return
	}
	words()
}

// cells prints a line of CSV (RFC 4180), in which no spreadsheet takes text from outside for a formula.
func (p process) cells(cells ...string) {
	for i, cell := range cells {
		cells[i] = `"` + strings.ReplaceAll(sheet.Text(cell), `"`, `""`) + `"`
	}
	_, _ = fmt.Fprintln(p.stdout, strings.Join(cells, ","))
}

// rfc3339 is a time for programs.
func rfc3339(t *timestamppb.Timestamp) string { return t.AsTime().Format(time.RFC3339) }

// line prints an order, or something else, as JSON on one line.
func (p process) line(m proto.Message) {
	text, err := protojson.Marshal(m)
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr, "checkout: %v\n", err)
		return
	}
	_, _ = fmt.Fprintf(p.stdout, "%s\n", text)
}

// row prints a line, cut to the width of the terminal.
func (p process) row(line string) {
	_, _ = fmt.Fprintln(p.stdout, cut(strings.TrimRight(line, " \n"), columns(p.stdout)))
}

// cut shortens a line to so many columns; 0 is any number.
func cut(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}

// eventLine is a line of the order's history, with its time since the order's creation.
func eventLine(o *checkoutv1.Order, e *checkoutv1.Event) string {
	start := o.GetCreated().AsTime()
	text := e.GetProblem()
	if e.GetStep() != "" {
		text = e.GetStep() + " failed: " + text
	}
	if e.GetTimes() > 1 {
		text += fmt.Sprintf(" (%d times, until %s)", e.GetTimes(), elapsed(lastTime(e).Sub(start)))
	}
	if e.GetBy() != "" {
		text = "by " + strings.TrimSuffix(e.GetBy()+": "+text, ": ")
	}
	return strings.TrimRight(fmt.Sprintf("%9s  %-11s  %s", elapsed(e.GetAt().AsTime().Sub(start)), wire.StateName(e.GetState()), clean(text)), " ")
}

// lastTime is when the event happened, or happened last.
func lastTime(e *checkoutv1.Event) time.Time {
	if e.GetLast() != nil {
		return e.GetLast().AsTime()
	}
	return e.GetAt().AsTime()
}

func tries(failed int32) string {
	if failed == 0 {
		return ""
	}
	return fmt.Sprintf("%d failed", failed)
}

// some is an amount, if there is one.
func some(m *oteldemo.Money) string {
	if m == nil {
		return ""
	}
	return wire.Price(m)
}

// shipping is how often the order may have been shipped, unless it was once and that is known.
func shipping(o *checkoutv1.Order) string {
	switch n := o.GetShipAttempts(); {
	case n >= order.UnknownShipments:
		return "attempts unknown"
	case n > 1:
		return fmt.Sprintf("%d attempts", n)
	case n == 1 && o.GetTrackingId() == "":
		return "1 attempt"
	}
	return ""
}

// age is about how long something is ago.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// elapsed is a time since the start, as exact as it is readable.
func elapsed(d time.Duration) string {
	exact := time.Millisecond
	switch d = max(d, 0); {
	case d >= time.Minute:
		exact = time.Second
	case d >= time.Second:
		exact = 100 * time.Millisecond
	}
	return "+" + d.Round(exact).String()
}

// brief is a user's id, short enough for a column: a UUID fits.
func brief(id string) string {
	return cmp.Or(cut(clean(id), 36), "-")
}

// clean is s without what could do more to a terminal than be seen.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
