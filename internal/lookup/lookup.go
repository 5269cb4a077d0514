// Package lookup defines the queries that operators make of the record: for orders, and for the audit log. The store answers
// them; rpc, which does not import it, asks them.
package lookup

import (
	"slices"
	"strings"
	"time"

	"checkout/internal/order"
)

// Query selects orders to look at. An empty field selects all; all fields that are not must match.
type Query struct {
	States      []order.State // one of them
	From, Until time.Time     // created at From or later, and before Until
	Before      order.ID      // only those that come after this one in the result: a page's last
	Limit       int           // at most so many

	Prefix        string // of the id
	UserID        string
	Email         order.EmailAddress // in upper or lower case
	TransactionID string
	TrackingID    string
}

// Selects reports whether the query selects an order, wherever its page begins.
func (q Query) Selects(o *order.Order) bool {
	matches := func(wanted, has string) bool { return wanted == "" || wanted == has }
	return (len(q.States) == 0 || slices.Contains(q.States, o.State)) &&
		!o.Created.Before(q.From) && (q.Until.IsZero() || o.Created.Before(q.Until)) &&
		strings.HasPrefix(string(o.ID), q.Prefix) &&
		matches(q.UserID, o.UserID) && matches(q.TransactionID, o.TransactionID) && matches(q.TrackingID, o.TrackingID) &&
		(q.Email == "" || strings.EqualFold(string(q.Email), string(o.Email)))
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
