package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/test/nettest"
)

// desk is a service that answers as its functions do.
type desk struct {
	checkoutv1.UnimplementedOrderServiceServer
	checkoutv1.UnimplementedOrderAdminServer

	get     func() (*checkoutv1.Order, error)
	list    func(*checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error)
	resolve func(*checkoutv1.ResolveOrderRequest) (*checkoutv1.Order, error)
}

func (d *desk) GetOrder(context.Context, *checkoutv1.GetOrderRequest) (*checkoutv1.Order, error) {
	return d.get()
}

func (d *desk) ListOrders(_ context.Context, req *checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error) {
	return d.list(req)
}

func (d *desk) ResolveOrder(_ context.Context, req *checkoutv1.ResolveOrderRequest) (*checkoutv1.Order, error) {
	return d.resolve(req)
}

// service runs the desk until the test ends.
func (d *desk) service(t *testing.T, name string) Service {
	t.Helper()
	return Service{name, nettest.DialGRPC(t, nettest.ServeGRPC(t, func(s *grpc.Server) {
		checkoutv1.RegisterOrderServiceServer(s, d)
		checkoutv1.RegisterOrderAdminServer(s, d)
	}))}
}

// away is a service that says it cannot be asked.
func away(t *testing.T) Service {
	t.Helper()
	return (&desk{list: func(*checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error) {
		return nil, status.Error(codes.Unavailable, "it is away")
	}}).service(t, "the one that is away")
}

// attentionList is /attention as a program sees it.
type attentionList struct {
	Orders []struct {
		ID string `json:"order_id"`
	}
	Missing []missing
	Next    string `json:"next_page"`
}

func (w *world) attentionList(t *testing.T) (list attentionList, ids []string) {
	t.Helper()
	r := w.do(t, http.MethodGet, "/attention", nil, "Accept", "application/json")
	if r.status != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", r.status, r.body)
	}
	decode(t, r, &list)
	for _, o := range list.Orders {
		ids = append(ids, o.ID)
	}
	return list, ids
}

func TestOrdersThatRequireAnOperatorAreThoseOfAllRecords(t *testing.T) {
	t.Parallel()
	other, err := store.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	w := open(t, Options{Services: []Service{{"the other", serve(t, other, nil)}}})
	w.put(t, doubtful())
	(&world{w.Console, other}).put(t, numbered(3, order.Parked))
	if list, got := w.attentionList(t); !slices.Equal(got, []string{string(id(2)), string(id(3))}) || list.Missing != nil {
		t.Errorf("listed are %v, missing %v; want one of each record", got, list.Missing)
	}
}

func TestOrdersOnARecordThatIsSharedAreListedOnce(t *testing.T) {
	t.Parallel()
	w := open(t, Options{})
	w.services = append(w.services, w.services[0])
	w.history = newHistory(2)
	w.put(t, doubtful())
	if _, got := w.attentionList(t); len(got) != 1 {
		t.Errorf("before the services tell of their record, listed are %v, want one", got)
	}
	w.services[0] = away(t)
	w.history.add(then(), []answered{ofProcess(then(), 0, "a record", 0), ofProcess(then(), 0, "a record", 0)})
	if list, got := w.attentionList(t); len(got) != 1 || list.Missing != nil {
		t.Errorf("with one of those who share it away, listed are %v, missing %v; want one, and nothing", got, list.Missing)
	}
}

func TestAPartIsNotTakenForTheWhole(t *testing.T) {
	t.Parallel()
	w := open(t, Options{Services: []Service{away(t)}})
	w.put(t, doubtful())
	list, got := w.attentionList(t)
	if len(got) != 1 || !slices.Equal(list.Missing, []missing{{"the one that is away", "it is away"}}) {
		t.Errorf("listed are %v, missing %v; want one, and the record that could not be asked", got, list.Missing)
	}
	w.services = w.services[:1]
	w.history = newHistory(1)
	if r := w.get(t, "/attention"); r.status != http.StatusServiceUnavailable {
		t.Errorf("with nobody to ask: status %d, want 503", r.status)
	}
}

func TestOrdersThatRequireAnOperatorAreFoundBehindOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at   int // the page with the one that does
		want int
		next bool
	}{
		"on the last page":      {attentionPages, 1, false},
		"on a page too far off": {attentionPages + 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &desk{list: func(req *checkoutv1.ListOrdersRequest) (*checkoutv1.ListOrdersResponse, error) {
				page, _ := strconv.Atoi(req.GetPageToken()) // none is the first
				o := &checkoutv1.Order{OrderId: strconv.Itoa(page), State: checkoutv1.OrderState_REFUNDING, RequiresOperator: page+1 == test.at}
				resp := &checkoutv1.ListOrdersResponse{Orders: []*checkoutv1.Order{o}}
				if page+1 < test.at {
					resp.NextPageToken = strconv.Itoa(page + 1)
				}
				return resp, nil
			}}
			w := open(t, Options{})
			w.services = services{far.service(t, "one of many orders")}
			if list, got := w.attentionList(t); len(got) != test.want || (list.Next != "") != test.next {
				t.Errorf("listed are %v, and the rest at %q; want %d, and a rest: %v", got, list.Next, test.want, test.next)
			}
		})
	}
}
