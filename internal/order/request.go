package order

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"checkout/internal/creditcard"
	"checkout/internal/money"
	"checkout/internal/redact"
)

// Request is what a customer asks for: the contents of their cart, paid with this card, sent to this address.
type Request struct {
	UserID   string
	Key      string // idempotency key: what asks for the same order has the same; may be empty
	Currency money.Currency
	Address  Address
	Email    EmailAddress
	Card     creditcard.Card
	Expected money.Amount      // the total that the customer has agreed to; the zero value: any
	Trace    map[string]string // W3C trace context and baggage, kept with the order
}

// The sizes that a request is held to, in characters.
const (
	maxUserID  = 128
	maxKey     = 255
	maxEmail   = 254 // RFC 5321, §4.5.3.1.3 less the brackets
	maxAddress = 256 // a field
)

// normalized is the request as it is checked, compared and recorded. What people type and no label or mail needs is
// mended: line breaks and tabs in the address become blanks, blanks around the e-mail address go.
func (r Request) normalized() Request {
	for _, f := range r.Address.fields() {
		*f.text = oneLine(*f.text)
	}
	r.Email = EmailAddress(strings.TrimSpace(string(r.Email)))
	return r
}

// field is a text of a request, by its name on the wire.
type field struct {
	name string
	text *string
}

func (a *Address) fields() []field {
	return []field{
		{"address.street_address", &a.Street},
		{"address.city", &a.City},
		{"address.state", &a.State},
		{"address.country", &a.Country},
		{"address.zip_code", &a.ZipCode},
	}
}

// oneLine has a blank for each line break and tab.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		switch c {
		case '\t', '\n', '\v', '\f', '\r', '\u0085', '\u2028', '\u2029': // NEL, line and paragraph separator
			return ' '
		}
		return c
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}

// Validate checks what can be checked without a call. It returns an ErrInvalid with every violation, or nil.
func (r *Request) Validate(now time.Time) error {
	bad := r.unpriceable()
	if len(r.Key) > maxKey || strings.ContainsFunc(r.Key, func(c rune) bool { return c < ' ' || c > '~' }) {
		bad.add("idempotency-key", fmt.Sprintf("is not up to %d printable ASCII characters", maxKey))
	}
	if c := r.Expected.Currency(); c != "" && c != r.Currency {
		bad.add("checkout-expected-total", "is not in user_currency")
	}
	bad.text("email", string(r.Email), 1, maxEmail)
	if r.Email != "" && !r.Email.deliverable() {
		bad.add("email", "is not an e-mail address")
	}
	bad.card(r.Card, now)
	r.keepsCardToItself(&bad)
	if bad != nil {
		return &Error{Kind: ErrInvalid, Violations: bad}
	}
	return nil
}

// unpriceable is what is wrong with the part of the request that has to do with its price.
func (r *Request) unpriceable() (bad violations) {
	bad.text("user_id", r.UserID, 1, maxUserID)
	if _, ok := r.Currency.MinorUnits(); !ok {
		bad.add("user_currency", "is not a currency of ISO 4217")
	}
	if a := r.Address; strings.TrimSpace(a.Street+a.City+a.State+a.Country+a.ZipCode) == "" {
		bad.add("address", "is missing")
	}
	for _, f := range r.Address.fields() {
		bad.text(f.name, *f.text, 0, maxAddress)
	}
	return bad
}

// deliverable reports whether a mail library takes the address: one alone, without a name or a comment (RFC 5322, addr-spec;
// RFC 6532 for letters beyond ASCII). After the charge it would be too late to learn that it does not.
func (e EmailAddress) deliverable() bool {
	parsed, err := mail.ParseAddress(string(e))
	if err != nil {
		return false
	}
	bare := mail.Address{Address: parsed.Address}
	return bare.String() == "<"+string(e)+">"
}

// keepsCardToItself wants the card's number in no other field: what stands there is recorded, sent and printed on labels.
func (r *Request) keepsCardToItself(bad *violations) {
	others := []field{{"user_id", &r.UserID}, {"idempotency-key", &r.Key}, {"email", (*string)(&r.Email)}}
	for _, f := range append(others, r.Address.fields()...) {
		if r.Card.NumberIn(*f.text) || r.Card.NumberIn(redact.Decoded(*f.text)) {
			bad.add(f.name, "holds the number of the card")
		}
	}
}

type violations []Violation

func (v *violations) add(field, problem string) { *v = append(*v, Violation{field, problem}) }

// text wants min (0 or 1) to max characters, none of them a control character.
func (v *violations) text(field, s string, min, max int) {
	switch n := utf8.RuneCountInString(s); {
	case n < min:
		v.add(field, "is missing")
	case n > max:
		v.add(field, fmt.Sprintf("has %d characters, at most %d are accepted", n, max))
	case strings.ContainsFunc(s, unicode.IsControl):
		v.add(field, "has a control character")
	}
}

// card wants a card that may be charged now.
func (v *violations) card(c creditcard.Card, now time.Time) {
	number, cvv, year, month := c.Reveal()
	if !creditcard.ValidNumber(strings.ReplaceAll(strings.ReplaceAll(number, " ", ""), "-", "")) {
		v.add("credit_card.credit_card_number", "is not a card number")
	}
	if cvv < 0 || cvv > 9999 {
		v.add("credit_card.credit_card_cvv", "is not between 0 and 9999")
	}
	switch {
	case month < 1 || month > 12:
		v.add("credit_card.credit_card_expiration_month", "is not between 1 and 12")
	case year < 1 || year > 9999:
		v.add("credit_card.credit_card_expiration_year", "is not a year")
	case time.Date(int(year), time.Month(month)+1, 1, 0, 0, 0, 0, time.UTC).Before(now.Add(-12 * time.Hour)):
		// A card is good until its month has ended everywhere on earth.
		v.add("credit_card.credit_card_expiration_year", "has passed")
	}
}
