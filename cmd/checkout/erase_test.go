package main

import (
	"errors"
	"strings"
	"testing"

	"checkout/internal/cli"
	"checkout/internal/order"
)

func TestAUserIsErased(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	of := func(user string) func(*order.Order) {
		return func(o *order.Order) { o.UserID, o.Key = user, string(o.ID) }
	}
	off.put(t, 1, order.Completed, of("ada"))
	off.put(t, 2, order.Completed, of("grace"))
	off.put(t, 3, order.Parked, of("joan"))
	why := []string{"-by", "operator", "-why", "asked to be forgotten"}
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{append([]string{"ada"}, why...), cli.Failed, "Delete the finished orders of ada? This cannot be undone."},
		{append([]string{"ada", "-yes"}, why...), cli.OK, "erased: 1\n"},
		{append([]string{"ada", "-yes"}, why...), cli.OK, "erased: 0\n"},
		{append([]string{"joan", "-yes"}, why...), cli.OK, "erased: 0\nkept, not finished: " + id(3) + "\n"},
		{append([]string{"joan", "-json", "-yes"}, why...), cli.OK, `"keptOrderIds"`},
		{why, cli.Usage, "missing argument USER"},
		{[]string{"grace", "-why", "asked"}, cli.Usage, "missing --by NAME"},
		{[]string{"grace", "-by", "operator"}, cli.Usage, "missing --why REASON"},
		{[]string{"grace", "-by", "operator", "-why", "paid with 4432-8015-6152-0454", "-yes"}, cli.Failed, "looks like a card number"},
	} {
		status, stdout, stderr := call(t, off.environ, "", append([]string{"order", "erase"}, test.args...)...)
		if status != test.status || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("order erase %s: exit status %d, stdout %q, stderr %q; want %d and %q", test.args, status, stdout, stderr, test.status, test.says)
		}
	}
	if _, err := off.Get(t.Context(), order.ID(id(1))); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("an order that was erased: %v", err)
	}
	for n, want := range map[int]order.State{2: order.Completed, 3: order.Parked} {
		if got := off.state(t, n); got != want {
			t.Errorf("order %d is %v, want %v", n, got, want)
		}
	}
}
