package order

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"checkout/internal/creditcard"
)

func TestACardPrintsAsStars(t *testing.T) {
	t.Parallel()
	const number = "4432801561520454"
	req := Request{Card: creditcard.New(number, 672, 2039, 1), Email: "ada@example.com"}
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T"} {
		fmt.Fprintf(&printed, verb+verb+verb, req.Card, &req.Card, req)
	}
	fmt.Fprint(&printed, fmt.Errorf("cannot charge %v", req.Card))
	text, err := json.Marshal(map[string]any{"card": req.Card, "pointer": &req.Card})
	if err != nil {
		t.Fatal(err)
	}
	printed.Write(text)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a card", "card", req.Card, "email", req.Email, "request", req)
	printed.Write(log.Bytes())
	for _, secret := range []string{number, fmt.Sprintf("%x", number), "672", "2039"} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%s is in what was printed:\n%s", secret, &printed)
		}
	}
	if got := fmt.Sprintf("%v %s", req.Email, req.Email); strings.Contains(got, "ada") {
		t.Errorf("the e-mail address prints as %s", got)
	}
}

func TestACardIsGoodUntilItsMonthHasEndedEverywhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		now  string
		good bool
	}{
		{"2026-11-30T23:59:59Z", true},
		{"2026-12-01T11:59:59Z", true}, // still November in the west
		{"2026-12-01T12:00:01Z", false},
		{"2027-01-01T00:00:00Z", false},
	} {
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		req := request()
		req.Card = creditcard.New("4432-8015-6152-0454", 672, 2026, 11)
		if err := req.Validate(now); (err == nil) != test.good {
			t.Errorf("a card that expires in 11/2026 is valid at %s: %v, want %v", test.now, err == nil, test.good)
		}
	}
}

func TestOnlyAnAddressThatAMailLibraryTakesIsAccepted(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"ada@example.com":              true,
		"ada@localhost":                true,
		"o'hara+shop@mail.example.com": true,
		"jörg@müller.example":          true,
		"用户@例子.广告":                     true,
		`"ada lovelace"@example.com`:   true,
		"ada@xn--mller-kva.example":    true,
		"ada@@example.com":             false,
		"a@x.com,b@y.com":              false,
		"a@x.com;b@y.com":              false,
		"Ada <ada@x.com>":              false,
		"<ada@x.com>":                  false,
		"ada@x.com (Ada)":              false,
		"shop: ada@x.com;":             false,
		"ada lovelace@x.com":           false,
		"ada @x.com":                   false,
		"ada@x .com":                   false,
		"ada@":                         false,
		"@x.com":                       false,
		"ada":                          false,
		".ada@x.com":                   false,
		"ada..l@x.com":                 false,
		"ada@x..com":                   false,
		"ada@x.com\nBcc: all@x.com":    false,
	} {
		req := request()
		req.Email = EmailAddress(address)
		if err := req.Validate(time.Now()); (err == nil) != want {
			t.Errorf("%q is accepted: %v, want %v", address, err == nil, want)
		}
	}
}

func FuzzRequestValidate(f *testing.F) {
	f.Add("ada", "1 Main", "ada@example.com", "4432-8015-6152-0454", int32(672), int32(2039), int32(1))
	f.Add("", "\x00", "@", "0000 0000 0000", int32(-1), int32(0), int32(13))
	f.Fuzz(func(t *testing.T, user, street, email, number string, cvv, year, month int32) {
		req := Request{UserID: user, Currency: "USD", Address: Address{Street: street}, Email: EmailAddress(email), Card: creditcard.New(number, cvv, year, month)}
		err := req.Validate(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
		if err == nil {
			return
		}
		if digits := strings.NewReplacer(" ", "", "-", "").Replace(number); len(digits) >= 12 && strings.Contains(err.Error(), digits) {
			t.Errorf("the error quotes the card: %v", err)
		}
	})
}

func TestTheCardsNumberIsRefusedInEveryOtherField(t *testing.T) {
	const card = "4432-8015-6152-0454"
	for _, spelt := range []string{card, "4432801561520454", "no. 4432 8015 6152 0454, please"} {
		for field, put := range map[string]func(*Request){
			"user_id":                func(r *Request) { r.UserID = spelt },
			"idempotency-key":        func(r *Request) { r.Key = spelt },
			"email":                  func(r *Request) { r.Email = EmailAddress(`"card ` + spelt + `"@example.com`) },
			"address.street_address": func(r *Request) { r.Address.Street = spelt },
			"address.zip_code":       func(r *Request) { r.Address.ZipCode = spelt },
		} {
			req := request()
			put(&req)
			var failure *Error
			if err := req.Validate(time.Now()); !errors.As(err, &failure) || len(failure.Violations) != 1 || failure.Violations[0].Field != field {
				t.Errorf("%q as %s: %v, want that field alone refused", spelt, field, err)
			} else if strings.Contains(err.Error(), "0454") {
				t.Errorf("the refusal says the number: %v", err)
			}
		}
	}
}
