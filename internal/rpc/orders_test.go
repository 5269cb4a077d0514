package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/gen/oteldemo"
	"checkout/internal/lookup"
	"checkout/internal/order"
)

// id is the id of the nth order.
func id(n int) order.ID { return order.ID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", n)) }

// looking serves the record as the shop sees it.
func looking(t *testing.T, record Record) checkoutv1.OrderServiceClient {
	t.Helper()
	return checkoutv1.NewOrderServiceClient(reach(t, NewServer(nil, health.NewServer(), Options{Orders: record, Log: slog.New(slog.DiscardHandler)})))
}

// wantRefusal wants err to be a refusal of that kind, which names the fields and nothing else.
func wantRefusal(t *testing.T, err error, code codes.Code, reason string, fields ...string) {
	t.Helper()
	told := status.Convert(err)
	var gotReason string
	var gotFields []string
	for _, detail := range told.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			gotReason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				gotFields = append(gotFields, v.GetField())
			}
		}
	}
	if told.Code() != code || gotReason != reason || !slices.Equal(gotFields, fields) {
		t.Errorf("refused with %v, reason %s, fields %q; want %v, %s, %q", err, gotReason, gotFields, code, reason, fields)
	}
}

func TestTheStatesOnTheWireAreThoseOnRecord(t *testing.T) {
	t.Parallel()
	want := map[int32]string{0: "ORDER_STATE_UNSPECIFIED"}
	for _, s := range order.States() {
		want[int32(s)] = strings.ToUpper(s.String())
	}
	if diff := cmp.Diff(want, checkoutv1.OrderState_name); diff != "" {
		t.Errorf("states (-on record +on the wire):\n%s", diff)
	}
}

// an order that has everything.
func everything() order.Order {
	at := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	return order.Order{
		ID: id(1), State: order.Placed, UserID: "ada", Key: "a key", Currency: "USD", Email: "ada@example.com",
		Address:  order.Address{Street: "12 St James's Square", City: "London", Country: "UK", ZipCode: "SW1Y"},
		Items:    []order.Item{{Line: order.Line{ProductID: "lens", Quantity: 2}, Cost: usd(19, 990_000_000)}},
		Shipping: usd(8, 0), Total: usd(47, 980_000_000),
		TransactionID: "a receipt", TrackingID: "a parcel", Delivered: order.CartSettled, Reason: "a reason", Attempts: 3, ShipAttempts: 2,
		History: []order.HistoryEntry{
			{At: at, State: order.Charging},
			{At: at.Add(time.Second), State: order.Charged, Step: order.StepShip, Problem: "away", Times: 2, Last: at.Add(2 * time.Second)},
			{At: at.Add(time.Hour), State: order.Placed, By: "grace"},
		},
		Created: at, Changed: at.Add(time.Hour),
		Trace: map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "baggage": "session.id=7"},
	}
}

func TestAnOrderIsReturnedWithItsHistory(t *testing.T) {
	t.Parallel()
	record := &shelf{}
	record.put(everything(), order.Order{ID: id(2), UserID: "ada", Key: "another key"})
	client := looking(t, record)
	at := everything().Created
	want := &checkoutv1.Order{
		OrderId: string(id(1)), State: checkoutv1.OrderState_PLACED, UserId: "ada", IdempotencyKey: "a key",
		Items:    []*oteldemo.OrderItem{{Item: &oteldemo.CartItem{ProductId: "lens", Quantity: 2}, Cost: &oteldemo.Money{CurrencyCode: "USD", Units: 19, Nanos: 990_000_000}}},
		Shipping: &oteldemo.Money{CurrencyCode: "USD", Units: 8}, Total: &oteldemo.Money{CurrencyCode: "USD", Units: 47, Nanos: 980_000_000},
		TransactionId: "a receipt", TrackingId: "a parcel", Pending: []string{"email", "event"}, Reason: "a reason", Attempts: 3, ShipAttempts: 2,
		Created: timestamppb.New(at), Changed: timestamppb.New(at.Add(time.Hour)),
		TraceId: "4bf92f3577b34da6a3ce929d0e0e4736",
		History: []*checkoutv1.Event{
			{At: timestamppb.New(at), State: checkoutv1.OrderState_CHARGING},
			{At: timestamppb.New(at.Add(time.Second)), State: checkoutv1.OrderState_CHARGED, Step: "ship", Problem: "away", Times: 2, Last: timestamppb.New(at.Add(2 * time.Second))},
			{At: timestamppb.New(at.Add(time.Hour)), State: checkoutv1.OrderState_PLACED, By: "grace"},
		},
	}
	for name, req := range map[string]*checkoutv1.GetOrderRequest{
		"by its id":                     {OrderId: string(id(1))},
		"by its id in capitals":         {OrderId: strings.ToUpper(string(id(1)))},
		"by its user and the key of it": {UserId: "ada", IdempotencyKey: "a key"},
	} {
		got, err := client.GetOrder(t.Context(), req)
		if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestWhatIsGivenUpIsNotPending(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		order                           order.Order
		pending, undeliverable, skipped []string
	}{
		"nothing is done yet":      {order.Order{State: order.Placed}, []string{"cart", "email", "event"}, nil, nil},
		"the e-mail failed":        {order.Order{State: order.Placed, Delivered: order.CartSettled, Undeliverable: order.EmailSent}, []string{"event"}, []string{"email"}, nil},
		"the e-mail is skipped":    {order.Order{State: order.Placed, Skipped: order.EmailSent}, []string{"cart", "event"}, nil, []string{"email"}},
		"the event waits for help": {order.Order{State: order.Undelivered, Delivered: order.CartSettled, Undeliverable: order.EventPublished, Skipped: order.EmailSent}, nil, []string{"event"}, []string{"email"}},
	} {
		got := (view{}).message(&test.order)
		if diff := cmp.Diff([][]string{test.pending, test.undeliverable, test.skipped}, [][]string{got.GetPending(), got.GetUndeliverable(), got.GetSkipped()}); diff != "" {
			t.Errorf("%s: pending, undeliverable, skipped (-want +got):\n%s", name, diff)
		}
	}
}

func TestNoAddressLeaves(t *testing.T) {
	t.Parallel()
	record := &shelf{}
	record.put(everything())
	got, err := looking(t, record).GetOrder(t.Context(), &checkoutv1.GetOrderRequest{OrderId: string(id(1))})
	if err != nil {
		t.Fatal(err)
	}
	told, err := proto.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"ada@", "St James", "London", "SW1Y", "session.id"} {
		if bytes.Contains(told, []byte(private)) {
			t.Errorf("the order that is told has %q in it", private)
		}
	}
}

func TestOrdersAreFoundByWhatIsKnownOfThem(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	for n := range 6 {
		o := order.Order{
			ID: id(n), State: order.Completed, UserID: fmt.Sprint("user ", n%2), Email: order.EmailAddress(fmt.Sprintf("Ada%d@example.com", n%3)),
			TransactionID: fmt.Sprint("t", n), TrackingID: fmt.Sprint("p", n),
		}
		s.put(o)
	}
	client := looking(t, s)
	for _, test := range []struct {
		req  *checkoutv1.ListOrdersRequest
		want []order.ID
	}{
		{&checkoutv1.ListOrdersRequest{UserId: "user 1"}, []order.ID{id(5), id(3), id(1)}},
		{&checkoutv1.ListOrdersRequest{Email: " ada2@example.com "}, []order.ID{id(5), id(2)}},
		{&checkoutv1.ListOrdersRequest{UserId: "user 1", Email: "ada2@example.com"}, []order.ID{id(5)}},
		{&checkoutv1.ListOrdersRequest{TransactionId: "t4"}, []order.ID{id(4)}},
		{&checkoutv1.ListOrdersRequest{TrackingId: "p3"}, []order.ID{id(3)}},
		{&checkoutv1.ListOrdersRequest{OrderIdPrefix: strings.ToUpper(string(id(2)))}, []order.ID{id(2)}},
		{&checkoutv1.ListOrdersRequest{UserId: "nobody"}, nil},
	} {
		var got []order.ID
		for test.req.PageSize = 1; ; {
			resp, err := client.ListOrders(t.Context(), test.req)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range resp.GetOrders() {
				got = append(got, order.ID(o.GetOrderId()))
			}
			if test.req.PageToken = resp.GetNextPageToken(); test.req.GetPageToken() == "" {
				break
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v finds %v, want %v", test.req, got, test.want)
		}
	}
}

func TestWhichOrdersRequireAnOperator(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		keyed bool
		want  []order.State
	}{
		{keyed: false, want: []order.State{order.InDoubt, order.Refunding, order.Parked, order.Undelivered}},
		{keyed: true, want: []order.State{order.Parked, order.Undelivered}},
	} {
		var got []order.State
		for _, s := range order.States() {
			if (view{test.keyed}).message(&order.Order{State: s}).GetRequiresOperator() {
				got = append(got, s)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("keyed %t (-want +got):\n%s", test.keyed, diff)
		}
	}
}

func TestPendingDeliveries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state     order.State
		delivered order.Delivery
		want      []string
	}{
		{order.Charged, 0, nil}, // a parcel comes first
		{order.Placed, 0, []string{"cart", "email", "event"}},
		{order.Placed, order.EmailSent, []string{"cart", "event"}},
		{order.Completed, order.CartSettled | order.EmailSent | order.EventPublished, nil},
	} {
		if diff := cmp.Diff(test.want, pending(&order.Order{State: test.state, Delivered: test.delivered})); diff != "" {
			t.Errorf("%v, with %b delivered, is pending (-want +got):\n%s", test.state, test.delivered, diff)
		}
	}
}

func TestATraceIDIsThatOfATraceparent(t *testing.T) {
	t.Parallel()
	for traceparent, want := range map[string]string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":       "4bf92f3577b34da6a3ce929d0e0e4736",
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later": "4bf92f3577b34da6a3ce929d0e0e4736",
		"": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
		"00-4bf92f-00f067aa0ba902b7-01":                           "",
		"4bf92f3577b34da6a3ce929d0e0e4736":                        "",
	} {
		if got := traceID(traceparent); got != want {
			t.Errorf("the trace id of %q is %q, want %q", traceparent, got, want)
		}
	}
}

func TestAnOrderThatIsNotOnRecordIsNotFound(t *testing.T) {
	t.Parallel()
	client := looking(t, &shelf{})
	_, err := client.GetOrder(t.Context(), &checkoutv1.GetOrderRequest{OrderId: string(id(1))})
	wantRefusal(t, err, codes.NotFound, "ORDER_NOT_FOUND")
	_, err = client.GetOrder(t.Context(), &checkoutv1.GetOrderRequest{UserId: "ada", IdempotencyKey: "a key"})
	wantRefusal(t, err, codes.NotFound, "ORDER_NOT_FOUND")
}

func TestARecordThatCannotBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	client := looking(t, &shelf{away: errors.New("disk I/O error")})
	_, err := client.GetOrder(t.Context(), &checkoutv1.GetOrderRequest{OrderId: string(id(1))})
	wantRefusal(t, err, codes.Unavailable, "UNAVAILABLE")
	_, err = client.ListOrders(t.Context(), &checkoutv1.ListOrdersRequest{})
	wantRefusal(t, err, codes.Unavailable, "UNAVAILABLE")
	if strings.Contains(err.Error(), "disk") {
		t.Errorf("%v tells of the inside", err)
	}
}

func TestARequestForOrdersIsChecked(t *testing.T) {
	t.Parallel()
	client := looking(t, &shelf{})
	now := timestamppb.Now()
	for _, test := range []struct {
		req    proto.Message
		fields []string
	}{
		{&checkoutv1.GetOrderRequest{}, []string{"user_id", "idempotency_key"}},
		{&checkoutv1.GetOrderRequest{OrderId: "1"}, []string{"order_id"}},
		{&checkoutv1.GetOrderRequest{OrderId: "{" + string(id(1)) + "}"}, []string{"order_id"}},
		{&checkoutv1.GetOrderRequest{OrderId: string(id(1)), UserId: "ada"}, []string{"user_id"}},
		{&checkoutv1.GetOrderRequest{OrderId: string(id(1)), IdempotencyKey: "a key"}, []string{"idempotency_key"}},
		{&checkoutv1.GetOrderRequest{UserId: "ada"}, []string{"idempotency_key"}},
		{&checkoutv1.GetOrderRequest{UserId: strings.Repeat("x", 257), IdempotencyKey: "a\nkey"}, []string{"user_id", "idempotency_key"}},
		{&checkoutv1.ListOrdersRequest{States: []checkoutv1.OrderState{1, 0, 12, -1}}, []string{"states[1]", "states[2]", "states[3]"}},
		{&checkoutv1.ListOrdersRequest{PageSize: -1}, []string{"page_size"}},
		{&checkoutv1.ListOrdersRequest{CreatedAfter: &timestamppb.Timestamp{Nanos: -1}}, []string{"created_after"}},
		{&checkoutv1.ListOrdersRequest{CreatedAfter: now, CreatedBefore: now}, []string{"created_before"}},
		{&checkoutv1.ListOrdersRequest{PageToken: "page 2"}, []string{"page_token"}},
		{&checkoutv1.ListOrdersRequest{PageToken: "AAAA"}, []string{"page_token"}},
		{&checkoutv1.ListOrdersRequest{PageToken: pageToken(lookup.Query{}, "no id")}, []string{"page_token"}},
		{&checkoutv1.ListOrdersRequest{PageToken: pageToken(lookup.Query{States: []order.State{1}}, id(1))}, []string{"page_token"}},
		{&checkoutv1.ListOrdersRequest{PageToken: pageToken(lookup.Query{UserID: "ada"}, id(1)), UserId: "bob"}, []string{"page_token"}},
		{&checkoutv1.ListOrdersRequest{OrderIdPrefix: "%", UserId: "a\n", Email: strings.Repeat("x", 257)}, []string{"order_id_prefix", "user_id", "email"}},
		{&checkoutv1.WatchOrdersRequest{OrderId: "1"}, []string{"order_id"}},
		{&checkoutv1.WatchOrdersRequest{States: []checkoutv1.OrderState{99}}, []string{"states[0]"}},
		{&checkoutv1.WatchOrdersRequest{OrderId: string(id(1)), States: []checkoutv1.OrderState{1}}, []string{"states"}},
	} {
		t.Run(fmt.Sprint(test.req), func(t *testing.T) {
			t.Parallel()
			var err error
			switch req := test.req.(type) {
			case *checkoutv1.GetOrderRequest:
				_, err = client.GetOrder(t.Context(), req)
			case *checkoutv1.ListOrdersRequest:
				_, err = client.ListOrders(t.Context(), req)
			case *checkoutv1.WatchOrdersRequest:
				stream, failure := client.WatchOrders(t.Context(), req)
				if err = failure; err == nil {
					_, err = stream.Recv()
				}
			}
			wantRefusal(t, err, codes.InvalidArgument, "INVALID_REQUEST", test.fields...)
		})
	}
}

// pages asks for page after page and returns the ids on each.
func pages(t *testing.T, client checkoutv1.OrderServiceClient, req *checkoutv1.ListOrdersRequest) (pages [][]order.ID) {
	t.Helper()
	for {
		resp, err := client.ListOrders(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var page []order.ID
		for _, o := range resp.GetOrders() {
			page = append(page, order.ID(o.GetOrderId()))
		}
		pages = append(pages, page)
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return pages
		}
	}
}

func TestOrdersComeNewestFirstAPageAtATime(t *testing.T) {
	t.Parallel()
	record := &shelf{}
	for n := range 100 {
		record.put(order.Order{ID: id(n), State: order.States()[n%10], Created: time.Unix(int64(n), 0)})
	}
	client := looking(t, record)
	for name, test := range map[string]struct {
		req  *checkoutv1.ListOrdersRequest
		want [][]order.ID
	}{
		"of a state": {
			&checkoutv1.ListOrdersRequest{States: []checkoutv1.OrderState{checkoutv1.OrderState_CHARGED}, PageSize: 4},
			[][]order.ID{{id(91), id(81), id(71), id(61)}, {id(51), id(41), id(31), id(21)}, {id(11), id(1)}},
		},
		"of two states, one of them twice": {
			&checkoutv1.ListOrdersRequest{States: []checkoutv1.OrderState{2, 1, 2}, PageSize: 3, CreatedAfter: &timestamppb.Timestamp{Seconds: 80}},
			[][]order.ID{{id(91), id(90), id(81)}, {id(80)}},
		},
		"of a time, ending with a full page": {
			&checkoutv1.ListOrdersRequest{CreatedAfter: &timestamppb.Timestamp{Seconds: 10}, CreatedBefore: &timestamppb.Timestamp{Seconds: 14}, PageSize: 2},
			[][]order.ID{{id(13), id(12)}, {id(11), id(10)}},
		},
		"that there are not": {
			&checkoutv1.ListOrdersRequest{CreatedAfter: &timestamppb.Timestamp{Seconds: 1000}}, [][]order.ID{nil},
		},
	} {
		if diff := cmp.Diff(test.want, pages(t, client, test.req)); diff != "" {
			t.Errorf("orders %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAPageHasNoMoreThanIsGoodForTheServer(t *testing.T) {
	t.Parallel()
	record := &shelf{}
	for n := range 501 {
		record.put(order.Order{ID: id(n)})
	}
	client := looking(t, record)
	if got := len(pages(t, client, &checkoutv1.ListOrdersRequest{})[0]); got != 50 {
		t.Errorf("a page of no size has %d orders, want 50", got)
	}
	if got := len(pages(t, client, &checkoutv1.ListOrdersRequest{PageSize: 10_000})[0]); got != 500 {
		t.Errorf("a page of 10,000 has %d orders, want 500", got)
	}
	for n := range 501 {
		record.put(order.Order{ID: id(n), Reason: strings.Repeat("x", 10<<10)})
	}
	var got []order.ID
	for _, page := range pages(t, client, &checkoutv1.ListOrdersRequest{PageSize: 500}) {
		got = append(got, page...)
	}
	if len(got) != 501 || !slices.IsSortedFunc(got, func(a, b order.ID) int { return -strings.Compare(string(a), string(b)) }) {
		t.Errorf("5 MiB of orders come as %d, want all 501 in their order", len(got))
	}
}

func TestAnOrderThatCannotBeReadDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	record := &shelf{torn: map[order.ID]bool{id(2): true, id(3): true}}
	for n := range 6 {
		record.put(order.Order{ID: id(n)})
	}
	got := pages(t, looking(t, record), &checkoutv1.ListOrdersRequest{PageSize: 3})
	if diff := cmp.Diff([][]order.ID{{id(5), id(4)}, {id(1), id(0)}}, slices.DeleteFunc(got, func(page []order.ID) bool { return page == nil })); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestAListHasNoHistories(t *testing.T) {
	t.Parallel()
	record := &shelf{}
	record.put(everything())
	resp, err := looking(t, record).ListOrders(t.Context(), &checkoutv1.ListOrdersRequest{})
	if err != nil || len(resp.GetOrders()) != 1 || resp.GetOrders()[0].GetHistory() != nil {
		t.Errorf("the list is %v, %v; want one order without its history", resp, err)
	}
}
