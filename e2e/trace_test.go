//go:build telemetry

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata")

// span is a span as Jaeger or the collector shows it.
type span struct {
	id, parent          string
	service, name, kind string
	events              []string
	tags                map[string]string
}

// hasTheOrder compares the caller's trace with the golden tree, and looks for what the demo's trace test asks for.
func hasTheOrder(t *testing.T, names string, read func(context.Context) ([]span, error)) {
	golden := "testdata/trace_" + names + ".txt" // the conventions before they were stable name an HTTP client span HTTP POST
	want, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var spans []span
	var tree string
	await(t, "the trace", func(ctx context.Context) error {
		spans, err = read(ctx)
		tree = draw(spans, "", "")
		if err == nil && *update && len(spans) < 20 {
			err = fmt.Errorf("there are only %d spans", len(spans))
		}
		if err == nil && !*update && tree != string(want) {
			err = fmt.Errorf("(-want +got; -update rewrites it):\n%s", cmp.Diff(string(want), tree))
		}
		return err
	})
	if *update {
		if err := os.WriteFile(golden, []byte(tree), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tags := range asked(names) {
		if !slices.ContainsFunc(spans, func(s span) bool { return has(s.tags, tags) }) {
			t.Errorf("no span has the tags %v", tags)
		}
	}
}

// asked are the tags of spans that trace tests ask for: the shop's of release 2.1.3, or ours for those after it.
func asked(names string) []map[string]string {
	published := map[string]string{"messaging.system": "kafka", "messaging.destination.name": "orders", "messaging.operation": "publish"}
	if names == "demo" {
		return []map[string]string{published, {
			"rpc.system.name": "grpc", "rpc.method": "oteldemo.CheckoutService/PlaceOrder", "rpc.response.status_code": "OK", "user.id": "1997",
		}}
	}
	return []map[string]string{published, {
		"rpc.system": "grpc", "rpc.service": "oteldemo.CheckoutService", "rpc.method": "PlaceOrder", "rpc.grpc.status_code": "0", "app.user.id": "1997",
	}}
}

// has reports whether a map has all that another has.
func has(all, some map[string]string) bool {
	for key, value := range some {
		if got, ok := all[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// draw draws spans below their parents, siblings by name, equal ones once with how many they are.
func draw(spans []span, parent, indent string) string {
	var drawn []string
	for _, s := range spans {
		if s.parent != parent {
			continue
		}
		text := fmt.Sprintf("%s%s: %s (%s)", indent, s.service, s.name, s.kind)
		for _, event := range s.events {
			text += " ◆ " + event
		}
		drawn = append(drawn, text+"\n"+draw(spans, s.id, indent+"  "))
	}
	slices.Sort(drawn)
	var all strings.Builder
	for len(drawn) > 0 {
		n := 1
		for n < len(drawn) && drawn[n] == drawn[0] {
			n++
		}
		head, tail, _ := strings.Cut(drawn[0], "\n")
		if n > 1 {
			head += fmt.Sprintf(" × %d", n)
		}
		all.WriteString(head + "\n" + tail)
		drawn = drawn[n:]
	}
	return all.String()
}

// written are the spans of the caller's trace that the collector has written so far.
func (p *parts) written(context.Context) ([]span, error) {
	text, err := os.ReadFile(filepath.Join(p.folder, "traces.jsonl"))
	if err != nil {
		return nil, err
	}
	var all []span
	for line := range bytes.Lines(text) {
		var batch struct { // OTLP, in JSON
			ResourceSpans []struct {
				Resource   struct{ Attributes keyValues }
				ScopeSpans []struct {
					Spans []struct {
						TraceID, SpanID, ParentSpanID, Name string
						Kind                                int
						Attributes                          keyValues
						Events                              []struct{ Name string }
					}
				}
			}
		}
		if err := json.Unmarshal(line, &batch); err != nil {
			return nil, err
		}
		for _, r := range batch.ResourceSpans {
			for _, scope := range r.ScopeSpans {
				for _, s := range scope.Spans {
					if s.TraceID != callersTrace {
						continue
					}
					kind := []string{"", "internal", "server", "client", "producer", "consumer"}[s.Kind]
					one := span{id: s.SpanID, parent: s.ParentSpanID, service: r.Resource.Attributes.tags()["service.name"], name: s.Name, kind: kind, tags: s.Attributes.tags()}
					for _, e := range s.Events {
						one.events = append(one.events, e.Name)
					}
					all = append(all, one)
				}
			}
		}
	}
	return all, nil
}

// keyValues are attributes, in OTLP's JSON.
type keyValues []struct {
	Key   string
	Value map[string]any // the value, by its type
}

func (kvs keyValues) tags() map[string]string {
	all := map[string]string{}
	for _, kv := range kvs {
		for _, value := range kv.Value {
			all[kv.Key] = fmt.Sprint(value)
		}
	}
	return all
}

// jaegerTrace is a trace in the JSON of Jaeger's API.
type jaegerTrace struct {
	Spans []struct {
		SpanID, OperationName, ProcessID string
		References                       []struct{ RefType, SpanID string }
		Tags                             jaegerTags
		Logs                             []struct{ Fields jaegerTags }
	}
	Processes map[string]struct{ ServiceName string }
}

type jaegerTags []struct {
	Key   string
	Value any
}

func (kvs jaegerTags) tags() map[string]string {
	all := map[string]string{}
	for _, kv := range kvs {
		all[kv.Key] = fmt.Sprint(kv.Value)
	}
	return all
}

// spans are those of the trace.
func (j jaegerTrace) spans() (all []span) {
	for _, s := range j.Spans {
		tags := s.Tags.tags()
		one := span{id: s.SpanID, service: j.Processes[s.ProcessID].ServiceName, name: s.OperationName, kind: tags["span.kind"], tags: tags}
		for _, r := range s.References {
			if r.RefType == "CHILD_OF" {
				one.parent = r.SpanID
			}
		}
		for _, log := range s.Logs {
			one.events = append(one.events, log.Fields.tags()["event"])
		}
		all = append(all, one)
	}
	return all
}

// shown are the spans of the caller's trace that Jaeger shows.
func (p *parts) shown(ctx context.Context) ([]span, error) {
	var answer struct{ Data []jaegerTrace }
	if err := get(ctx, p.jaeger+"/api/traces/"+callersTrace, &answer); err != nil {
		return nil, err
	}
	if len(answer.Data) != 1 {
		return nil, fmt.Errorf("there are %d traces of this id", len(answer.Data))
	}
	return answer.Data[0].spans(), nil
}

// hasTheEdges asks as the shop's trace tests do: for the traces of each called service, whether there is a span of its
// directly below one of checkout's.
func (p *parts) hasTheEdges(t *testing.T) {
	for service := range p.calls() {
		await(t, "the edge checkout → "+service, func(ctx context.Context) error {
			var answer struct{ Data []jaegerTrace }
			query := url.Values{"service": {service}, "limit": {"200"}, "lookback": {"1h"}}
			if err := get(ctx, p.jaeger+"/api/traces?"+query.Encode(), &answer); err != nil {
				return err
			}
			for _, trace := range answer.Data {
				if edge(trace.spans(), "checkout", service) {
					return nil
				}
			}
			return fmt.Errorf("none of %d traces has it", len(answer.Data))
		})
	}
}

// edge reports whether a span of one service is directly below one of another's.
func edge(spans []span, parent, child string) bool {
	above := map[string]bool{}
	for _, s := range spans {
		above[s.id] = s.service == parent
	}
	return slices.ContainsFunc(spans, func(s span) bool { return s.service == child && above[s.parent] })
}

// hasTheDependencies compares what Jaeger says that services ask of each other with the calls that were made.
func (p *parts) hasTheDependencies(t *testing.T) {
	type dependency struct {
		Parent, Child string
		CallCount     int
	}
	want := map[dependency]bool{{"frontend", "checkout", 1}: true, {"checkout", "accounting", len(p.shop.Accounting.Events())}: true}
	for service, calls := range p.calls() {
		want[dependency{"checkout", service, len(calls)}] = true
	}
	await(t, "the dependencies", func(ctx context.Context) error {
		var answer struct{ Data []dependency }
		query := url.Values{"endTs": {fmt.Sprint(time.Now().Add(time.Minute).UnixMilli())}, "lookback": {"3600000"}}
		err := get(ctx, p.jaeger+"/api/dependencies?"+query.Encode(), &answer)
		got := map[dependency]bool{}
		for _, d := range answer.Data {
			got[d] = true
		}
		if err == nil && !maps.Equal(want, got) {
			err = fmt.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
		}
		return err
	})
}
