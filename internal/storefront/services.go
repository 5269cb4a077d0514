package storefront

import "checkout/internal/demo"

// ShipOrder is the method of shipping that only paid orders come to.
const ShipOrder = "ship-order"

// Service is a server of the shop that can be offline.
type Service struct {
	Name, Protocol, What string
	Server               Server
	Calls                Injector // where to inject faults; nil when checkout makes none during an order
}

// Server has an address, and can be offline.
type Server interface {
	Address() string
	Offline() bool
	TakeOffline()
	BringOnline() error
}

// Injector is a server that faults can be injected into: into calls of some methods, or of all.
type Injector interface {
	Inject(f demo.Fault, methods ...string)
	Injected(method string) demo.Fault
}

// Services are the servers around checkout.
func Services(s *demo.Shop) []Service {
	return []Service{
		{"cart", "gRPC", "what customers want to buy", s.Cart, s.Cart},
		{"catalog", "gRPC", "products and prices", s.Catalog, s.Catalog},
		{"currency", "gRPC", "conversions", s.Currency, s.Currency},
		{"payment", "gRPC", "charges cards", s.Payment, s.Payment},
		{"shipping", "HTTP", "quotes and parcels", s.Shipping, s.Shipping},
		{"email", "HTTP", "confirmations", s.Email, s.Email},
		{"kafka", "Kafka", "the broker of the topic orders", s.Broker, nil},
		{"flagd", "gRPC", "feature flags", s.Flags, nil},
		{"collector", "OTLP", "traces, metrics and logs", s.Collector, nil},
	}
}

// Address is where it is, a host:port.
func (s Service) Address() string { return s.Server.Address() }

// Offline reports whether it takes no calls.
func (s Service) Offline() bool { return s.Server.Offline() }
