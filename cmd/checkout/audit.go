package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	"checkout/internal/wire"
)

// auditing is what the flags of `checkout audit list` say.
type auditing struct {
	pages

	order string
	newer time.Duration
}

func (p process) auditListCommand() *cobra.Command {
	var a auditing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what operators have done, newest first",
		Example: `  checkout audit list --newer 30d
  checkout audit list -o json --limit 100000 > audit.jsonl    # one entry a line
  checkout audit list -o csv --limit 100000 > audit.csv`,
		Args: cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.audit(cmd.Context(), &a) },
	}
	cmd.Flags().StringVar(&a.order, "order", "", "only of the order of this `id`")
	cli.Age(cmd, &a.newer, "newer", "only within this `time`, such as 12h or 30d")
	a.flags(cmd, p.getenv, "entries")
	return cmd
}

// audit prints entries of the audit log, newest first, as they arrive.
func (p process) audit(ctx context.Context, a *auditing) error {
	req := &checkoutv1.ListAuditRequest{OrderId: a.order}
	if a.newer > 0 {
		req.After = timestamppb.New(time.Now().Add(-a.newer))
	}
	if a.output == cli.CSV {
		p.cells("id", "at", "order_id", "action", "outcome", "by", "identity", "why", "state_before", "state_after", "detail")
	}
	found, more, err := fetch(ctx, p, &a.pages, func(ctx context.Context, conn *grpc.ClientConn, size int32, token string) ([]*checkoutv1.AuditEntry, string, error) {
		req.PageSize, req.PageToken = size, token
		resp, err := checkoutv1.NewOrderAdminClient(conn).ListAudit(ctx, req)
		return resp.GetEntries(), resp.GetNextPageToken(), err
	}, func(e *checkoutv1.AuditEntry) { p.entry(e, a.output) })
	if err == nil {
		p.end(&a.pages, found, more)
	}
	return err
}

// entry prints an entry of the audit log.
func (p process) entry(e *checkoutv1.AuditEntry, output cli.Output) {
	outcome := map[checkoutv1.AuditEntry_Outcome]string{checkoutv1.AuditEntry_DONE: "done", checkoutv1.AuditEntry_REFUSED: "refused"}[e.GetOutcome()]
	switch output {
	case cli.JSON:
		p.line(e)
		return
	case cli.CSV:
		p.cells(e.GetEntryId(), rfc3339(e.GetAt()), e.GetOrderId(), e.GetAction(), cmp.Or(outcome, "unknown"), e.GetBy(), e.GetIdentity(), e.GetWhy(),
			auditedState(e.GetBefore()), auditedState(e.GetAfter()), e.GetDetail())
		return
	case cli.Text:
	}
	who := e.GetBy() + " (name as given)"
	if e.GetIdentity() != "" {
		who = e.GetBy() + " (authenticated: " + e.GetIdentity() + ")"
	}
	line := fmt.Sprintf("%s  %s %s", e.GetAt().AsTime().Format(time.DateTime), e.GetAction(), cmp.Or(outcome, "outcome unknown"))
	if e.GetOrderId() != "" {
		line += "  " + e.GetOrderId()
	}
	if before := e.GetBefore(); before != nil {
		line += "  " + wire.StateName(before.GetState())
		if after := e.GetAfter(); after != nil {
			line += " -> " + wire.StateName(after.GetState())
		}
	}
	line += "  by " + who
	for _, text := range []string{e.GetWhy(), e.GetDetail()} {
		if text != "" {
			line += ": " + text
		}
	}
	_, _ = fmt.Fprintln(p.stdout, clean(line))
}

// auditedState is the state before or after, if that is known.
func auditedState(s *checkoutv1.AuditState) string {
	if s == nil {
		return ""
	}
	return wire.StateName(s.GetState())
}
