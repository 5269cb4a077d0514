package console

import (
	"math"
	"time"

	"checkout/internal/web"
)

// Plots are the charts of the overview.
func (o overview) Plots() []web.Plot {
	return []web.Plot{
		o.plot("orders", "Orders a second, by what came of them", "/s", false, groups(), func(m moment, name string) figure { return m.Orders[name] }),
		o.plot("latency", "Time to place an order", "ms", false, []string{"half within", "95 % within", "99 % within"}, latency),
		o.plot("admission", "Orders under way, and how many may be", "", true, []string{"under way", "limit"}, func(m moment, name string) figure {
			if name == "limit" {
				return m.Limit
			}
			return m.UnderWay
		}),
		o.plot("unfinished", "Unfinished orders on record", "", true, unfinished(), func(m moment, name string) figure { return m.States[name] }),
		o.plot("owed", "Pending deliveries of placed orders", "", true, deliveries(), func(m moment, name string) figure { return m.Owed[name] }),
		o.plot("oldest", "Age of the oldest", "s", false, []string{"unfinished order", "pending e-mail", "pending event"}, func(m moment, name string) figure {
			switch name {
			case "pending e-mail":
				return m.OwedOldest["email"]
			case "pending event":
				return m.OwedOldest["event"]
			}
			return m.Oldest
		}),
	}
}

func latency(m moment, name string) figure {
	of := map[string]figure{"half within": m.P50, "95 % within": m.P95, "99 % within": m.P99}[name]
	return of * 1000
}

// plot draws a line for each name. It ends with the last whole moment, so that it changes only when there is another.
func (o overview) plot(id, title, unit string, whole bool, names []string, value func(moment, string) figure) web.Plot {
	until := o.At.Truncate(momentLength)
	p := web.Plot{ID: "plot-" + id, Title: title, Unit: unit, Whole: whole, From: until.Add(-remembered * sampleEvery), Until: until}
	for i, name := range names {
		s := web.Series{Name: words(name), Area: i == 0}
		last := time.Time{}
		for _, m := range o.History {
			if m.At.Before(p.From) {
				continue
			}
			if !last.IsZero() && m.At.Sub(last) > momentLength {
				s.Points = append(s.Points, web.Point{At: m.At, Value: math.NaN()}) // nobody looked
			}
			s.Points = append(s.Points, web.Point{At: m.At, Value: float64(value(m, name))})
			last = m.At
		}
		p.Series = append(p.Series, s)
	}
	return p
}
