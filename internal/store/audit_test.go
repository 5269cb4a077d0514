package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"checkout/internal/lookup"
	"checkout/internal/order"
)

func TestTheAuditLogIsKept(t *testing.T) {
	t.Parallel()
	everywhere(t, audits)
}

// audits writes entries of two orders, some of them twice, and reads them.
func audits(t *testing.T, s record) {
	var ids []string
	for i := range 6 {
		id := uuid.Must(uuid.NewV7()).String()
		ids = append(ids, id)
		for _, outcome := range []string{"begun", "done"} {
			if err := s.WriteAudit(t.Context(), id, order.ID(fmt.Sprint("order ", i%2)), fmt.Append(nil, i, " ", outcome)); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(q lookup.AuditQuery) (bodies []string) {
		t.Helper()
		found, err := s.Audit(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			bodies = append(bodies, string(r.Body))
		}
		return bodies
	}
	now := time.Now()
	for name, test := range map[string]struct {
		q    lookup.AuditQuery
		want []string
	}{
		"all":         {lookup.AuditQuery{Limit: 10}, []string{"5 done", "4 done", "3 done", "2 done", "1 done", "0 done"}},
		"a page":      {lookup.AuditQuery{Limit: 2, Before: ids[4]}, []string{"3 done", "2 done"}},
		"of an order": {lookup.AuditQuery{Limit: 10, Order: "order 1"}, []string{"5 done", "3 done", "1 done"}},
		"nothing":     {lookup.AuditQuery{}, nil},
		"later":       {lookup.AuditQuery{Limit: 10, From: now.Add(time.Hour)}, nil},
		"earlier":     {lookup.AuditQuery{Limit: 10, Until: now.Add(-time.Hour)}, nil},
	} {
		if got := read(test.q); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if err := s.PurgeAudit(t.Context(), now.Add(-time.Hour)); err != nil || len(read(lookup.AuditQuery{Limit: 10})) != 6 {
		t.Errorf("entries that are to be kept were purged: %v", err)
	}
	if err := s.PurgeAudit(t.Context(), now.Add(time.Hour)); err != nil || read(lookup.AuditQuery{Limit: 10}) != nil {
		t.Errorf("entries were not purged: %v", err)
	}
}
