package gateway

import (
	"context"
	"strings"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"checkout/internal/creditcard"
)

// The number of digits of a card (ISO/IEC 7812-1), as order accepts them.
const (
	minCardDigits = 12
	maxCardDigits = 19
)

// maskStatus is a grpc.UnaryClientInterceptor that masks the text of an error.
func maskStatus(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := next(ctx, method, req, reply, conn, opts...)
	if s := status.Convert(err); err != nil && holdsCard(s.Message()) {
		return status.Error(s.Code(), mask(s.Message()))
	}
	return err
}

// maskError is err with its text masked.
func maskError(err error) error {
	if err == nil || !holdsCard(err.Error()) {
		return err
	}
	return maskedError{err}
}

type maskedError struct{ error }

func (e maskedError) Error() string { return mask(e.error.Error()) }
func (e maskedError) Unwrap() error { return e.error }

// mask masks card data in a service's text. A text with a card number repeats what a customer typed, so all of its digits are
// masked: they may be the expiry and the CVV.
func mask(text string) string {
	if !holdsCard(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '*'
		}
		return r
	}, text)
}

// holdsCard reports whether text contains a card number, with spaces and dashes between digits, or within a longer run of digits.
func holdsCard(text string) bool {
	var run []byte
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			run = append(run, byte(r))
			if endsInCard(run) {
				return true
			}
		case unicode.IsSpace(r), unicode.In(r, unicode.Pd, unicode.Cf), r == '\u2212': // spaces, dashes, invisible marks, minus
		default:
			run = run[:0]
		}
	}
	return false
}

// endsInCard reports whether the last 12 to 19 of these digits are a card number.
func endsInCard(run []byte) bool {
	for n := minCardDigits; n <= min(len(run), maxCardDigits); n++ {
		if creditcard.ValidNumber(run[len(run)-n:]) {
			return true
		}
	}
	return false
}
