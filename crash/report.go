package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/web"
)

// result is how it went.
type result struct {
	*observed
	began, ended  time.Time // of the killing
	settled       time.Time
	since         time.Time // recoveries of orders created before are not measured
	recoveries    []recovery
	recoveryLimit time.Duration
	violations    []violation
}

// late are the orders that were recovered too late.
func (r *result) late() []violation {
	var found []violation
	for _, t := range r.recoveries {
		if t.after > r.recoveryLimit {
			found = append(found, violation{"order " + t.order, fmt.Sprintf("recovered after %v, not within %v", brief(t.after), r.recoveryLimit)})
		}
	}
	return found
}

func (s *harness) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

// progress says now and then how far it is.
func (s *harness) progress(kills int) {
	if tenth := max(s.kills/10, 1); s.kills >= 100 && kills%tenth == 0 && kills < s.kills {
		s.say("  %d kills, %d parcels\n", kills, s.shop.Ledgers().Total().Parcels)
	}
}

// table prints rows with their columns aligned.
func (s *harness) table(rows [][]string) {
	table := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(table, "  "+strings.Join(row, "\t"))
	}
	_ = table.Flush()
}

// print prints what happened, and the violations.
func (s *harness) print(r *result) {
	s.say("\n")
	s.table(slices.Concat(s.customerRows(r), s.ledgerRows(r), s.timeRows(r)))
	const most = 20
	if len(r.violations) == 0 {
		s.say("\nNobody was charged twice, and nothing was lost.\n")
		return
	}
	s.say("\n%d VIOLATIONS\n", len(r.violations))
	for _, v := range r.violations[:min(len(r.violations), most)] {
		s.say("  %s\n", v)
	}
	if more := len(r.violations) - most; more > 0 {
		s.say("  and %d more\n", more)
	}
}

func (s *harness) customerRows(r *result) [][]string {
	var early, served, doubt, again, tries int
	for _, replica := range s.replicas {
		for _, l := range replica.processes {
			if !l.killed.sent.IsZero() && l.served.IsZero() {
				early++
			}
		}
	}
	for _, p := range r.purchases {
		if p.served() {
			served++
		}
		if slices.ContainsFunc(p.answers, answer.inDoubt) {
			doubt++
		}
		again += len(p.answers) - 1
		for _, a := range p.answers {
			tries += a.tries - 1
		}
	}
	return [][]string{
		{"kills", count(len(r.kills)), fmt.Sprintf("in %.1f s, %d of them before it served", r.ended.Sub(r.began).Seconds(), early)},
		{"purchases", count(len(r.purchases)), fmt.Sprintf("%d answered with an order, %d in doubt; %d repeated, %d retries", served, doubt, again, tries)},
	}
}

func (s *harness) ledgerRows(r *result) [][]string {
	var charges, reversed, parcels, seconds, emails, events, copies, repeats int
	for _, a := range r.entries {
		charges += len(a.charges)
		reversed += len(a.charges) - a.net()
		parcels += len(a.parcels)
		seconds += max(len(a.parcels)-1, 0)
		emails += a.emails
		events += a.events
		copies += max(a.emails-1, 0)
		repeats += max(a.events-1, 0)
	}
	return [][]string{
		{"orders", count(len(r.record)), states(r.record)},
		{"charges", count(charges), fmt.Sprintf("%d of them reversed", reversed)},
		{"parcels", count(parcels), fmt.Sprintf("%d of them second ones", seconds)},
		{"e-mails", count(emails), fmt.Sprintf("%d of them copies", copies)},
		{"events", count(events), fmt.Sprintf("%d of them copies", repeats)},
	}
}

func (s *harness) timeRows(r *result) [][]string {
	since := "the restarted process served"
	if len(s.replicas) > 1 {
		since = "a replica was left dead"
	}
	var starts, recoveries []time.Duration
	for _, replica := range s.replicas {
		for _, l := range replica.processes {
			if !l.served.IsZero() {
				starts = append(starts, l.served.Sub(l.started))
			}
		}
	}
	for _, t := range r.recoveries {
		recoveries = append(recoveries, t.after)
	}
	return [][]string{
		{"serving", count(len(starts)), "after the start: " + spread(starts)},
		{"recovered", count(len(recoveries)), "after " + since + ": " + spread(recoveries)},
		{"settled", "", fmt.Sprintf("%.1f s after the last kill", r.settled.Sub(r.ended).Seconds())},
	}
}

// spread is the middle and the largest of times.
func spread(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("p50 %v, max %v", brief(web.Quantile(times, .5)), brief(web.Quantile(times, 1)))
}

// states tells how many orders are in which state.
func states(record map[string]*checkoutv1.Order) string {
	counts := make(map[checkoutv1.OrderState]int)
	for _, o := range record {
		counts[o.GetState()]++
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[state], word(state)))
	}
	return strings.Join(parts, ", ")
}

// word is a state's name as people write it.
func word(s checkoutv1.OrderState) string {
	return strings.ReplaceAll(strings.ToLower(s.String()), "_", " ")
}

func count(n int) string { return fmt.Sprint(n) }

// brief is d with three digits at most, or so.
func brief(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}
