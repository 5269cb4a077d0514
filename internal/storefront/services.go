package storefront

import "checkout/internal/demo"

// ShipOrder is the method of shipping that only paid orders come to.
const ShipOrder = "ship-order"

// Service is a server of the shop that can be offline.
type Service struct {
	Server

	Name, Protocol, What string
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
		{s.Cart, "cart", "gRPC", "what customers want to buy", s.Cart},
		{s.Catalog, "catalog", "gRPC", "products and prices", s.Catalog},
		{s.Currency, "currency", "gRPC", "conversions", s.Currency},
		{s.Payment, "payment", "gRPC", "charges cards", s.Payment},
		{s.Shipping, "shipping", "HTTP", "quotes and parcels", s.Shipping},
		{s.Email, "email", "HTTP", "confirmations", s.Email},
		{s.Broker, "kafka", "Kafka", "the broker of the topic orders", nil},
		{s.Flags, "flagd", "gRPC", "feature flags", nil},
		{s.Collector, "collector", "OTLP", "traces, metrics and logs", nil},
	}
}
