package schema_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"checkout/internal/test/schema"
)

// small is a registry with one of each.
const small = `
groups:
  - id: registry.x
    type: attribute_group
    brief: All.
    attributes:
      - {id: colour, stability: stable, brief: The colour., type: {members: [{id: red, value: red, stability: stable, brief: as a fire engine}]}}
      - {id: size, type: int, stability: stable, brief: The size.}
      - {id: old.size, type: int, stability: stable, brief: The size., annotations: {names: app}}
  - {id: span.x.server, type: span, span_kind: server, stability: stable, brief: A span., events: [event.done], annotations: {span_name: ["paint {colour}"]}, attributes: [{ref: colour, requirement_level: required}, {ref: old.size, requirement_level: required}]}
  - {id: event.done, type: event, name: done, stability: stable, brief: Done., attributes: [{ref: size}]}
  - {id: event.line, type: event, name: painted, stability: stable, brief: A line., annotations: {record: log line, severity: [INFO], others: "[A-Z]+"}, attributes: [{ref: size}]}
  - {id: event.stdout, type: event, name: mixed, stability: stable, brief: A line., annotations: {record: log line, stdout: true}}
  - {id: metric.paint, type: metric, metric_name: paint, instrument: counter, unit: By, stability: stable, brief: Paint., attributes: [{ref: colour}]}
  - {id: metric.time, type: metric, metric_name: time, instrument: histogram, unit: s, stability: stable, brief: Time., annotations: {names: demo}}
  - {id: entity.can, type: entity, name: can, stability: stable, brief: The can., attributes: [{id: can.id, type: string, stability: stable, brief: Its id., examples: [a], requirement_level: required}]}
`

func read(t *testing.T, text string) (*schema.Registry, error) {
	t.Helper()
	return schema.Read(fstest.MapFS{"all.yaml": {Data: []byte(text)}, "registry_manifest.yaml": {Data: []byte("name: small")}})
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func number(key string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 1}}}
}

func span(name string, attrs ...*common.KeyValue) *trace.Span {
	return &trace.Span{Name: name, Kind: trace.Span_SPAN_KIND_SERVER, Attributes: attrs}
}

func line(body, severity string, attrs ...*common.KeyValue) *logs.LogRecord {
	return &logs.LogRecord{Body: text("", body).GetValue(), SeverityText: severity, Attributes: attrs}
}

func sum(unit string, monotonic bool, attrs ...*common.KeyValue) *metrics.Metric {
	return &metrics.Metric{Name: "paint", Description: "Paint.", Unit: unit, Data: &metrics.Metric_Sum{Sum: &metrics.Sum{
		IsMonotonic: monotonic, DataPoints: []*metrics.NumberDataPoint{{Attributes: attrs}},
	}}}
}

func TestWhatIsNotAsDeclaredIsFound(t *testing.T) {
	t.Parallel()
	red, size := text("colour", "red"), number("old.size")
	for name, test := range map[string]struct {
		show func(*schema.Checker)
		want string
	}{
		"a good span":         {func(c *schema.Checker) { c.Span(span("paint red", red, size)) }, ""},
		"a good line":         {func(c *schema.Checker) { c.Log(line("painted", "INFO", number("size"), text("TIN", "yes"))) }, ""},
		"a good line of JSON": {func(c *schema.Checker) { c.Line([]byte(`{"msg":"painted","level":"INFO","time":"now","size":1}`)) }, ""},
		"a good metric":       {func(c *schema.Checker) { c.Metric(sum("By", true, red), true) }, ""},
		"a good resource": {func(c *schema.Checker) {
			c.Resource(&resource.Resource{Attributes: []*common.KeyValue{text("can.id", "b")}})
		}, ""},
		"another span":           {func(c *schema.Checker) { c.Span(span("paint blue", red, size)) }, `span "paint blue" of kind server is not declared`},
		"another value":          {func(c *schema.Checker) { c.Span(span("paint blue", text("colour", "blue"), size)) }, `attribute colour is "blue", declared is one of red`},
		"another attribute":      {func(c *schema.Checker) { c.Span(span("paint red", red, size, number("size"))) }, "attribute size"},
		"another type":           {func(c *schema.Checker) { c.Span(span("paint red", red, text("old.size", "1"))) }, "attribute old.size is of type string, declared is int"},
		"an attribute too few":   {func(c *schema.Checker) { c.Span(span("paint red", red)) }, "attribute old.size is required and missing"},
		"one of another dialect": {func(c *schema.Checker) { c.InForce("demo"); c.Span(span("paint red", red, size)) }, "attribute old.size is emitted, and app is not in force"},
		"another span event": {func(c *schema.Checker) {
			s := span("paint red", red, size)
			s.Events = []*trace.Span_Event{{Name: "spilt"}}
			c.Span(s)
		}, `its event "spilt" is not declared`},
		"another line":             {func(c *schema.Checker) { c.Log(line("spilt", "INFO")) }, `log line "spilt" is not declared`},
		"another level":            {func(c *schema.Checker) { c.Log(line("painted", "WARN")) }, `has the severity "WARN", declared is INFO`},
		"a line for stdout":        {func(c *schema.Checker) { c.Log(line("mixed", "INFO")) }, "is for stdout alone"},
		"another log event":        {func(c *schema.Checker) { c.Log(&logs.LogRecord{EventName: "done"}) }, `log event "done" is not declared`},
		"a line that is no JSON":   {func(c *schema.Checker) { c.Line([]byte("painted")) }, "no JSON"},
		"another line of JSON":     {func(c *schema.Checker) { c.Line([]byte(`{"msg":"spilt"}`)) }, `log line "spilt" is not declared`},
		"another type in JSON":     {func(c *schema.Checker) { c.Line([]byte(`{"msg":"painted","level":"INFO","size":1.5}`)) }, "attribute size is of type double, declared is int"},
		"another metric":           {func(c *schema.Checker) { c.Metric(&metrics.Metric{Name: "brush"}, true) }, "metric brush is not declared"},
		"another unit":             {func(c *schema.Checker) { c.Metric(sum("L", true, red), true) }, `has the unit "L", declared is "By"`},
		"another instrument":       {func(c *schema.Checker) { c.Metric(sum("By", false, red), true) }, "is a updowncounter, declared is a counter"},
		"another attribute of one": {func(c *schema.Checker) { c.Metric(sum("By", true, size), true) }, "attribute old.size"},
		"another description":      {func(c *schema.Checker) { m := sum("By", true); m.Description = "Tins."; c.Metric(m, true) }, `is described as "Tins.", declared is "Paint."`},
		"a metric of another names": {func(c *schema.Checker) {
			c.Metric(&metrics.Metric{Name: "time", Unit: "s", Data: &metrics.Metric_Histogram{}}, false)
		}, "metric time is emitted, and demo is not in force"},
		"a resource without its id": {func(c *schema.Checker) { c.Resource(&resource.Resource{}) }, "attribute can.id is required and missing"},
		"a resource that says more": {func(c *schema.Checker) {
			c.Resource(&resource.Resource{Attributes: []*common.KeyValue{text("can.id", "b"), red}})
		}, "attribute colour"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := read(t, small)
			if err != nil {
				t.Fatal(err)
			}
			c := r.Checker("app")
			test.show(c)
			got := strings.Join(c.Findings(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

func TestWhatWasNeverMetIsNamed(t *testing.T) {
	t.Parallel()
	r, err := read(t, small)
	if err != nil {
		t.Fatal(err)
	}
	c := r.Checker("app")
	c.Span(span("paint red", text("colour", "red"), number("old.size")))
	c.Log(line("painted", "INFO"))
	want := []string{"entity.can", "event.done", "event.line: size", "event.stdout", "metric.paint", "metric.time"}
	if diff := cmp.Diff(want, c.Unseen()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefinitionsThatAreNotWholeAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ from, to, want string }{
		"an unknown field":     {"stability: stable, brief: Paint.", "stability: stable, colour: red, brief: Paint.", "field colour not found"},
		"an unknown attribute": {"{ref: colour}", "{ref: taste}", `attribute "taste", which is not defined`},
		"an unknown type":      {"id: size, type: int", "id: size, type: integer", `type "integer"`},
		"an unknown kind":      {"span_kind: server", "span_kind: waiter", `kind "waiter"`},
		"an unknown event":     {"events: [event.done]", "events: [event.spilt]", `event "event.spilt"`},
		"an unknown meter":     {"instrument: counter", "instrument: ruler", `is a "ruler"`},
		"an unknown level":     {"requirement_level: required}, {ref: old", "requirement_level: sometimes}, {ref: old", `requirement level "sometimes"`},
		"an unknown name":      {"names: app", "names: apps", `names of "apps"`},
		"a group twice":        {"id: event.line", "id: event.done", "event.done is defined twice"},
		"an attribute twice":   {"id: old.size", "id: size", "size is defined twice"},
		"another prefix":       {"id: metric.paint", "id: metric.pain", "metric.pain does not begin with metric.paint"},
		"no brief":             {"brief: The colour.", "brief: The colour", `brief "The colour"`},
		"no stability":         {"stability: stable, brief: Time.", "brief: Time.", `stability ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(small, test.from, test.to, 1)
			if broken == small {
				t.Fatalf("%q is not in the registry", test.from)
			}
			if _, err := read(t, broken); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("read with %v, want %q", err, test.want)
			}
		})
	}
}

func TestPrometheusNamesOfMetrics(t *testing.T) {
	t.Parallel()
	got := registry(t).Series()
	for name, label := range map[string]string{
		"checkout_orders_total":                            "checkout_order_outcome",
		"checkout_order_oldest_seconds":                    "checkout_order_state",
		"checkout_order_amount_bucket":                     "le",
		"checkout_admission_refused_total":                 "job",
		"rpc_server_duration_milliseconds_count":           "rpc_grpc_status_code",
		"rpc_server_call_duration_seconds_bucket":          "rpc_response_status_code",
		"go_config_gogc_percent":                           "instance",
		"process_memory_usage_bytes":                       "job",
		"process_unix_file_descriptor_count":               "job",
		"process_runtime_go_gc_pause_ns_nanoseconds_total": "job",
	} {
		if labels := strings.Join(got[name], " "); !strings.Contains(" "+labels+" ", " "+label+" ") {
			t.Errorf("%s has the labels %q, want %s among them", name, labels, label)
		}
	}
}
