package schema

import (
	"slices"
	"strings"
)

// Series are the names under which Prometheus keeps the metrics when they come through a collector (OpenTelemetry
// specification, "Prometheus and OpenMetrics Compatibility"), each with its labels: those of the metric, and of every
// series of a process.
func (r *Registry) Series() map[string][]string {
	all := make(map[string][]string)
	for _, g := range r.groups {
		if g.Type != kindMetric {
			continue
		}
		labels := []string{"job", "instance"}
		for _, name := range g.order {
			labels = append(labels, underscored(name))
		}
		name := g.series()
		if g.Instrument != "histogram" {
			all[name] = labels
			continue
		}
		all[name+"_count"], all[name+"_sum"] = labels, labels
		all[name+"_bucket"] = append(slices.Clip(labels), "le")
	}
	return all
}

// series is what Prometheus calls a metric. Of a histogram, it is the name without the suffixes of its parts.
func (g *group) series() string {
	words := strings.FieldsFunc(g.MetricName, func(r rune) bool { return !isWord(r) || r == '_' })
	if unit := unitWord(g.Unit); unit != "" && !slices.Contains(words, unit) {
		words = append(words, unit)
	}
	if g.Instrument == "counter" {
		words = append(slices.DeleteFunc(words, func(w string) bool { return w == "total" }), "total")
	}
	return strings.Join(words, "_")
}

// unitWord is the word that the unit adds to a name. What is counted ({order}) adds none.
func unitWord(unit string) string {
	switch unit {
	case "s":
		return "seconds"
	case "ms":
		return "milliseconds"
	case "ns":
		return "nanoseconds"
	case "By":
		return "bytes"
	case "%":
		return "percent"
	}
	return ""
}

func underscored(name string) string {
	return strings.Map(func(r rune) rune {
		if isWord(r) {
			return r
		}
		return '_'
	}, name)
}

func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
}
