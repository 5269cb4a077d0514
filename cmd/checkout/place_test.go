package main

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/cli"
	"checkout/internal/demo"
	"checkout/internal/order"
)

func TestTheExitStatusSaysWhetherMoneyMayHaveMoved(t *testing.T) {
	t.Parallel()
	failure := func(code codes.Code, reason, moved string) error {
		safe := strconv.FormatBool(code == codes.Unavailable || moved == "no")
		s, err := status.New(code, "").WithDetails(&errdetails.ErrorInfo{Reason: reason, Metadata: map[string]string{"money_moved": moved, "safe_to_retry": safe}})
		return errors.Join(s.Err(), err)
	}
	for name, test := range map[string]struct {
		err  error
		sent bool
		want int
	}{
		"declined":                     {failure(codes.FailedPrecondition, "CARD_DECLINED", "no"), true, 3},
		"not charged":                  {failure(codes.Unavailable, "UNAVAILABLE", "no"), true, 1},
		"charged and not shipped":      {failure(codes.Aborted, "SHIPPING_REFUSED", "yes"), true, 4},
		"perhaps by an earlier call":   {failure(codes.Unavailable, "UNAVAILABLE", "unknown"), true, 4},
		"charge not answered":          {failure(codes.Aborted, "PAYMENT_UNKNOWN", "unknown"), true, 4},
		"invalid, of another server":   {status.Error(codes.InvalidArgument, ""), true, 1},
		"no server":                    {status.Error(codes.Unavailable, ""), false, 1},
		"the connection broke":         {status.Error(codes.Unavailable, ""), true, 4},
		"no answer in time":            {status.Error(codes.DeadlineExceeded, ""), true, 4},
		"any error, of another server": {status.Error(codes.Internal, ""), true, 4},
	} {
		if got := placeStatus(test.err, test.sent, false); got != test.want {
			t.Errorf("%s: exit status %d, want %d", name, got, test.want)
		}
		if name == "perhaps by an earlier call" {
			test.want = 5
		}
		if got := placeStatus(test.err, test.sent, true); got != test.want {
			t.Errorf("%s, with a key: exit status %d, want %d", name, got, test.want)
		}
	}
}

func TestTheCardComesFromTheEnvironmentToo(t *testing.T) {
	shop, environ := shopping(t, map[string]string{"CHECKOUT_CARD": card})
	place := []string{"order", "place", "--user", "ada", "--email", "ada@example.com", "--street", "1 Main", "--item", "LS4PSXUNUM"}
	status, stdout, stderr := call(t, environ, "", place...)
	if status != cli.OK || !strings.Contains(stdout, "next      checkout order show ") {
		t.Errorf("exit status %d, stdout %q, stderr %q; want a receipt with the next step", status, stdout, stderr)
	}
	shop.Payment.Inject(demo.Fault{Kind: demo.LoseAnswer})
	if status, _, stderr := call(t, environ, "", append(place, "--user", "grace")...); status != statusUnknown || !strings.Contains(stderr, "do not order again: see 'checkout order show 0") {
		t.Errorf("a charge that was not answered: exit status %d, %s; want 4, and the order to look at", status, stderr)
	}
}

func TestAnOrderThatIsRepeatedIsNotTwiceAsLarge(t *testing.T) {
	shop, environ := shopping(t, map[string]string{"CHECKOUT_CARD": card})
	place := []string{"order", "place", "--user", "ada", "--email", "ada@example.com", "--street", "1 Main", "--item", "LS4PSXUNUM=2"}
	shop.Payment.Inject(demo.Fault{Kind: demo.Refuse, Code: codes.Unknown, Text: "Payment request failed. Invalid token."})
	if status, _, stderr := call(t, environ, "", place...); status != placeDeclined {
		t.Fatalf("exit status %d, %s; want 3", status, stderr)
	}
	shop.Payment.Inject(demo.Fault{})
	if status, _, stderr := call(t, environ, "", append(place, "--item", "STICKER020", "--item", "STICKER020")...); status != cli.OK {
		t.Fatalf("exit status %d, %s; want 0", status, stderr)
	}
	got := make(map[string]int32)
	for _, item := range shop.Shipping.Parcels()[0].Items {
		got[item.GetProductId()] = item.GetQuantity()
	}
	if diff := cmp.Diff(map[string]int32{"LS4PSXUNUM": 2, "STICKER020": 2}, got); diff != "" {
		t.Errorf("what was shipped (-want +got):\n%s", diff)
	}
}

func TestAttemptsOfARestoredOrderAreUnknown(t *testing.T) {
	t.Parallel()
	for n, want := range map[int32]string{0: "", 1: "1 attempt", 3: "3 attempts", order.UnknownShipments: "attempts unknown"} {
		if got := shipping(&checkoutv1.Order{ShipAttempts: n}); got != want {
			t.Errorf("%d shipments are shown as %q, want %q", n, got, want)
		}
	}
}

func TestAWrongPortIsExplained(t *testing.T) {
	t.Parallel()
	off := openOffice(t, nil)
	off.put(t, 1, order.Parked)
	shop, admin := "localhost:"+off.environ["CHECKOUT_PORT"], off.environ["CHECKOUT_ADMIN_ADDR"]
	for want, args := range map[string][]string{
		shop + " is not the operators' listener": {"order", "retry", id(1), "--yes", "--by", "grace", "--why", "so", "--admin-addr", shop},
		admin + " is not the shop's port":        {"order", "place", "--user", "ada", "--email", "ada@example.com", "--addr", admin},
	} {
		if status, _, stderr := call(t, off.environ, card, args...); status != cli.Failed || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d, stderr %q; want 1 and %q", args, status, stderr, want)
		}
	}
}
