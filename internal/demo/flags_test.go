package demo

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/flagd/evaluationv1"
	"checkout/gen/oteldemo"
	"checkout/internal/test/nettest"
)

func openFlags(t *testing.T) *Flags {
	t.Helper()
	return open(t, func(n *Server) (*Flags, func() error) {
		flags, stop, err := newFlags(n, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return flags, stop
	})
}

func TestFlagsAreAnsweredAndLieInTheFile(t *testing.T) {
	t.Parallel()
	flags := openFlags(t)
	client := evaluationv1.NewServiceClient(nettest.DialGRPC(t, flags.Address()))
	for _, on := range []bool{false, true} {
		if err := flags.SetBool("paymentUnreachable", on); err != nil {
			t.Fatal(err)
		}
		got, err := client.ResolveBoolean(soon(t), &evaluationv1.ResolveBooleanRequest{FlagKey: "paymentUnreachable"})
		if err != nil || got.GetValue() != on || got.GetReason() != "STATIC" {
			t.Errorf("%v, error %v, want %t", got, err, on)
		}
	}
	if err := flags.SetInt("kafkaQueueProblems", 100); err != nil {
		t.Fatal(err)
	}
	got, err := client.ResolveInt(soon(t), &evaluationv1.ResolveIntRequest{FlagKey: "kafkaQueueProblems"})
	if err != nil || got.GetValue() != 100 {
		t.Errorf("%v, error %v, want 100", got, err)
	}

	text, err := os.ReadFile(flags.Path())
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Flags map[string]struct {
			State, DefaultVariant string
			Variants              map[string]any
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"paymentUnreachable": true, "kafkaQueueProblems": 100.0} {
		flag := file.Flags[name]
		if flag.State != "ENABLED" || flag.Variants[flag.DefaultVariant] != want {
			t.Errorf("%s is %+v in the file, want %v", name, flag, want)
		}
	}
}

func TestFlagsRefuseAsFlagdDoes(t *testing.T) {
	t.Parallel()
	client := evaluationv1.NewServiceClient(nettest.DialGRPC(t, openFlags(t).Address()))
	for flag, want := range map[string]codes.Code{"noSuchFlag": codes.NotFound, "kafkaQueueProblems": codes.InvalidArgument} {
		if _, err := client.ResolveBoolean(soon(t), &evaluationv1.ResolveBooleanRequest{FlagKey: flag}); status.Code(err) != want {
			t.Errorf("%s: error %v, want %v", flag, err, want)
		}
	}
}

func TestFlagsTellOfEveryChange(t *testing.T) {
	t.Parallel()
	flags := openFlags(t)
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	stream, err := evaluationv1.NewServiceClient(nettest.DialGRPC(t, flags.Address())).EventStream(ctx, &evaluationv1.EventStreamRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ready, err := stream.Recv()
	if err != nil || ready.GetType() != "provider_ready" {
		t.Fatalf("first event %v, error %v", ready, err)
	}
	if err := flags.SetBool("paymentUnreachable", true); err != nil {
		t.Fatal(err)
	}
	change, err := stream.Recv()
	if err != nil || change.GetType() != "configuration_change" {
		t.Fatalf("second event %v, error %v", change, err)
	}
	if on := change.GetData().GetFields()["flags"].GetStructValue().GetFields()["paymentUnreachable"].GetBoolValue(); !on {
		t.Error("the change does not tell the new value")
	}
}

func TestThePaymentFlagRefusesGoodCards(t *testing.T) {
	t.Parallel()
	flags, payment := openFlags(t), open(t, newPayment)
	payment.useFlags(flags)
	client := oteldemo.NewPaymentServiceClient(nettest.DialGRPC(t, payment.Address()))
	charge := &oteldemo.ChargeRequest{
		Amount:     &oteldemo.Money{CurrencyCode: "USD", Units: 1},
		CreditCard: &oteldemo.CreditCardInfo{CreditCardNumber: "4432-8015-6152-0454", CreditCardExpirationYear: 2099, CreditCardExpirationMonth: 1},
	}
	for share, want := range map[float64]codes.Code{0: codes.OK, 1: codes.Unknown} {
		if err := flags.SetFloat("paymentFailure", share); err != nil {
			t.Fatal(err)
		}
		if got, err := evaluationv1.NewServiceClient(nettest.DialGRPC(t, flags.Address())).ResolveFloat(soon(t), &evaluationv1.ResolveFloatRequest{FlagKey: "paymentFailure"}); err != nil || got.GetValue() != share {
			t.Errorf("the flag is %v, error %v, want %v", got, err, share)
		}
		if _, err := client.Charge(soon(t), charge); status.Code(err) != want {
			t.Errorf("with a share of %v: %v, want %s", share, err, want)
		}
	}
	if err := flags.SetFloat("paymentFailure", 0.25); err != nil || flags.Values()["paymentFailure"] != 0.25 {
		t.Errorf("the flags are %v, error %v", flags.Values(), err)
	}
}
