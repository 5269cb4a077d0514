package storefront

import (
	"context"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"checkout/internal/demo"
)

// presetRate is how many customers a second come during a preset, if there is no other load.
const presetRate = 10

// preset is a scripted incident, which ends by itself.
type preset struct {
	ID, Name, What, Watch string
	Lasts                 time.Duration // at most

	run func(ctx context.Context) error // until ctx ends, or it is done
}

// incident is a preset that runs, or has run.
type incident struct {
	preset
	ends time.Time
	stop context.CancelFunc
	over bool
	err  error // why it could not be run
}

// incidentView is an incident as it is shown.
type incidentView struct {
	Name, Watch, Problem string
	Console              string // where to watch; empty: nowhere
	Left                 int    // seconds; 0 when it is over
}

func (s *Storefront) presets() []preset {
	shop := s.Shop
	refused := demo.Fault{Kind: demo.Refuse, Status: http.StatusUnprocessableEntity, Code: codes.FailedPrecondition}
	unshippable := "orders become parked, and the console lists them: checkout_order_unfinished{checkout_order_state=\"parked\"}"
	if s.KeyedPayment {
		unshippable = "orders are refunded: checkout_orders_total by outcome, PaymentLedger/Reverse in the traces"
	}
	return []preset{
		{
			"payment", "Payment outage", "Payment is offline for 30 s.",
			"orders fail with PAYMENT_UNREACHABLE and no card is charged: checkout_orders_total by outcome", 30 * time.Second,
			s.underLoad(func() func() { shop.Payment.TakeOffline(); return s.back(shop.Payment) }),
		},
		{
			"shipping", "Slow shipping", "Every parcel takes 3 s longer for 30 s.",
			"orders are slower and none fails: checkout_step_duration_seconds{checkout_order_step=\"ship\"}, checkout_order_active", 30 * time.Second,
			s.underLoad(func() func() { return inject(shop.Shipping, demo.Fault{Latency: 3 * time.Second}, ShipOrder) }),
		},
		{
			"kafka", "Kafka down for a minute", "The broker is offline for 60 s.",
			"orders are placed all the same; events wait and are published afterwards: checkout_delivery_pending{checkout_delivery=\"event\"}", time.Minute,
			s.underLoad(func() func() { shop.Broker.TakeOffline(); return s.back(shop.Broker) }),
		},
		{
			"unshippable", "Shipping refuses orders", "Paid orders are refused permanently for 10 s.",
			unshippable, 10 * time.Second,
			s.underLoad(func() func() { return inject(shop.Shipping, refused, ShipOrder) }),
		},
		{
			"kill", "Kill during checkout", "Places an order, and kills the process after the charge and before the parcel.",
			"the next process completes the order, and the card is charged once; see the report below, and the span links in the order's trace", OrderTime,
			s.killDuringCheckout,
		},
	}
}

// inject injects a fault, and returns what ends it, unless another one has been injected since.
func inject(at Injector, f demo.Fault, method string) (end func()) {
	usual := at.Injected(method)
	at.Inject(f, method)
	return func() {
		if at.Injected(method) == f {
			at.Inject(usual, method)
		}
	}
}

// back returns what brings a server online.
func (s *Storefront) back(server Server) func() {
	return func() {
		if err := server.BringOnline(); err != nil {
			s.Log.ErrorContext(s.life, "service not brought online", "address", server.Address(), "error", err)
		}
	}
}

// underLoad is a preset that begins something and ends it, while customers come.
func (s *Storefront) underLoad(begin func() (end func())) func(context.Context) error {
	return func(ctx context.Context) error {
		if s.load.look().Rate == 0 {
			s.load.set(presetRate)
			defer func() {
				if s.load.look().Rate == presetRate {
					s.load.set(0)
				}
			}()
		}
		defer begin()()
		<-ctx.Done()
		return nil
	}
}

func (s *Storefront) startPreset(r *http.Request) error {
	all := s.presets()
	i := slices.IndexFunc(all, func(p preset) bool { return p.ID == r.PostFormValue("preset") })
	if i < 0 {
		return invalid("There is no such preset.")
	}
	ctx, stop := context.WithTimeout(s.life, all[i].Lasts)
	one := &incident{preset: all[i], ends: time.Now().Add(all[i].Lasts), stop: stop}
	s.mu.Lock()
	busy := s.incident != nil && !s.incident.over
	if !busy {
		s.incident = one
	}
	s.mu.Unlock()
	if busy {
		stop()
		return &problem{http.StatusConflict, "Another preset is running", "It ends by itself; you can also stop it."}
	}
	if !s.begin(func() {
		defer stop()
		err := one.run(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		one.over, one.err = true, err
	}) {
		stop()
	}
	return nil
}

func (s *Storefront) stopPreset(*http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.incident != nil {
		s.incident.stop()
	}
	return nil
}

func (s *Storefront) lookAtIncident() (v incidentView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.incident == nil {
		return v
	}
	v.Name, v.Watch, v.Console = s.incident.Name, s.incident.Watch, s.Console
	if s.incident.err != nil {
		v.Problem = s.incident.err.Error()
	}
	if !s.incident.over {
		v.Left = max(1, int(time.Until(s.incident.ends)/time.Second))
	}
	return v
}
