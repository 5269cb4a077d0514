package demo

import (
	"fmt"
	"time"

	"checkout/gen/oteldemo"
	"checkout/internal/creditcard"
)

// check returns the words that a card is refused with, or none.
func check(number string, card *oteldemo.CreditCardInfo, now time.Time) string {
	if !creditcard.ValidNumber(number) {
		return "Credit card info is invalid."
	}
	if brand := brandOf(number); brand != "visa" && brand != "mastercard" {
		return fmt.Sprintf("Sorry, we cannot process %s credit cards. Only VISA or MasterCard is accepted.", brand)
	}
	year, month := int(card.GetCreditCardExpirationYear()), int(card.GetCreditCardExpirationMonth())
	if 12*now.Year()+int(now.Month()) > 12*year+month {
		return fmt.Sprintf("The credit card (ending %s) expired on %d/%d.", number[len(number)-4:], month, year)
	}
	return ""
}

// brandOf returns who issued a card, by how its number begins. The number has at least four digits.
func brandOf(number string) string {
	prefix := number[:4]
	in := func(low, high string) bool { return low <= prefix && prefix <= high }
	switch {
	case number[0] == '4':
		return "visa"
	case in("2221", "2720"), in("5100", "5599"):
		return "mastercard"
	case in("3400", "3499"), in("3700", "3799"):
		return "amex"
	case in("3528", "3589"):
		return "jcb"
	case in("6011", "6011"), in("6440", "6599"):
		return "discover"
	case in("3000", "3059"), in("3600", "3699"), in("3800", "3999"):
		return "diners"
	}
	return "unknown"
}
