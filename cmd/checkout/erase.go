package main

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	"checkout/gen/checkout/checkoutv1"
)

// erase deletes the finished orders of a user.
func (p process) erase(ctx context.Context, args []string) int {
	const command = "order erase"
	var d decision
	flags := newFlags(command, "USER -by NAME -why TEXT")
	d.admin(flags, p.getenv)
	flags.StringVar(&d.by, "by", "", "`name` of who decides, for the service's log; required")
	flags.StringVar(&d.why, "why", "", "`reason`, for the service's log; required. Do not name the user")
	flags.BoolVar(&d.json, "json", false, "print the outcome as JSON")
	if status, done := p.parse(flags, args, &d.id); done {
		return status
	}
	switch {
	case d.id == "":
		return p.fail(misuse, "%s: the USER is missing", command)
	case d.by == "":
		return p.fail(misuse, "%s: -by is missing: who decides?", command)
	case d.why == "":
		return p.fail(misuse, "%s: -why is missing: who has asked for it?", command)
	}
	conn, err := d.dial()
	if err != nil {
		return p.fail(misuse, "%s: %w", command, err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	answer, err := checkoutv1.NewOrderAdminClient(conn).EraseUser(ctx, &checkoutv1.EraseUserRequest{UserId: d.id, By: d.by, Why: d.why})
	switch {
	case err != nil:
		return p.refused(command, err, d.json)
	case d.json:
		_, _ = fmt.Fprintln(p.stdout, protojson.Format(answer))
		return ok
	}
	_, _ = fmt.Fprintf(p.stdout, "erased: %d\n", answer.GetErased())
	for _, id := range answer.GetKeptOrderIds() {
		_, _ = fmt.Fprintf(p.stdout, "kept, as it is not finished: %s\n", id)
	}
	return ok
}
