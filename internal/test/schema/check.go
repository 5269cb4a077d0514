package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Checker compares telemetry with a registry, and keeps what is not as declared, and what has been seen. It is not safe
// for concurrent use.
type Checker struct {
	registry *Registry
	names    map[string]bool
	findings map[string]bool
	seen     map[string]bool
}

// Checker makes a Checker of telemetry in which the names of the given conventions are in force.
func (r *Registry) Checker(conventions ...string) *Checker {
	c := &Checker{r, make(map[string]bool), make(map[string]bool), make(map[string]bool)}
	c.InForce(conventions...)
	return c
}

// InForce says which conventions are in force from now on.
func (c *Checker) InForce(conventions ...string) {
	clear(c.names)
	for _, name := range conventions {
		c.names[name] = true
	}
}

// Findings are what is not as declared, each once, in order.
func (c *Checker) Findings() []string { return slices.Sorted(maps.Keys(c.findings)) }

// Unseen is what is declared and was never met, in order: the ids of groups and, for groups that were met, "id: attribute".
func (c *Checker) Unseen() []string {
	var unseen []string
	for _, g := range c.registry.groups {
		if !c.seen[g.ID] {
			unseen = append(unseen, g.ID)
			continue
		}
		for _, name := range g.order {
			if id := g.ID + ": " + name; !c.seen[id] {
				unseen = append(unseen, id)
			}
		}
	}
	slices.Sort(unseen)
	return unseen
}

func (c *Checker) find(format string, args ...any) { c.findings[fmt.Sprintf(format, args...)] = true }

// met notes that telemetry of the group was seen, and checks that the convention is in force.
func (c *Checker) met(g *group) {
	c.seen[g.ID] = true
	if n := g.Annotations.Names; n != "" && !c.names[n] {
		c.find("%s is emitted, and %s is not in force", g.label(), n)
	}
}

// Span checks a span with its events.
func (c *Checker) Span(s *trace.Span) {
	kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
	g := c.registry.span(kind, s)
	if g == nil {
		c.find("span %q of kind %s is not declared", s.GetName(), kind)
		return
	}
	c.met(g)
	c.attributes(g, s.GetAttributes())
	for _, e := range s.GetEvents() {
		event := c.registry.event(onSpan, e.GetName())
		if event == nil || !slices.Contains(g.Events, event.ID) {
			c.find("%s: its event %q is not declared", g.label(), e.GetName())
			continue
		}
		c.met(event)
		c.attributes(event, e.GetAttributes())
	}
}

// span is the group of a span.
func (r *Registry) span(kind string, s *trace.Span) *group {
	values := []string{}
	for _, a := range s.GetAttributes() {
		values = append(values, "{"+a.GetKey()+"}", a.GetValue().GetStringValue())
	}
	fill := strings.NewReplacer(values...)
	for _, g := range r.groups {
		if g.Type == kindSpan && g.SpanKind == kind && slices.ContainsFunc(g.Annotations.SpanName, func(name string) bool {
			return fill.Replace(name) == s.GetName()
		}) {
			return g
		}
	}
	return nil
}

// event is the group of the event of that name.
func (r *Registry) event(record, name string) *group {
	for _, g := range r.groups {
		if g.Type == kindEvent && g.record() == record && g.Name == name {
			return g
		}
	}
	return nil
}

// Lines are the texts of the declared lines of the log.
func (r *Registry) Lines() (texts []string) {
	for _, g := range r.of(kindEvent, logLine) {
		texts = append(texts, g.Name)
	}
	return texts
}

// Log checks a log record.
func (c *Checker) Log(l *logs.LogRecord) {
	record, name := logLine, l.GetBody().GetStringValue()
	if l.GetEventName() != "" {
		record, name = logEvent, l.GetEventName()
	}
	g := c.registry.event(record, name)
	if g == nil {
		c.find("%s %q is not declared", record, name)
		return
	}
	if g.Annotations.Stdout {
		c.find("%s is for stdout alone", g.label())
	}
	c.met(g)
	c.severity(g, l.GetSeverityText())
	c.attributes(g, l.GetAttributes())
}

func (c *Checker) severity(g *group, severity string) {
	if all := g.Annotations.Severity; all != nil && !slices.Contains(all, severity) {
		c.find("%s has the severity %q, declared is %s", g.label(), severity, strings.Join(all, " or "))
	}
}

// Line checks a line of the log on stdout, which is JSON.
func (c *Checker) Line(line []byte) {
	var l struct{ Msg, Level string }
	var all map[string]any
	if json.Unmarshal(line, &l) != nil || json.Unmarshal(line, &all) != nil {
		c.find("stdout has a line that is no JSON: %s", line)
		return
	}
	g := c.registry.event(logLine, l.Msg)
	if g == nil {
		c.find("stdout: %s %q is not declared", logLine, l.Msg)
		return
	}
	c.met(g)
	c.severity(g, l.Level)
	var attrs []*common.KeyValue
	for name, value := range all {
		if !slices.Contains([]string{"msg", "level", "time", "trace_id", "span_id"}, name) {
			attrs = append(attrs, &common.KeyValue{Key: name, Value: valueOf(g.has[name], value)})
		}
	}
	c.attributes(g, attrs)
}

// valueOf is a value of JSON, whose numbers have no types, as one of the type that a declares, if it can be.
func valueOf(a *attribute, value any) *common.AnyValue {
	switch v := value.(type) {
	case bool:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: v}}
	case float64:
		if a != nil && a.definition.Type.name == "int" && v == float64(int64(v)) {
			return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(v)}}
		}
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v}}
	}
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: fmt.Sprint(value)}}
}

// Metric checks a metric with its points. One of the scope named by own is described as it is declared.
func (c *Checker) Metric(m *metrics.Metric, own bool) {
	g := c.registry.metric(m.GetName())
	if g == nil {
		c.find("metric %s is not declared", m.GetName())
		return
	}
	c.met(g)
	instrument, points := shape(m)
	if instrument != g.Instrument {
		c.find("%s is a %s, declared is a %s", g.label(), instrument, g.Instrument)
	}
	if m.GetUnit() != g.Unit {
		c.find("%s has the unit %q, declared is %q", g.label(), m.GetUnit(), g.Unit)
	}
	if own && m.GetDescription() != g.Brief {
		c.find("%s is described as %q, declared is %q", g.label(), m.GetDescription(), g.Brief)
	}
	for _, attrs := range points {
		c.attributes(g, attrs)
	}
}

func (r *Registry) metric(name string) *group {
	for _, g := range r.groups {
		if g.Type == kindMetric && g.MetricName == name {
			return g
		}
	}
	return nil
}

// shape is the instrument of a metric, by Weaver's names, and the attributes of its points.
func shape(m *metrics.Metric) (instrument string, points [][]*common.KeyValue) {
	numbers := m.GetGauge().GetDataPoints()
	switch data := m.GetData().(type) {
	case *metrics.Metric_Gauge:
		instrument = "gauge"
	case *metrics.Metric_Sum:
		instrument, numbers = "updowncounter", data.Sum.GetDataPoints()
		if data.Sum.GetIsMonotonic() {
			instrument = "counter"
		}
	case *metrics.Metric_Histogram:
		instrument = "histogram"
		for _, p := range data.Histogram.GetDataPoints() {
			points = append(points, p.GetAttributes())
		}
	default:
		instrument = fmt.Sprintf("%T", data)
	}
	for _, p := range numbers {
		points = append(points, p.GetAttributes())
	}
	return instrument, points
}

// Resource checks the resource of a signal.
func (c *Checker) Resource(of *resource.Resource) {
	whole := &group{Type: "resource", has: make(map[string]*attribute)}
	for _, g := range c.registry.groups {
		if g.Type != kindEntity {
			continue
		}
		maps.Copy(whole.has, g.has)
		for _, a := range of.GetAttributes() {
			if g.has[a.GetKey()] != nil {
				c.met(g)
				c.seen[g.ID+": "+a.GetKey()] = true
			}
		}
	}
	c.attributes(whole, of.GetAttributes())
}

// attributes checks the attributes of something of the group.
func (c *Checker) attributes(g *group, attrs []*common.KeyValue) {
	here := make(map[string]bool)
	for _, a := range attrs {
		here[a.GetKey()] = true
		use := g.has[a.GetKey()]
		if use == nil {
			c.other(g, a)
			continue
		}
		c.seen[g.ID+": "+a.GetKey()] = true
		c.value(g, use, a.GetValue())
		if n := use.definition.Annotations.Names; n != "" && !c.names[n] {
			c.find("%s: attribute %s is emitted, and %s is not in force", g.label(), a.GetKey(), n)
		}
	}
	for name, use := range g.has {
		n := use.definition.Annotations.Names
		if use.Level.name == "required" && !here[name] && (n == "" || c.names[n]) {
			c.find("%s: attribute %s is required and missing", g.label(), name)
		}
	}
}

// other checks an attribute that the group does not list.
func (c *Checker) other(g *group, a *common.KeyValue) {
	if g.others == nil || typeOf(a.GetValue()) != "string" || !g.others.MatchString(a.GetKey()) {
		c.find("%s: attribute %s = %v is not declared", g.label(), a.GetKey(), a.GetValue())
	}
}

// value checks the value of an attribute.
func (c *Checker) value(g *group, use *attribute, value *common.AnyValue) {
	name, want := use.definition.ID, use.definition.Type
	if got := typeOf(value); got != want.name && want.name != "any" {
		c.find("%s: attribute %s is of type %s, declared is %s", g.label(), name, got, want.name)
		return
	}
	values := use.Annotations.Values
	if values == nil {
		for _, m := range want.members {
			values = append(values, m.Value)
		}
	}
	if values != nil && !slices.Contains(values, value.GetStringValue()) {
		c.find("%s: attribute %s is %q, declared is one of %s", g.label(), name, value.GetStringValue(), strings.Join(values, ", "))
	}
}

func typeOf(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return "string"
	case *common.AnyValue_IntValue:
		return "int"
	case *common.AnyValue_DoubleValue:
		return "double"
	case *common.AnyValue_BoolValue:
		return "boolean"
	default:
		return fmt.Sprintf("%T", v)
	}
}
