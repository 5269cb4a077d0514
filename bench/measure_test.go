package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"checkout/bench/floor"
)

// TestMain lets this program be the other services and the floor for its own tests, as it is for its own measurements.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == modeShop || os.Args[1] == modeFloor) {
		main()
		return
	}
	os.Exit(m.Run())
}

// bare is a program to measure that is always there.
func bare(t *testing.T, name string, kind floor.Kind) program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program{name: name, path: self, args: []string{modeFloor, string(kind)}, bare: true}
}

func TestProgramsPlaceAllOrdersOfACellInTurns(t *testing.T) {
	t.Parallel()
	c := usual()
	c.lines, c.concurrency, c.kafka = 3, 4, false
	e := effort{orders: 40, time: time.Minute, rounds: 2}
	results, err := e.measure(t.Context(), c, []program{bare(t, "one", floor.Parallel), bare(t, "other", floor.Sequential)})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 {
		t.Fatalf("%d results, want 2", len(results))
	}
	for i, name := range []string{"one", "other"} {
		r := results[i]
		if r.by.name != name || r.placed() != 40 || r.failed != 0 {
			t.Errorf("%s placed %d orders and failed with %d (%v); want %s, 40 and 0", r.by.name, r.placed(), r.failed, r.failure, name)
		}
		if r.used.Peak == 0 || r.startup <= 0 {
			t.Errorf("%s: peak RSS %d, start %v", name, r.used.Peak, r.startup)
		}
	}
}

func TestAnOpenLoopPlacesItsOrders(t *testing.T) {
	t.Parallel()
	c := usual()
	c.rate, c.kafka = 1000, false
	results, err := effort{orders: 50, time: time.Minute, rounds: 1}.measure(t.Context(), c, []program{bare(t, "one", floor.Parallel)})
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.placed() != 50 || r.failed != 0 {
		t.Errorf("%d placed, %d failed (%v)", r.placed(), r.failed, r.failure)
	}
}

func TestAProgramThatEndsAtOnceIsAnErrorWithItsWords(t *testing.T) {
	t.Parallel()
	dead := program{name: "dead", path: "/bin/sh", args: []string{"-c", "echo no other services >&2; exit 3"}}
	_, err := effort{orders: 1, time: time.Minute, rounds: 1}.measure(t.Context(), usual(), []program{dead})
	if err == nil || !strings.Contains(err.Error(), "no other services") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want the exit status and what it has said", err)
	}
}

func TestTheOtherServicesEndWithTheirProcess(t *testing.T) {
	t.Parallel()
	s, err := openShop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.tell(t.Context(), "Fill", Filling{Prefix: "u", Carts: 1, Lines: 1, Products: maxProducts + 1}, nil); err == nil {
		t.Error("a cart was filled from more than there is")
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestCartsThatFollowEachOtherHaveNothingInCommonWhileThereIsEnough(t *testing.T) {
	t.Parallel()
	f := Filling{Lines: 3, Products: 7}
	for i, want := range [][]int{{0, 1, 2}, {3, 4, 5}, {6, 0, 1}} {
		if diff := cmp.Diff(want, slices.Collect(f.cart(i))); diff != "" {
			t.Errorf("cart %d differs (-want +got):\n%s", i, diff)
		}
	}
}
