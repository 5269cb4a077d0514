package rpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
)

type erasing func(user string) (int, []order.ID, error)

func (f erasing) Erase(_ context.Context, user string) (int, []order.ID, error) { return f(user) }

func TestAUserIsErasedByOperatorsAlone(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	options := Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Eraser: erasing(func(user string) (int, []order.ID, error) {
		if user == "ada" {
			return 2, []order.ID{id(1)}, nil
		}
		return 1, nil, errors.New("the disk is full")
	})}
	client := checkoutv1.NewOrderAdminClient(reach(t, NewAdminServer(&desk{}, health.NewServer(), options)))
	req := &checkoutv1.EraseUserRequest{UserId: "ada", By: "operator", Why: "asked to be forgotten"}
	answer, err := client.EraseUser(t.Context(), req)
	if err != nil || answer.GetErased() != 2 || len(answer.GetKeptOrderIds()) != 1 {
		t.Errorf("%v, %v; want two erased, and one kept", answer, err)
	}
	if said := log.String(); !strings.Contains(said, "operator") || strings.Contains(said, "ada") {
		t.Errorf("the log says %q, want who decided and not who was erased", said)
	}
	req.UserId = "grace"
	_, err = client.EraseUser(t.Context(), req)
	wantRefusal(t, err, codes.Unavailable, "UNAVAILABLE")
	_, err = client.EraseUser(t.Context(), &checkoutv1.EraseUserRequest{By: " ", Why: "card 4432-8015-6152-0454"})
	wantRefusal(t, err, codes.InvalidArgument, "INVALID_REQUEST", "user_id", "by", "why")
	options.Eraser = nil
	client = checkoutv1.NewOrderAdminClient(reach(t, NewAdminServer(&desk{}, health.NewServer(), options)))
	if _, err := client.EraseUser(t.Context(), req); err == nil {
		t.Error("a server without an eraser erases")
	}
}
