package storefront

import (
	"slices"
	"strings"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/order"
	"checkout/internal/web"
)

func stateName(s checkoutv1.OrderState) string {
	switch s {
	case checkoutv1.OrderState_ORDER_STATE_UNSPECIFIED:
		return "unknown"
	case checkoutv1.OrderState_IN_DOUBT:
		return "payment unknown"
	default:
	}
	return strings.ReplaceAll(strings.ToLower(s.String()), "_", " ")
}

// stateTone is the tone of a badge.
func stateTone(s checkoutv1.OrderState) string { return web.Tone(strings.ToLower(s.String())) }

// unfinished are the states that an order does not stay in.
func unfinished() (states []checkoutv1.OrderState) {
	for _, s := range order.States() {
		if !s.Final() {
			states = append(states, checkoutv1.OrderState(s))
		}
	}
	return states
}

// isFinal reports whether that state is final.
func isFinal(s checkoutv1.OrderState) bool {
	return slices.ContainsFunc(order.States(), func(one order.State) bool { return one.Final() && checkoutv1.OrderState(one) == s })
}

// consistsOf reports whether a text is n bytes long, all of an alphabet.
func consistsOf(text string, n int, alphabet string) bool {
	return len(text) == n && strings.Trim(text, alphabet) == ""
}
