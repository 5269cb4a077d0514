package main

import (
	"fmt"

	"checkout/gen/oteldemo"
	"checkout/internal/demo"
)

// maxLines is how many different products a basket can have: all but the observatory dome, which would soon exceed what
// an order may cost.
const maxLines = 12

// fill puts the n-th customer's products into a cart and returns what to order it with. The first customer's have prices
// that hurt naive code.
func (s *shop) fill(n int) *oteldemo.PlaceOrderRequest {
	user := fmt.Sprintf("customer-%d", n)
	ids := []string{"LS4PSXUNUM", "STICKER020", "OLJCESPC7Z"}
	for _, p := range s.Catalog.Products() {
		if id := p.GetId(); id != ids[0] && id != ids[1] && id != ids[2] && id != "DOMEROOF01" {
			ids = append(ids, id)
		}
	}
	for line := range s.options.lines {
		quantity := int32(1 + (n+line)%3)
		s.Cart.Put(user, ids[(n*s.options.lines+line)%len(ids)], quantity)
	}
	return demo.Order(user, s.options.currency)
}
