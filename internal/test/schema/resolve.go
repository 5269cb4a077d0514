package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// resolve connects what refers to each other, and tells what is wrong with the definitions.
func (r *Registry) resolve() []error {
	p := new(problems)
	ids := make(map[string]*group)
	for _, g := range slices.Concat(r.sections, r.groups) {
		if ids[g.ID] != nil {
			p.add("group %s is defined twice", g.ID)
		}
		ids[g.ID] = g
		for _, a := range g.Attributes {
			if a.ID != "" {
				r.define(a, p)
			}
		}
	}
	for _, a := range r.attributes {
		if d := a.Deprecated; d != nil && d.Reason == "renamed" && r.attributes[d.RenamedTo] == nil {
			p.add("attribute %s is renamed to %q, which is not defined", a.ID, d.RenamedTo)
		}
		if name := a.Annotations.Demo; name != "" {
			if other := r.attributes[name]; other == nil {
				p.add("attribute %s is %q in the dialect demo, which is not defined", a.ID, name)
			} else {
				other.of = a
			}
		}
	}
	for _, g := range slices.Concat(r.sections, r.groups) {
		g.has = make(map[string]*attribute)
		r.inherit(g, g, ids, p)
		g.check(ids, p)
	}
	return p.all
}

type problems struct{ all []error }

func (p *problems) add(format string, args ...any) {
	p.all = append(p.all, fmt.Errorf(format, args...))
}

// define takes in the definition of an attribute.
func (r *Registry) define(a *attribute, p *problems) {
	if r.attributes[a.ID] != nil {
		p.add("attribute %s is defined twice", a.ID)
	}
	r.attributes[a.ID], a.definition = a, a
	if !slices.Contains([]string{"string", "int", "double", "boolean", "any"}, a.Type.name) {
		p.add("attribute %s has the type %q, which nothing here can have", a.ID, a.Type.name)
	}
	if a.Type.name == "string" && a.Type.members == nil && len(a.Examples) == 0 {
		p.add("attribute %s is a string without an example", a.ID)
	}
	if n := a.Annotations.Names; n != "" && !slices.Contains(Conventions(), n) {
		p.add("attribute %s has names of %q, which is no convention", a.ID, n)
	}
	for _, m := range a.Type.members {
		if m.ID == "" || m.Value == "" {
			p.add("attribute %s has the incomplete member %q", a.ID, m.ID+m.Value)
		}
		checkStability("attribute "+a.ID+": member "+m.ID, m.Stability, p)
	}
	checkWords("attribute "+a.ID, a.Brief, a.Stability, p)
}

func checkWords(what, brief, stability string, p *problems) {
	if !strings.HasSuffix(strings.TrimSpace(brief), ".") {
		p.add("%s has the brief %q, want a sentence", what, brief)
	}
	checkStability(what, stability, p)
}

func checkStability(what, stability string, p *problems) {
	if !slices.Contains([]string{"stable", "development", "alpha", "beta", "release_candidate"}, stability) {
		p.add("%s has the stability %q", what, stability)
	}
}

// inherit gives to g the attributes of from, and of what that extends.
func (r *Registry) inherit(g, from *group, ids map[string]*group, p *problems) {
	if from.Extends != "" {
		base := ids[from.Extends]
		if base == nil || base.Type != kindAttributes {
			p.add("group %s extends %q, which is no group of attributes", from.ID, from.Extends)
		} else {
			r.inherit(g, base, ids, p)
		}
	}
	for _, a := range from.Attributes {
		name := a.ID + a.Ref
		if a.definition == nil {
			a.definition = r.attributes[a.Ref]
		}
		if a.definition == nil || (a.ID == "") == (a.Ref == "") {
			p.add("group %s has the attribute %q, which is not defined", from.ID, name)
			continue
		}
		if !slices.Contains([]string{"", "required", "conditionally_required", "recommended", "opt_in"}, a.Level.name) {
			p.add("group %s has the attribute %s with the requirement level %q", from.ID, name, a.Level.name)
		}
		if g.has[name] == nil {
			g.order = append(g.order, name)
		}
		g.has[name] = a
	}
}

// check tells what is wrong with one group.
func (g *group) check(ids map[string]*group, p *problems) {
	if g.Type == kindAttributes {
		return
	}
	checkWords("group "+g.ID, g.Brief, g.Stability, p)
	if n := g.Annotations.Names; n != "" && !slices.Contains(Conventions(), n) {
		p.add("group %s has names of %q, which is no convention", g.ID, n)
	}
	prefix := g.Type + "."
	switch g.Type {
	case kindSpan:
		g.checkSpan(ids, p)
	case kindMetric:
		prefix += g.MetricName
		if !slices.Contains([]string{"counter", "updowncounter", "gauge", "histogram"}, g.Instrument) {
			p.add("group %s is a %q", g.ID, g.Instrument)
		}
	case kindEvent:
		if !slices.Contains([]string{onSpan, logEvent, logLine}, g.record()) || g.Name == "" {
			p.add("group %s is the %s %q", g.ID, g.record(), g.Name)
		}
		g.allow(p)
	case kindEntity:
		prefix += g.Name
	default:
		p.add("group %s is of type %q", g.ID, g.Type)
	}
	if !strings.HasPrefix(g.ID, prefix) {
		p.add("group %s does not begin with %s", g.ID, prefix)
	}
}

func (g *group) checkSpan(ids map[string]*group, p *problems) {
	if !slices.Contains([]string{"client", "server", "producer", "internal"}, g.SpanKind) || len(g.Annotations.SpanName) == 0 {
		p.add("group %s is of kind %q and has the names %q", g.ID, g.SpanKind, g.Annotations.SpanName)
	}
	for _, id := range g.Events {
		if e := ids[id]; e == nil || e.Type != kindEvent || e.record() != onSpan {
			p.add("group %s has the event %q, which is not defined", g.ID, id)
		}
	}
}

// allow reads which attributes the group has beside those that it lists.
func (g *group) allow(p *problems) {
	if g.Annotations.Others == "" {
		return
	}
	var err error
	if g.others, err = regexp.Compile("^(" + g.Annotations.Others + ")$"); err != nil {
		p.add("group %s: %w", g.ID, err)
	}
}
