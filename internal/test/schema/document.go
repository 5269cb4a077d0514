package schema

import (
	"cmp"
	"fmt"
	"strings"
)

// Document is the registry for people to read, in Markdown.
func (r *Registry) Document() string {
	d := new(document)
	d.text(opening)
	d.heading("Spans")
	for _, g := range r.of(kindSpan, "") {
		d.span(r, g)
	}
	d.heading("Span events")
	d.table("event", "attributes", "what it tells")
	for _, g := range r.of(kindEvent, onSpan) {
		d.row(code(g.Name)+d.names(g.Annotations), d.list(g), g.Brief)
	}
	d.heading("Metrics")
	d.text("\nPrometheus gets them by the second name. A histogram has `_bucket`, `_sum` and `_count` behind it.\n")
	d.table("metric", "kind and unit", "attributes", "what it tells")
	for _, g := range r.of(kindMetric, "") {
		d.row(code(g.MetricName)+"<br>"+code(g.series())+d.names(g.Annotations), strings.TrimSpace(g.Instrument+" "+unit(g)), d.list(g), strings.TrimSpace(g.Brief+" "+g.Note))
	}
	d.heading("Log")
	d.text("\nLines are JSON on stdout, with `time`, `level`, `msg`, `trace_id` and `span_id`, and go to the collector; events go there alone. OpenTelemetry's SDK may complain on stdout in words of its own.\n")
	d.table("line or event", "level", "attributes", "what it tells")
	for _, record := range []string{logEvent, logLine} {
		for _, g := range r.of(kindEvent, record) {
			d.row(code(g.Name), d.level(g), d.list(g), g.Brief)
		}
	}
	d.heading("Attributes")
	for _, g := range r.sections {
		if strings.HasPrefix(g.ID, "registry.") {
			d.section(g)
		}
	}
	d.heading("Resource")
	d.table("attribute", "type", "there", "what it tells")
	for _, g := range r.of(kindEntity, "") {
		for _, name := range g.order {
			a := g.has[name]
			d.row(code(name), a.definition.Type.name, a.when(), a.definition.Brief)
		}
	}
	return d.String()
}

const opening = `# Telemetry

<!-- Generated from telemetry-schema by go test ./internal/test/schema -update. -->

All that the service emits by OTLP, and its log on stdout. A test compares both.

Names that depend on a setting are marked:

| | emitted with |
|---|---|
| *app* | ` + "`CHECKOUT_TELEMETRY_NAMES=app`, the default, or `both`" + ` |
| *demo* | ` + "`CHECKOUT_TELEMETRY_NAMES=demo` or `both`" + ` |
| *rpc/old* | always, unless ` + "`OTEL_SEMCONV_STABILITY_OPT_IN` has `rpc`" + ` |
| *rpc* | ` + "`OTEL_SEMCONV_STABILITY_OPT_IN` with `rpc` or `rpc/dup`" + ` |
| *messaging/old* | always, unless ` + "`OTEL_SEMCONV_STABILITY_OPT_IN` has `messaging`" + ` |
| *messaging* | ` + "`OTEL_SEMCONV_STABILITY_OPT_IN` with `messaging` or `messaging/dup`" + ` |
| *runtime/old* | ` + "`OTEL_GO_X_DEPRECATED_RUNTIME_METRICS=true`" + ` |

The dashboards of the demo's later releases expect ` + "`CHECKOUT_TELEMETRY_NAMES=demo` and `OTEL_SEMCONV_STABILITY_OPT_IN=rpc,http`" + `.

A span has only one name and only one ` + "`rpc.method`" + `: with both old and stable names in force, the old ones. An HTTP request is the
span ` + "`HTTP POST`, with `http` opted in `POST`" + `.

## What the demo's dashboards show differently

The demo's checkout answers every failure with INTERNAL (13), and its span is in error. This one rejects invalid requests before it
calls another service:

| what happened | in the demo's checkout | here |
|---|---|---|
| the card has expired, or its number is invalid | payment is called and fails: spans of payment and checkout in error | INVALID_ARGUMENT (3), payment is not called, no span in error: ` + "`checkout.orders`" + ` has it as ` + "`refused`, `invalid_request`" + ` |
| the cart is empty, a product unknown, a quantity invalid | placed for nothing, or INTERNAL (13) | FAILED_PRECONDITION (9), no span of checkout in error: ` + "`refused`" + ` |
| payment refuses the card | INTERNAL (13) | FAILED_PRECONDITION (9), the span is in error, as is payment's |

*Error Rate by Span Name* (Demo dashboard) and the Spanmetrics dashboard count spans in error, so they lack the first two rows. *Error*
under *Server gRPC RED Metrics* (APM) counts every code but 0, so it has them for checkout, but not for payment.
`

// of returns the groups of a kind and, for events, of a kind of record.
func (r *Registry) of(kind, record string) []*group {
	var all []*group
	for _, g := range r.groups {
		if g.Type == kind && (record == "" || g.record() == record) {
			all = append(all, g)
		}
	}
	return all
}

// document builds Markdown.
type document struct{ strings.Builder }

func (d *document) text(s string)       { d.WriteString(s) }
func (d *document) heading(name string) { fmt.Fprintf(d, "\n## %s\n", name) }

func (d *document) table(columns ...string) {
	d.text("\n")
	d.row(columns...)
	d.text(strings.Repeat("|---", len(columns)) + "|\n")
}

func (d *document) row(cells ...string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	d.text("| " + strings.Join(cells, " | ") + " |\n")
}

func (d *document) span(r *Registry, g *group) {
	var names []string
	for _, name := range g.Annotations.SpanName {
		names = append(names, code(name))
	}
	fmt.Fprintf(d, "\n### %s\n\n%s, kind %s. %s\n", strings.Join(names, " or "), code(g.ID), g.SpanKind, strings.TrimSpace(g.Brief+" "+g.Note))
	var events []string
	for _, e := range r.of(kindEvent, onSpan) {
		for _, id := range g.Events {
			if e.ID == id {
				events = append(events, code(e.Name))
			}
		}
	}
	if events != nil {
		fmt.Fprintf(d, "Events: %s.\n", strings.Join(events, ", "))
	}
	d.table("attribute", "type", "there", "what it tells")
	for _, name := range g.order {
		a := g.has[name]
		d.row(code(name)+d.names(a.definition.Annotations), a.definition.Type.name, a.when(), a.definition.Brief)
	}
}

// section is the definition of attributes, those with a list of values.
func (d *document) section(g *group) {
	fmt.Fprintf(d, "\n### %s\n\n%s\n", code(g.ID), g.Brief)
	d.table("attribute", "type", "values or examples", "what it tells")
	for _, a := range g.Attributes {
		var values []string
		for _, m := range a.Type.members {
			values = append(values, fmt.Sprintf("%s: %s", code(m.Value), m.Brief))
		}
		for _, example := range a.Examples {
			values = append(values, code(fmt.Sprint(example)))
		}
		brief := a.Brief
		if a.Deprecated != nil {
			brief += " Deprecated: " + cmp.Or(a.Deprecated.Note, "now "+code(a.Deprecated.RenamedTo)+".")
		}
		d.row(code(a.ID)+d.names(a.Annotations), a.Type.name, strings.Join(values, "<br>"), brief)
	}
}

// list is the attributes of a group in short: those that are not always there in parentheses.
func (d *document) list(g *group) string {
	var all []string
	for _, name := range g.order {
		a := g.has[name]
		text := code(name) + d.names(a.definition.Annotations)
		if a.Level.name != "required" {
			text = "(" + text + ")"
		}
		all = append(all, text)
	}
	if g.others != nil {
		all = append(all, "names like "+code(g.Annotations.Others))
	}
	return strings.Join(all, "<br>")
}

func (d *document) level(g *group) string {
	level := strings.Join(g.Annotations.Severity, ", ")
	if g.record() == logEvent {
		return "event"
	}
	if g.Annotations.Stdout {
		level += ", stdout alone"
	}
	return level
}

// names is under which convention something is emitted, if not always.
func (d *document) names(a annotations) string {
	if a.Names == "" {
		return ""
	}
	return " *" + a.Names + "*"
}

// when is when an attribute is there.
func (a *attribute) when() string {
	switch a.Level.name {
	case "required":
		return "always"
	case "conditionally_required":
		return "if " + a.Level.condition
	case "opt_in":
		return "if it is set"
	}
	return "if it is known"
}

func unit(g *group) string {
	if g.Unit == "" {
		return ""
	}
	return code(g.Unit)
}

func code(s string) string { return "`" + s + "`" }
