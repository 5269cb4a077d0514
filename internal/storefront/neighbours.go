package storefront

import "checkout/internal/demo"

// ShipOrder is the method of shipping that only paid orders come to.
const ShipOrder = "ship-order"

// Neighbour is a server of the shop that can be away.
type Neighbour struct {
	Name, Protocol, What string
	Server               Server
	Calls                Troubled // what can go wrong with calls; nil when checkout makes none during an order
}

// Server is where a Neighbour is, and whether it is there.
type Server interface {
	Address() string
	Away() bool
	Leave()
	Return() error
}

// Troubled is a server whose calls can go wrong: those of some methods, or all.
type Troubled interface {
	Trouble(t demo.Trouble, methods ...string)
	Troubled(method string) demo.Trouble
}

// Neighbours are the servers around checkout.
func Neighbours(s *demo.Shop) []Neighbour {
	return []Neighbour{
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
func (n Neighbour) Address() string { return n.Server.Address() }

// Away tells whether it takes no calls.
func (n Neighbour) Away() bool { return n.Server.Away() }
