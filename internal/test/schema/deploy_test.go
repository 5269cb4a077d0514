package schema_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	dashboardFile = "../../../deploy/grafana/checkout.json"
	rulesFile     = "../../../deploy/prometheus/checkout.rules.yaml"
)

// query is an expression for Prometheus, and where it stands.
type query struct{ where, expr string }

// rule is a rule of Prometheus.
type rule struct {
	Record, Alert, Expr string
	For                 string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(fileText(t, rulesFile)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rules", rulesFile)
	}
	return all
}

// panel is a panel of the dashboard.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ UID string }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct {
		RefID        string `json:"refId"`
		Expr         string
		LegendFormat string
	}
}

func panels(t *testing.T) []panel {
	t.Helper()
	var dashboard struct {
		SchemaVersion int
		Templating    struct {
			List []struct{ Name, Type, Definition string }
		}
		Panels []panel
	}
	if err := json.Unmarshal(fileText(t, dashboardFile), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.SchemaVersion < 39 || dashboard.Templating.List[0].Type != "datasource" {
		t.Errorf("%s has the schema %d and the first variable %v, want Grafana 11's and the data source", dashboardFile, dashboard.SchemaVersion, dashboard.Templating.List[0])
	}
	return dashboard.Panels
}

func fileText(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Whatever dashboards and rules ask for is emitted, with the labels that they ask for.
func TestDashboardsAndRulesAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	var queries []query
	known := registry(t).Series()
	for _, r := range rules(t) {
		queries = append(queries, query{r.Record + r.Alert, r.Expr})
		if r.Record != "" {
			known[r.Record] = []string{"job"}
		}
	}
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			queries = append(queries, query{p.Title, target.Expr})
		}
	}
	for _, q := range queries {
		names, labels := asked(q.expr)
		var there []string
		for _, name := range names {
			if known[name] == nil {
				t.Errorf("%s asks for %s, which is not emitted", q.where, name)
			}
			there = append(there, known[name]...)
		}
		if len(names) == 0 {
			t.Errorf("%s asks for nothing: %s", q.where, q.expr)
		}
		for _, label := range labels {
			if !slices.Contains(there, label) {
				t.Errorf("%s asks for the label %s, which %s have not", q.where, label, strings.Join(names, ", "))
			}
		}
	}
}

// asked are the names of metrics and labels in an expression. It knows as much of PromQL as is used here.
func asked(expr string) (names, labels []string) {
	word := regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	add := func(to *[]string, text string) string {
		*to = append(*to, word.FindAllString(text, -1)...)
		return " "
	}
	expr = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, "")
	expr = regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(expr, "")
	expr = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(expr, func(s string) string { return add(&labels, s) })
	expr = regexp.MustCompile(`\b(by|without|on|ignoring)\s*\([^)]*\)`).ReplaceAllStringFunc(expr, func(s string) string {
		return add(&labels, s[strings.IndexByte(s, '('):])
	})
	expr = regexp.MustCompile(`[a-z_]+\s*\(`).ReplaceAllString(expr, "(")
	expr = regexp.MustCompile(`\b(and|or|unless|bool)\b`).ReplaceAllString(expr, " ")
	add(&names, expr)
	return names, labels
}

func TestPanelsTellWhatTheyShow(t *testing.T) {
	t.Parallel()
	ids := map[int]bool{}
	for _, p := range panels(t) {
		if ids[p.ID] {
			t.Errorf("panel %q has the id of another", p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is wider than the page", p.Title)
		}
		if p.Type != "row" && (p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}") {
			t.Errorf("panel %d, %q, lacks a title, a description, a unit or the data source's variable", p.ID, p.Title)
		}
	}
}

// An alert that wakes somebody says what to do.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	t.Parallel()
	text := string(fileText(t, "../../../docs/operations.md"))
	sections := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^### (Checkout\w+)\n\n(page|ticket)\. \S`).FindAllStringSubmatch(text, -1) {
		sections[name[1]+" "+name[2]] = true
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if want := "{{ $externalLabels.checkout_docs }}docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want || r.Annotations["summary"] == "" {
			t.Errorf("%s has the annotations %v, want a summary and %s", r.Alert, r.Annotations, want)
		}
		if section := r.Alert + " " + r.Labels["severity"]; !sections[section] {
			t.Errorf("docs/operations.md has no section %q", section)
		} else {
			delete(sections, section)
		}
	}
	if len(sections) > 0 {
		t.Errorf("docs/operations.md has sections of alerts that there are not: %v", slices.Collect(maps.Keys(sections)))
	}
}

func TestTheRulesDoWhatTheyShall(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CHECKOUT_TEST_PROMTOOL") == "required" {
			t.Fatal(err)
		}
		t.Skip("promtool is not installed; Debian's package prometheus has it")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", "checkout.rules.test.yaml")
	cmd.Dir = "../../../deploy/prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}
