package serve_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/test/nettest"
)

// requests are how many requests to place an order there were by outcome and error.type, as the operators' listener says.
func (s *service) requests(t *testing.T) map[string]float64 {
	t.Helper()
	conn := nettest.DialGRPC(t, s.admin(t))
	stats, err := checkoutv1.NewStatsServiceClient(conn).GetStats(t.Context(), &checkoutv1.GetStatsRequest{Names: []string{"checkout.orders"}})
	if err != nil || len(stats.GetMetrics()) != 1 {
		t.Fatalf("metrics: %v, %v; want checkout.orders alone", stats.GetMetrics(), err)
	}
	got := make(map[string]float64)
	for _, p := range stats.GetMetrics()[0].GetPoints() {
		got[p.GetAttributes()["checkout.order.outcome"]+" "+p.GetAttributes()["error.type"]] = p.GetValue()
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

// orderThrice asks for an order, for the same once more, and for one of an empty cart.
func (s *service) orderThrice(t *testing.T) {
	t.Helper()
	s.shop.Cart.Put("ada", "OLJCESPC7Z", 1)
	s.must(t, "k1")
	s.must(t, "k1")
	if _, err := s.place(t, "k2"); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("an order of an empty cart: %v, want that it is refused", err)
	}
}

func TestOperatorsGetTheMetricsThatAreExported(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:0"})
	s.orderThrice(t)
	got := s.requests(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]float64)
	for _, m := range s.shop.Collector.Metrics() {
		if m.GetName() != "checkout.orders" {
			continue
		}
		for _, p := range m.GetSum().GetDataPoints() {
			name := map[string]string{}
			for _, a := range p.GetAttributes() {
				name[a.GetKey()] = a.GetValue().GetStringValue()
			}
			want[name["checkout.order.outcome"]+" "+name["error.type"]] = float64(p.GetAsInt())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || want["placed "] != 1 || want["repeated "] != 1 {
		t.Errorf("(-exported +got):\n%s", diff)
	}
}

func TestOperatorsGetMetricsAlsoWhenNoneAreExported(t *testing.T) {
	s := open(t, map[string]string{"CHECKOUT_ADMIN_ADDR": "127.0.0.1:0", "OTEL_SDK_DISABLED": "true"})
	s.orderThrice(t)
	got := s.requests(t)
	maps.DeleteFunc(got, func(_ string, n float64) bool { return n == 0 })
	if diff := cmp.Diff(map[string]float64{"placed ": 1, "repeated ": 1, "refused cart_empty": 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(s.shop.Collector.Metrics()); n > 0 {
		t.Errorf("%d metrics were exported", n)
	}
}
