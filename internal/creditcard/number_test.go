package creditcard

import "testing"

func TestACardNumberIsFoundInText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"4432801561520454":                             true,
		"charged 4432-8015-6152-0454, says the bank":   true,
		"4432 8015 6152 0454 12/29":                    true,
		"4432.8015.6152.0454":                          true,
		"card:378282246310005":                         true,
		"order 17, card 5555555555554444, transaction": true,
		"":                                     false,
		"4432801561520455":                     false, // another check digit
		"44328015615204541":                    false, // part of a longer number
		"4432 - 8015 - 6152 - 0454":            false, // three characters between: a list of numbers
		"2025-11-26 14:02:31":                  false,
		"1Z999AA10123456784":                   false,
		"00340434292135100186":                 false,
		"0442 8015 6152 0454":                  false,
		"55555555-5555-4444-9abc-0123456789ab": false, // a UUID
		"grace, +44 20 7946 0018, ticket 471":  false,
	} {
		if got := HasNumber(text); got != want {
			t.Errorf("%q holds a card number: %v, want %v", text, got, want)
		}
	}
}

func TestACardNumberHasTheRightLengthAndCheckDigit(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]bool{
		"4432801561520454":     true,
		"378282246310005":      true, // 15 digits
		"4432801561520455":     false,
		"4423801561520454":     false, // two digits exchanged
		"00000000000":          false, // 11 digits
		"00000000000000000000": false, // 20 digits
		"4432x8015615204540":   false,
		"4432 8015 6152 0454":  false,
		"":                     false,
	} {
		if got := ValidNumber(number); got != want {
			t.Errorf("ValidNumber(%q) = %v, want %v", number, got, want)
		}
	}
}
