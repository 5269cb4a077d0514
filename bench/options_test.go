package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsWithSeveralValuesMakeTheirProduct(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-lines", "1, 5", "-latency", "0s,5ms", "-kafka=false", "-currency", "EUR"}, "self", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range o.cells {
		got = append(got, c.String())
	}
	want := []string{
		"1 line, 64 at once, EUR, no Kafka", "5 lines, 64 at once, EUR, no Kafka",
		"1 line, 64 at once, 5ms a call, EUR, no Kafka", "5 lines, 64 at once, 5ms a call, EUR, no Kafka",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the cells differ (-want +got):\n%s", diff)
	}
}

func TestWithoutAFlagThatMakesCellsTheStandardOnesAreMeasured(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-orders", "10", "-floor", "parallel"}, "self", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(standard(), o.cells, cmp.AllowUnexported(cell{})); diff != "" {
		t.Errorf("the cells differ (-want +got):\n%s", diff)
	}
	seen := map[cell]bool{}
	for _, c := range o.cells {
		if seen[c] {
			t.Errorf("%v is measured twice", c)
		}
		seen[c] = true
	}
}

func TestProgramsAreTheServiceAndWhatIsHeldAgainstIt(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-binary", "x/checkout", "-against", "/opt/stock", "-floor", "parallel,sequential", "-container", "20,28"}, "self", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	want := []program{
		{name: "checkout", path: "x/checkout"},
		{name: "against stock", path: "/opt/stock"},
		{name: "floor, parallel", path: "self", args: []string{"floor", "parallel"}, bare: true},
		{name: "floor, sequential", path: "self", args: []string{"floor", "sequential"}, bare: true},
	}
	if diff := cmp.Diff(want, o.programs, cmp.AllowUnexported(program{})); diff != "" {
		t.Errorf("the programs differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{20 << 20, 28 << 20}, o.containers); diff != "" {
		t.Errorf("the containers differ (-want +got):\n%s", diff)
	}
}

func TestARoundIsItsShareOfTheEffort(t *testing.T) {
	t.Parallel()
	got := effort{orders: 4000, time: 6 * time.Second, rounds: 4}.share()
	if want := (effort{orders: 1000, time: 1500 * time.Millisecond, rounds: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestArgumentsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"-lines 0", "-lines 201", "-lines five", "-concurrency 0", "-rate -1", "-latency 5", "-db oracle", "-floor ceiling",
		"-rounds 0", "-orders 1", "-time 0", "-currency ,", "-container 0", "-products 3", "more",
	} {
		if o, err := parse(strings.Fields(line), "self", t.Output()); err == nil {
			t.Errorf("%q was taken: %+v", line, o)
		}
	}
}
