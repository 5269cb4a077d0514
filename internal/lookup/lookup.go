// Package lookup has the queries of the record of orders.
package lookup

import (
	"slices"
	"strings"
	"time"

	"checkout/internal/order"
)

// Query selects orders to look at.
type Query struct {
	States      []order.State // none: any
	From, Until time.Time     // created at From or later, and before Until; zero: unbounded
	Before      order.ID      // only those that come after this one in the result: a page's last
	Limit       int           // at most so many
}

// Search is a query for what people know of an order. An empty field selects all; all fields that are not must match.
type Search struct {
	Query

	Prefix        string // of the id
	UserID        string
	Email         order.EmailAddress // in upper or lower case
	TransactionID string
	TrackingID    string
}

// Selects tells whether the search selects an order, wherever its page begins.
func (s Search) Selects(o *order.Order) bool {
	matches := func(wanted, has string) bool { return wanted == "" || wanted == has }
	return (len(s.States) == 0 || slices.Contains(s.States, o.State)) &&
		!o.Created.Before(s.From) && (s.Until.IsZero() || o.Created.Before(s.Until)) &&
		strings.HasPrefix(string(o.ID), s.Prefix) &&
		matches(s.UserID, o.UserID) && matches(s.TransactionID, o.TransactionID) && matches(s.TrackingID, o.TrackingID) &&
		(s.Email == "" || strings.EqualFold(string(s.Email), string(o.Email)))
}

// AuditQuery selects entries of the audit log.
type AuditQuery struct {
	Order       order.ID  // empty: of all orders
	From, Until time.Time // written at From or later, and before Until; zero: unbounded
	Before      string    // only those that come after this one in the result: a page's last
	Limit       int       // at most so many
}

// AuditRecord is an entry of the audit log, as it was written.
type AuditRecord struct {
	ID   string
	Body []byte
}
