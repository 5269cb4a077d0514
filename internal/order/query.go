package order

import "time"

// Query selects orders to look at.
type Query struct {
	States      []State   // none: any
	From, Until time.Time // created at From or later, and before Until; zero: unbounded
	Before      ID        // only those that come after this one in the result: a page's last
	Limit       int       // at most so many
}
