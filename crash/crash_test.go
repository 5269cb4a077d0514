package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestThreeKillsLoseNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds and kills the real service, which takes some seconds")
	}
	for _, services := range [][]string{{"-payment", stock}, {"-payment", keyed}, {"-payment", stock, "-shipping", keyed}, {"-payment", keyed, "-shipping", stock, "-attempts", "1"}} {
		var out bytes.Buffer
		if err := run(t.Context(), append(services, "-kills", "3", "-seed", "7"), &out, t.Output()); err != nil {
			t.Errorf("%v: %v\n%s", services, err, out.String())
		}
		if !strings.Contains(out.String(), "Nobody was charged twice") {
			t.Errorf("%v: no result in\n%s", services, out.String())
		}
	}
}

func TestWrongOptionsAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := parse([]string{"-db", "oracle", "-replicas", "4", "-payment", "cash", "-shipping", "pigeon", "-attempts", "0", "-kills", "-1", "-rate", "0", "now"}, t.Output())
	if err == nil {
		t.Fatal("they were taken")
	}
	for _, flag := range []string{`"now"`, "-db", "-replicas", "-payment", "-shipping", "-attempts", "kills", "-rate"} {
		if !strings.Contains(err.Error(), flag) {
			t.Errorf("%v: does not name %s", err, flag)
		}
	}
}

func TestOneDatabaseFileIsNotForTwo(t *testing.T) {
	t.Parallel()
	if _, err := parse([]string{"-replicas", "2"}, t.Output()); err == nil {
		t.Error("two replicas on SQLite were taken")
	}
	if _, err := parse([]string{"-replicas", "2", "-db", "postgres"}, t.Output()); err != nil {
		t.Errorf("two replicas on PostgreSQL: %v", err)
	}
}
