// Package schema reads the registry of the service's telemetry, telemetry-schema: all spans, events, log records, metrics and
// resource attributes, in the format of OpenTelemetry Weaver. It compares what the service emits with the registry, and
// generates docs/telemetry.md.
//
// Annotations define what Weaver's format cannot:
//
//	names     under which convention it is emitted: app and demo are dialects, the others are listed in Conventions
//	demo      of an attribute of the dialect app: its name in the dialect demo
//	span_name what spans of the group are called: any of these, {attribute} standing for the attribute's value
//	record    what an event is: on a span (the default), an event of the log, or a line of the log, known by its text
//	severity  of a line of the log: any of these
//	stdout    that a line is on stdout alone
//	others    that a line also has attributes that are not listed: strings, whose names match this regular expression
//	values    what an attribute is restricted to in this group
//	omitted   that the document does not explain the attributes of a group: conventions or the lines that have them do
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Conventions are the names of things that more than one convention has names for: "app" and "demo" of an order's facts,
// and of RPCs, messages and the Go runtime the old ones and, where there is an annotation for them, those since.
func Conventions() []string {
	return []string{"app", "demo", "rpc/old", "rpc", "messaging/old", "messaging", "runtime/old"}
}

// Registry is what may be emitted.
type Registry struct {
	groups     []*group // those of signals, in the order of their definition
	sections   []*group // those that define attributes
	attributes map[string]*attribute
}

// Kinds of groups, as Weaver knows them.
const (
	kindAttributes = "attribute_group"
	kindSpan       = "span"
	kindEvent      = "event"
	kindMetric     = "metric"
	kindEntity     = "entity"
)

// What an event is.
const (
	onSpan   = "span event"
	logEvent = "log event"
	logLine  = "log line"
)

// group is a definition in Weaver's format.
type group struct {
	ID          string
	Type        string
	Brief       string
	Note        string
	Stability   string
	Extends     string
	Attributes  []*attribute
	Annotations annotations

	SpanKind   string   `yaml:"span_kind"`
	Events     []string // of a span, by id
	Name       string   // of an event or entity
	MetricName string   `yaml:"metric_name"`
	Instrument string
	Unit       string

	has    map[string]*attribute // those of Extends, too
	order  []string              // their names, as they are defined
	others *regexp.Regexp
}

type annotations struct {
	Names    string
	Demo     string
	SpanName []string `yaml:"span_name"`
	Record   string
	Severity []string
	Stdout   bool
	Others   string
	Values   []string

	Omitted bool
}

// attribute is the definition of an attribute, or the use of one in a group.
type attribute struct {
	ID          string
	Ref         string
	Type        attributeType
	Brief       string
	Note        string
	Stability   string
	Examples    []any
	Level       level `yaml:"requirement_level"`
	Role        string
	Deprecated  *deprecated
	Annotations annotations

	definition *attribute
	of         *attribute // of one of the dialect demo: the same fact in the dialect app
}

type deprecated struct {
	Reason    string
	RenamedTo string `yaml:"renamed_to"`
	Note      string
}

// attributeType is the name of a type, or members: an enumeration of strings.
type attributeType struct {
	name    string
	members []member
}

type member struct {
	ID, Value, Brief, Stability string
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *attributeType) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		t.name = node.Value
		return nil
	}
	var enum struct{ Members []member }
	if err := node.Decode(&enum); err != nil {
		return err
	}
	t.name, t.members = "string", enum.Members
	return nil
}

// level is how much an attribute is required; since when, or where, if that depends.
type level struct{ name, condition string }

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *level) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		l.name = node.Value
		return nil
	}
	var conditions map[string]string
	if err := node.Decode(&conditions); err != nil {
		return err
	}
	for name, condition := range conditions {
		l.name, l.condition = name, condition
	}
	if len(conditions) != 1 {
		return fmt.Errorf("line %d: %d requirement levels", node.Line, len(conditions))
	}
	return nil
}

// Read reads the definitions, all files of a folder that end with .yaml but Weaver's manifest, and checks that they are
// whole. The error names everything that is wrong.
func Read(folder fs.FS) (*Registry, error) {
	files, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	r := &Registry{attributes: make(map[string]*attribute)}
	var problems []error
	for _, file := range files {
		if path.Base(file) == "registry_manifest.yaml" {
			continue
		}
		groups, err := readFile(folder, file)
		if err != nil {
			problems = append(problems, fmt.Errorf("read the registry: %s: %w", file, err))
		}
		for _, g := range groups {
			if g.Type == kindAttributes {
				r.sections = append(r.sections, g)
			} else {
				r.groups = append(r.groups, g)
			}
		}
	}
	return r, errors.Join(append(problems, r.resolve()...)...)
}

func readFile(folder fs.FS, name string) ([]*group, error) {
	text, err := fs.ReadFile(folder, name)
	if err != nil {
		return nil, err
	}
	var file struct{ Groups []*group }
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return file.Groups, nil
}

// label is what a reader calls the group.
func (g *group) label() string {
	switch g.Type {
	case kindSpan:
		return fmt.Sprintf("span %q", strings.Join(g.Annotations.SpanName, `" or "`))
	case kindMetric:
		return "metric " + g.MetricName
	case kindEvent:
		return fmt.Sprintf("%s %q", g.record(), g.Name)
	}
	return g.Type + " " + g.Name
}

func (g *group) record() string {
	if g.Annotations.Record == "" {
		return onSpan
	}
	return g.Annotations.Record
}
