package serve_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/test/nettest"
	"checkout/internal/test/process"
)

// What was done after the backup is not done again by who restores it: an operator decides.
func TestARestoredBackupMailsNothingAgain(t *testing.T) {
	port, err := process.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin := net.JoinHostPort("127.0.0.1", port)
	set := map[string]string{"CHECKOUT_ADMIN_ADDR": admin}
	s := open(t, set)
	s.shop.Email.TakeOffline()
	o, err := s.buy(t.Context(), "ada", "USD", map[string]int32{"OLJCESPC7Z": 1})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := checkoutv1.NewRecordAdminClient(nettest.DialGRPC(t, admin)).BackupRecord(t.Context(), &checkoutv1.BackupRecordRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var backup []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		backup = append(backup, part.GetData()...)
	}
	if err := s.shop.Email.BringOnline(); err != nil {
		t.Fatal(err)
	}
	mails := func(id string) int { return s.shop.Ledgers().Orders[id].Emails }
	s.await(t, "the e-mail was not sent", func() bool { return mails(o.GetOrderId()) == 1 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(t.TempDir(), "restored.db")
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	set["CHECKOUT_DB"] = path
	restored := openIn(t, s.shop, set)
	later, err := restored.buy(t.Context(), "grace", "USD", map[string]int32{"OLJCESPC7Z": 1})
	if err != nil {
		t.Fatal(err)
	}
	s.await(t, "the later order was not confirmed", func() bool { return mails(later.GetOrderId()) == 1 })
	if n := mails(o.GetOrderId()); n != 1 {
		t.Errorf("the order of the backup was confirmed %d times, want once", n)
	}
	is, err := checkoutv1.NewOrderServiceClient(nettest.DialGRPC(t, admin)).GetOrder(t.Context(), &checkoutv1.GetOrderRequest{OrderId: o.GetOrderId()})
	if err != nil || is.GetState() != checkoutv1.OrderState_UNDELIVERED {
		t.Errorf("the order of the backup is %v, %v, want UNDELIVERED", is.GetState(), err)
	}
}
