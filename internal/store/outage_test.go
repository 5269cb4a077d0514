//go:build unix

package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"checkout/internal/order"
	"checkout/internal/store"
	"checkout/internal/store/storetest"
	"checkout/internal/test/nettest"
	"checkout/internal/test/pgtest"
)

func TestAnOrderIsCertainlyNotRecordedWhenNoneOfTheServersAcceptsConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.StartOwn(t)
	address := server.Fresh(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	s := postgres(t, strings.Replace(address, u.Host, u.Host+","+nettest.Reserve(t), 1))
	atOnce(t, 8, func(i int) error { return enter(t.Context(), s, storetest.Order(name(i))) })
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := range 8 { // also while there are connections from before, which the server has ended
		if err := enter(t.Context(), s, storetest.Order(name(100+i))); !errors.Is(err, order.ErrUnsent) {
			t.Errorf("Open = %v, want %v", err, order.ErrUnsent)
		}
	}
}

func TestAnOrderWaitsForAConnectionThatTheDatabaseCannotSpareAtOnce(t *testing.T) {
	t.Parallel()
	target, err := url.Parse(pgtest.Start(t).Fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	through := *target
	var refused atomic.Pointer[string] // the code for the next client
	through.Host = nettest.Serve(t, func(client net.Conn) {
		if code := refused.Swap(nil); code != nil {
			refuse(client, *code)
			return
		}
		nettest.Relay(client, target.Host)
	})
	s := postgres(t, through.String())
	for _, code := range []string{"53300", "57P03"} { // too many connections; it is starting up
		execute(t, target.String(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'checkout' AND datname = current_database()")
		refused.Store(&code)
		if err := live(t.Context(), s, storetest.Order(order.ID(code)), func(*order.Order) {}); err != nil {
			t.Error(err)
		}
		if refused.Load() != nil {
			t.Errorf("no connection was refused with %s", code)
		}
	}
}

// set changes a setting of a running server.
func set(t *testing.T, server *pgtest.Server, setting string) {
	t.Helper()
	execute(t, server.URL(), "ALTER SYSTEM SET "+setting)
	execute(t, server.URL(), "SELECT pg_reload_conf()")
}

// failOver is a server with its standby, and the URL of a database for whichever of them takes writes.
type failOver struct {
	primary, standby *pgtest.Server
	url              string
}

func newFailOver(t *testing.T) failOver {
	t.Helper()
	primary := pgtest.StartOwn(t)
	database := primary.Fresh(t)
	standby := primary.Standby(t)
	host := func(s *pgtest.Server) string {
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	both := host(standby) + "," + host(primary) // the one that takes no writes first
	return failOver{primary, standby, strings.Replace(database, host(primary), both, 1)}
}

func TestOrdersGoOnWhereTheStandbyWasPromoted(t *testing.T) {
	t.Parallel()
	servers := newFailOver(t)
	set(t, servers.primary, "synchronous_standby_names = '*'") // what is acknowledged is on the standby, too
	s := postgres(t, servers.url+"&target_session_attrs=read-write")
	over, promoted := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var accepted sync.Map
	var placed atomic.Int64
	for customer := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				after := false
				select {
				case <-over:
					return
				case <-promoted:
					after = true
				default:
				}
				id := order.ID(fmt.Sprintf("%d-%d", customer, i))
				switch err := enter(t.Context(), s, storetest.Order(id)); {
				case err == nil:
					accepted.Store(id, true)
					placed.Add(1)
				case after: // some of those that began before or during the fail-over fail
					t.Errorf("Open after the fail-over = %v", err)
					return
				default:
					time.Sleep(time.Millisecond) // so that those who are refused leave the processors to the servers
				}
			}
		})
	}
	wait := func(n int64) {
		for until := placed.Load() + n; placed.Load() < until && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	wait(20)
	if err := servers.primary.Kill(); err != nil {
		t.Fatal(err)
	}
	servers.standby.Promote(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready after the fail-over = %v", err)
	}
	close(promoted)
	wait(20)
	close(over)
	wg.Wait()
	accepted.Range(func(id, _ any) bool {
		if _, err := s.Get(t.Context(), id.(order.ID)); err != nil {
			t.Errorf("an order that was recorded is lost: %v", err)
		}
		return true
	})
}

// TestAServerThatTakesNoWritesAnyMoreIsLeft: some keep their connections when they become a standby.
func TestAServerThatTakesNoWritesAnyMoreIsLeft(t *testing.T) {
	t.Parallel()
	servers := newFailOver(t)
	s := postgres(t, servers.url)
	atOnce(t, 16, func(i int) error { return enter(t.Context(), s, storetest.Order(name(i))) }) // all connections are open
	set(t, servers.primary, "default_transaction_read_only = on")
	servers.standby.Promote(t)
	for readOnly := 0; readOnly == 0; {
		readOnly = count(t, servers.primary.URL(), "SELECT CASE current_setting('default_transaction_read_only') WHEN 'on' THEN 1 ELSE 0 END")
	}
	atOnce(t, 16, func(i int) error {
		return live(t.Context(), s, storetest.Order(name(100+i)), func(*order.Order) {})
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
}

// silencer passes on what a server and its clients say, until it is told to keep an answer to itself and hang up.
type silencer struct {
	server string
	armed  atomic.Bool
}

func (s *silencer) serve(client net.Conn) {
	server, err := net.Dial("tcp", s.server)
	if err != nil {
		return
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	answer := make([]byte, 1<<16)
	for {
		n, err := server.Read(answer)
		if err != nil || s.armed.CompareAndSwap(true, false) {
			break
		}
		if _, err := client.Write(answer[:n]); err != nil {
			break
		}
	}
	if reset, ok := client.(*net.TCPConn); ok {
		_ = reset.SetLinger(0) // hang up as a server that has crashed
	}
	_ = client.Close()
	asking.Wait()
}

// refuse refuses a client with a code, as a server does that cannot take it for the moment.
func refuse(client net.Conn, code string) {
	_, _ = client.Read(make([]byte, 1<<10)) // its greeting
	fields := "SFATAL\x00VFATAL\x00C" + code + "\x00Mnot now\x00\x00"
	_, _ = client.Write(append([]byte{'E', 0, 0, 0, byte(4 + len(fields))}, fields...))
}

func TestAWriteWhoseAnswerWasLostIsDone(t *testing.T) {
	t.Parallel()
	target, err := url.Parse(pgtest.Start(t).Fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	silencer := &silencer{server: target.Host}
	target.Host = nettest.Serve(t, silencer.serve)
	s := postgres(t, target.String())
	if err := live(t.Context(), s, storetest.Order("1"), func(*order.Order) {}); err != nil { // statements are prepared now
		t.Fatal(err)
	}
	o := storetest.Order("2")
	silencer.armed.Store(true)
	if err := enter(t.Context(), s, o); err != nil {
		t.Errorf("Open whose answer was lost = %v", err)
	}
	if silencer.armed.Load() {
		t.Error("no answer to Open was lost")
	}
	if err := enter(t.Context(), s, storetest.Order("3")); err != nil { // over the new connection
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), storetest.Order("3"), order.Charging, time.Hour); err != nil {
		t.Fatal(err)
	}
	o.State = order.Charged
	silencer.armed.Store(true)
	if err := s.Save(t.Context(), o, order.Charging, time.Hour); err != nil {
		t.Errorf("Save whose answer was lost = %v", err)
	}
	if silencer.armed.Load() {
		t.Error("no answer to Save was lost")
	}
	if got, err := s.Get(t.Context(), "2"); err != nil || got.State != order.Charged {
		t.Errorf("Get = %v, %v", got, err)
	}
}

func TestARestartOfTheDatabaseLosesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.StartOwn(t)
	s := postgres(t, server.Fresh(t))
	for round, end := range []func() error{server.Stop, server.Kill} {
		first, second := name(2*round), name(2*round+1)
		if err := enter(t.Context(), s, storetest.Order(first)); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := enter(t.Context(), s, storetest.Order(second)); err == nil {
			t.Error("Open while the database is down = nil")
		}
		if err := s.Ready(t.Context()); err == nil {
			t.Error("Ready while the database is down = nil")
		}
		if took := time.Since(start); took > 10*time.Second { // which is how long a call may wait for a database that does not answer
			t.Errorf("it took %v to say that the database is down", took)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("Ready after a restart = %v", err)
		}
		if _, err := s.Get(t.Context(), first); err != nil {
			t.Errorf("an order that was recorded before: %v", err)
		}
		if err := enter(t.Context(), s, storetest.Order(second)); err != nil {
			t.Errorf("Open after a restart: %v", err)
		}
	}
}

// TestWhatACrashMayHaveRecordedIsCancelled: the INSERT of an order may be committed although its answer was lost.
func TestWhatACrashMayHaveRecordedIsCancelled(t *testing.T) {
	t.Parallel()
	server := pgtest.StartOwn(t)
	s := postgres(t, server.Fresh(t))
	accepted, lost := make(chan *order.Order, 10_000), make(chan *order.Order, 100)
	var customers sync.WaitGroup
	for customer := range 8 {
		customers.Go(func() {
			for i := range 1000 {
				o := storetest.Order(order.ID(fmt.Sprintf("%d-%03d", customer, i)))
				if err := enter(t.Context(), s, o); err != nil {
					lost <- o
					return
				}
				accepted <- o
			}
		})
	}
	for len(accepted) < 50 {
		time.Sleep(time.Millisecond)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	customers.Wait()
	close(accepted)
	close(lost)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for o := range lost {
		o.State, o.Key = order.Cancelled, ""
		if err := s.Cancel(t.Context(), o, time.Hour); err != nil {
			t.Error(err)
		}
		if got, err := s.Get(t.Context(), o.ID); err != nil || got.State != order.Cancelled {
			t.Errorf("an order that was never charged is %v, %v, want cancelled", got, err)
		}
	}
	for o := range accepted {
		if got, err := s.Get(t.Context(), o.ID); err != nil || got.State != order.Charging {
			t.Errorf("an order that was accepted is %v, %v, want charging", got, err)
		}
	}
}

func TestADatabaseThatDoesNotAnswerDelaysNoCaller(t *testing.T) {
	t.Parallel()
	server := pgtest.StartOwn(t)
	s := postgres(t, server.Fresh(t))
	if err := enter(t.Context(), s, storetest.Order("1")); err != nil {
		t.Fatal(err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	const patience = 600 * time.Millisecond
	const refusal = "no new orders since the database does not answer" // of who comes when others have waited in vain
	try := func(i int) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return enter(ctx, s, storetest.Order(name(i)))
	}
	start := time.Now()
	atOnce(t, 20, func(i int) error { // more than there are connections
		err := try(100 + i)
		if err == nil || !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), refusal) {
			return fmt.Errorf("Open = %w, want %w", err, context.DeadlineExceeded)
		}
		return nil
	})
	if took := time.Since(start); took > 5*time.Second { // half of how long a call takes at most
		t.Errorf("callers who gave up after %v were kept for %v", patience, took)
	}
	for tries := 0; ; tries++ { // one a second finds out whether it answers again
		err := try(200 + tries)
		if err != nil && strings.Contains(err.Error(), refusal) {
			break
		}
		if err == nil || tries == 20 {
			t.Fatalf("Open when the database is known not to answer = %v, want %q", err, refusal)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if s, err := store.OpenPostgres(ctx, server.URL()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("OpenPostgres = %v, %v, want %v", s, err, context.DeadlineExceeded)
	}

	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	if err := enter(t.Context(), s, storetest.Order("2")); err != nil {
		t.Errorf("Open when the database answers again = %v", err)
	}
	if _, err := s.Get(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}

// BenchmarkOrderPostgres is BenchmarkOrder with a server on the same machine.
