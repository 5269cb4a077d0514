package store

import (
	"context"
	"fmt"
	"time"

	"checkout/internal/order"
)

// backlogLimit is how many orders of a kind a count goes up to. There are no more unless another service has been away for
// hours, and then it is not worth the time to know how many more.
const backlogLimit = 10_000

// countOrders goes through the indexes of the orders that are not over. The oldest of them are found as long as there are
// no more than the limit; beyond, of those that have been due longest.
const countOrders = `
	SELECT state, delivered, COUNT(*), @now - MIN(created) FROM (
		SELECT * FROM (SELECT state, delivered, created FROM orders WHERE ` + shipping + ` ORDER BY due LIMIT $1) AS a
		UNION ALL
		SELECT * FROM (SELECT state, delivered, created FROM orders WHERE ` + delivery + ` ORDER BY due LIMIT $1) AS b
		UNION ALL
		SELECT * FROM (SELECT state, delivered, created FROM orders WHERE ` + attention + ` ORDER BY due LIMIT $1) AS c
	) AS unfinished GROUP BY state, delivered`

// count is how many orders have one state and the same deliveries.
type count struct {
	state     order.State
	delivered order.Delivery
	orders    int
	oldest    int64 // milliseconds since it was created
}

func (c *count) fields() []any { return []any{&c.state, &c.delivered, &c.orders, &c.oldest} }

// Backlog counts the orders that are not finished: up to 10,000 of each queue, and of those that require an operator. It
// reports, of each state and set of deliveries done, how many orders there are and how long ago the oldest was created.
func (s orders) Backlog(ctx context.Context, tell func(state order.State, done order.Delivery, orders int, oldest time.Duration)) error {
	found, err := query(ctx, s, (*count).fields, countOrders, backlogLimit)
	if err != nil {
		return fmt.Errorf("count orders: %w", err)
	}
	for _, c := range found {
		tell(c.state, c.delivered, c.orders, max(time.Duration(c.oldest)*time.Millisecond, 0))
	}
	return nil
}
