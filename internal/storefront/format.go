package storefront

import (
	"strings"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/web"
	"checkout/internal/wire"
)

func stateName(s checkoutv1.OrderState) string {
	switch s {
	case checkoutv1.OrderState_ORDER_STATE_UNSPECIFIED:
		return "unknown"
	case checkoutv1.OrderState_IN_DOUBT:
		return "payment unknown"
	default:
	}
	return strings.ReplaceAll(wire.StateName(s), "_", " ")
}

// stateTone is the tone of a badge.
func stateTone(s checkoutv1.OrderState) string { return web.Tone(wire.StateName(s)) }

// consistsOf reports whether a text is n bytes long, all of an alphabet.
func consistsOf(text string, n int, alphabet string) bool {
	return len(text) == n && strings.Trim(text, alphabet) == ""
}
