package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Document is the registry for people to read, in Markdown.
func (r *Registry) Document() string {
	d := new(document)
	d.text(opening)
	d.heading("Metrics")
	d.text(metricsIntro)
	var conventional []*group
	var old []string
	for _, g := range r.of(kindMetric, "") {
		switch {
		case g.Annotations.Names == "runtime/old":
			old = append(old, code(g.MetricName))
		case !strings.HasPrefix(g.MetricName, "checkout."):
			conventional = append(conventional, g)
		default:
			name := code(g.MetricName) + ", " + code(g.series()) + ", " + strings.TrimSpace(g.Instrument+" "+unit(g))
			d.item(name, strings.TrimSpace(g.Brief+" "+g.Note), g.list())
		}
	}
	d.text("\nOpenTelemetry's conventions define kind and unit of these. Prometheus adds the unit, as in `rpc_server_duration_milliseconds`:\n")
	d.table("metrics", "attributes")
	var lists []string
	by := make(map[string][]string)
	for _, g := range conventional {
		list := g.list()
		if by[list] == nil {
			lists = append(lists, list)
		}
		by[list] = append(by[list], code(g.MetricName)+g.Annotations.marker())
	}
	for _, list := range lists {
		d.row(strings.Join(by[list], ", "), list)
	}
	fmt.Fprintf(d, "\n*runtime/old*: %s.\n", strings.Join(old, ", "))
	d.heading("Spans")
	d.text("\n")
	for _, g := range r.of(kindSpan, "") {
		r.writeSpan(d, g)
	}
	d.text("\nTheir events:\n\n")
	for _, g := range r.of(kindEvent, onSpan) {
		d.item(code(g.Name)+g.Annotations.marker(), g.Brief, g.list())
	}
	d.heading("Log")
	d.text(logIntro)
	r.writeLines(d, false)
	d.text(stdoutIntro)
	r.writeLines(d, true)
	d.heading("Attributes")
	d.text(attributesIntro)
	for _, g := range r.sections {
		if strings.HasPrefix(g.ID, "registry.") && !g.Annotations.Omitted {
			r.section(d, g)
		}
	}
	d.heading("Resource")
	var resource []string
	for _, g := range r.of(kindEntity, "") {
		resource = append(resource, g.list())
	}
	fmt.Fprintf(d, "\n%s. `OTEL_RESOURCE_ATTRIBUTES` adds to them and takes precedence.\n", strings.Join(resource, ", "))
	d.heading("In the demo's dashboards")
	d.text(dashboards)
	return d.String()
}

const opening = `# Telemetry

<!-- Generated from telemetry-schema by go test ./internal/test/schema -update. -->

Every span, metric, log line and attribute that the service emits. A test compares the list with the service. Attributes in parentheses are
not always present. Names that depend on a setting are marked:

- *app*: ` + "`CHECKOUT_TELEMETRY_NAMES=app`, the default, or `both`" + `
- *demo*: ` + "`CHECKOUT_TELEMETRY_NAMES=demo` or `both`" + `
- *rpc*, *messaging*: ` + "`OTEL_SEMCONV_STABILITY_OPT_IN` with `rpc`, `messaging`, or the same with `/dup`" + `
- *rpc/old*, *messaging/old*: always, unless it has ` + "`rpc` or `messaging`" + `
- *runtime/old*: ` + "`OTEL_GO_X_DEPRECATED_RUNTIME_METRICS=true`" + `

Attributes of an order are listed by their *app* name; [Attributes](#attributes) has the other. The dashboards of the demo's later releases
expect ` + "`CHECKOUT_TELEMETRY_NAMES=demo` and `OTEL_SEMCONV_STABILITY_OPT_IN=rpc,http`" + `. With ` + "`/dup`" + `, a span has its old name and
` + "`rpc.method`. With `http`, the span `HTTP POST` is `POST`" + `.
`

const metricsIntro = `
The second name is that in Prometheus, where a histogram's ends in ` + "`_bucket`, `_sum` and `_count`" + `. Attributes are last.

`

const logIntro = `
Lines go to stdout as JSON, with ` + "`time`, `level`, `msg`, `trace_id` and `span_id`" + `, and to the collector. Events go to the collector only.
*error* stands for ` + "`exception.type` and `exception.message`; `skipped`" + ` counts similar lines left out since the last one.

`

const stdoutIntro = `
On stdout only, beside errors of OpenTelemetry's SDK:

`

const attributesIntro = `
[OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/) define the others. They are strings unless another type
is given. Of two names, the first is *app*, the second *demo*.

`

const dashboards = `
The demo's checkout answers every failure with INTERNAL (13), and its span is in error. Here an expired or invalid card is INVALID_ARGUMENT
(3), and an empty cart, unknown product or invalid quantity FAILED_PRECONDITION (9), without a span of checkout in error. So panels that
count spans in error (*Error Rate by Span Name*, Spanmetrics) lack them; ` + "`checkout.orders` has them as `refused`" + `. A declined card is
FAILED_PRECONDITION, with spans of payment and checkout in error. *Error* under *Server gRPC RED Metrics* counts every code but 0.
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

// item is an element of a list. Its meaning and attributes may be none.
func (d *document) item(name, meaning, attributes string) {
	d.text("- " + name)
	if text := strings.TrimSpace(meaning + " " + attributes); text != "" {
		d.text(": " + text)
	}
	d.text("\n")
}

func (d *document) row(cells ...string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	d.text("| " + strings.Join(cells, " | ") + " |\n")
}

// writeLines describes the events and lines of the log, or the lines that are on stdout only.
func (r *Registry) writeLines(d *document, stdout bool) {
	for _, record := range []string{logEvent, logLine} {
		for _, g := range r.of(kindEvent, record) {
			if g.Annotations.Stdout == stdout {
				brief := g.Brief
				if strings.EqualFold(brief, g.Name+".") { // the line says it
					brief = ""
				}
				d.item(code(g.Name)+" "+g.level(), brief, g.list())
			}
		}
	}
}

// writeSpan describes a span.
func (r *Registry) writeSpan(d *document, g *group) {
	var names, events []string
	for _, name := range g.Annotations.SpanName {
		names = append(names, code(name))
	}
	for _, e := range r.of(kindEvent, onSpan) {
		if slices.Contains(g.Events, e.ID) {
			events = append(events, code(e.Name))
		}
	}
	list := g.list()
	if events != nil {
		list += "; events " + strings.Join(events, ", ")
	}
	d.item(strings.Join(names, " or ")+" "+g.SpanKind, strings.TrimSpace(g.Brief+" "+g.Note), list)
}

// section is the definitions of attributes, with their values. What has a name in two dialects is one row.
func (r *Registry) section(d *document, g *group) {
	for _, a := range g.Attributes {
		if a.of != nil {
			continue
		}
		name := code(a.ID) + a.marker()
		if other := a.Annotations.Demo; other != "" {
			name += ", " + code(other)
		}
		if a.Type.name != "string" {
			name += " " + a.Type.name
		}
		meaning := a.Brief
		if like := r.sameValues(a); like != nil {
			meaning += " Values of " + code(like.ID) + "."
		} else if a.Type.members != nil {
			meaning = strings.TrimSuffix(meaning, ".") + ": " + a.values() + "."
		}
		if a.Deprecated != nil {
			meaning += " " + cmp.Or(a.Deprecated.Note, "Now "+code(a.Deprecated.RenamedTo)+".")
		}
		d.item(name, meaning, "")
	}
}

// sameValues is an attribute defined before that has the same values, several.
func (r *Registry) sameValues(a *attribute) *attribute {
	for _, g := range r.sections {
		for _, earlier := range g.Attributes {
			if earlier == a {
				return nil
			}
			if len(a.Type.members) > 1 && slices.Equal(earlier.Type.members, a.Type.members) {
				return earlier
			}
		}
	}
	return nil
}

// values are those of an enumeration, with their meaning where the name does not say it.
func (a *attribute) values() string {
	var all []string
	for _, m := range a.Type.members {
		value := code(m.Value)
		if m.Brief != "" {
			value += " (" + m.Brief + ")"
		}
		all = append(all, value)
	}
	return strings.Join(all, ", ")
}

// listed are the attributes of a group, without the second name of one that is there.
func (g *group) listed() (all []*attribute) {
	for _, name := range g.order {
		a := g.has[name]
		if of := a.definition.of; of == nil || g.has[of.ID] == nil {
			all = append(all, a)
		}
	}
	return all
}

// list is the attributes of a group in short: those that are not always there in parentheses.
func (g *group) list() string {
	var all []string
	failed := g.has["exception.type"] != nil && g.has["exception.message"] != nil
	for _, a := range g.listed() {
		text := code(a.definition.ID)
		if a.definition.Annotations.Names != g.Annotations.Names {
			text += a.marker()
		}
		switch {
		case failed && a.definition.ID == "exception.type":
			continue
		case failed && a.definition.ID == "exception.message":
			text = "*error*"
		case a.Level.name != "required":
			text = "(" + text + ")"
		}
		all = append(all, text)
	}
	if g.others != nil {
		all = append(all, code(g.Annotations.Others))
	}
	return strings.Join(all, ", ")
}

func (g *group) level() string {
	level := strings.Join(g.Annotations.Severity, ", ")
	if g.record() == logEvent {
		return "event"
	}
	return level
}

// marker is under which convention something is emitted, if not always.
func (a annotations) marker() string {
	if a.Names == "" {
		return ""
	}
	return " *" + a.Names + "*"
}

// marker is that of an attribute in a list, where one with a name in each dialect needs none.
func (a *attribute) marker() string {
	if a.definition.Annotations.Demo != "" {
		return ""
	}
	return a.definition.Annotations.marker()
}

// unit is what a metric measures, unless it counts things.
func unit(g *group) string {
	if g.Unit == "" || strings.HasPrefix(g.Unit, "{") {
		return ""
	}
	return code(g.Unit)
}

func code(s string) string { return "`" + s + "`" }
