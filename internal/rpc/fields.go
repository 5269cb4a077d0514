package rpc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"checkout/gen/checkout/checkoutv1"
	"checkout/internal/creditcard"
	"checkout/internal/lookup"
	"checkout/internal/order"
	"checkout/internal/redact"
)

// maxText is the length in characters of what people, and callers, say in one field.
const maxText = 256

// Whether a field may be left out.
const (
	required = true
	optional = false
)

// violations are what is wrong with a request for orders. nil: nothing.
type violations []order.Violation

func (v *violations) add(field, problem string) {
	*v = append(*v, order.Violation{Field: field, Problem: problem})
}

// refuse is the answer to a request that has violations.
func (v violations) refuse() error {
	failure := order.Error{Kind: order.ErrInvalid, Violations: v}
	return refusal(codes.InvalidArgument, "INVALID_REQUEST", failure.Error(), "", v...)
}

// text wants at most maxText characters without control characters, and something to read if must.
func (v *violations) text(field, s string, must bool) {
	switch {
	case must && strings.TrimSpace(s) == "":
		v.add(field, "is missing")
	case utf8.RuneCountInString(s) > maxText:
		v.add(field, fmt.Sprintf("has more than %d characters", maxText))
	case strings.ContainsFunc(s, unicode.IsControl):
		v.add(field, "has a control character")
	}
}

// typed wants a text that an operator may have recorded, and shown: one without a card number.
func (v *violations) typed(field, s string, must bool) {
	v.text(field, s, must)
	if creditcard.HasNumber(s) {
		v.add(field, "has what looks like a card number in it, which must not be recorded: leave it out")
	}
}

// kept wants a typed text that outlives the order, in the audit log: one without an e-mail address, too.
func (v *violations) kept(field, s string, must bool) {
	v.typed(field, s, must)
	if redact.Emails(s) != s {
		v.add(field, "has what looks like an e-mail address in it, which must not be recorded: leave it out")
	}
}

// absent wants nothing in a field that does not go with the others.
func (v *violations) absent(field, s, why string) {
	if s != "" {
		v.add(field, why)
	}
}

// deliveries wants names of deliveries that an operator can decide to do without.
func (v *violations) deliveries(field string, names []string) (set order.Delivery) {
	for i, name := range names {
		switch name {
		case "email":
			set |= order.EmailSent
		case "event":
			set |= order.EventPublished
		default:
			v.add(fmt.Sprintf("%s[%d]", field, i), "must be email or event")
		}
	}
	return set
}

// id wants the id of an order in the field order_id: a UUID in the form of RFC 9562, §4.
func (v *violations) id(s string) order.ID {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != len(id.String()) {
		v.add("order_id", "is not the id of an order")
	}
	return order.ID(id.String())
}

// prefix wants the beginning of the id of an order, in the field order_id_prefix.
func (v *violations) prefix(s string) string {
	s = strings.ToLower(s)
	if len(s) > len(uuid.UUID{}.String()) || strings.Trim(s, "0123456789abcdef-") != "" {
		v.add("order_id_prefix", "is not the beginning of the id of an order, such as 01890a5d")
	}
	return s
}

// states wants states that orders can be in. It returns each once, in the order of their numbers.
func (v *violations) states(field string, states []checkoutv1.OrderState) (known []order.State) {
	for _, s := range order.States() {
		if slices.Contains(states, checkoutv1.OrderState(s)) {
			known = append(known, s)
		}
	}
	for i, s := range states {
		if !slices.ContainsFunc(known, func(k order.State) bool { return checkoutv1.OrderState(k) == s }) {
			v.add(fmt.Sprintf("%s[%d]", field, i), "is not the state of an order")
		}
	}
	return known
}

// time wants a time, or nil, which is the zero time.
func (v *violations) time(field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if err := t.CheckValid(); err != nil {
		v.add(field, "is not a time between the years 1 and 9999")
	}
	return t.AsTime()
}

// pageSize wants a size in the field page_size, and returns the one that a page has.
func (v *violations) pageSize(size int32) int {
	switch {
	case size < 0:
		v.add("page_size", "is negative")
	case size == 0:
		return defaultPage
	}
	return min(int(size), maxPage)
}

// pageToken names the page of q that follows the order last. It is good for the same filters only, and says nothing to
// who does not know how it is made.
func pageToken(q lookup.Query, last order.ID) string {
	return base64.RawURLEncoding.EncodeToString(append(fingerprint(q), last...))
}

// afterPage is the order after which the page of that token begins. Its error says what is wrong with the token.
func afterPage(q lookup.Query, token string) (order.ID, error) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	mark := fingerprint(q)
	if err != nil || len(data) < len(mark) || uuid.Validate(string(data[len(mark):])) != nil {
		return "", errors.New("is not the token of a page")
	}
	if !bytes.Equal(data[:len(mark)], mark) {
		return "", errors.New("belongs to other filters")
	}
	return order.ID(data[len(mark):]), nil
}

// fingerprint is of the filters of q.
func fingerprint(q lookup.Query) []byte {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%v %v %v %q %q %q %q %q", q.States, q.From, q.Until, // a hash takes everything
		q.Prefix, q.UserID, strings.ToLower(string(q.Email)), q.TransactionID, q.TrackingID)
	return h.Sum(nil)
}
