package money

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMinorUnitsFollowISO4217(t *testing.T) {
	t.Parallel()
	for code, want := range map[Currency]int{
		"USD": 2, "EUR": 2, "CAD": 2, "CHF": 2, "INR": 2, "MGA": 2, "MRU": 2,
		"JPY": 0, "KRW": 0, "ISK": 0, "XAF": 0, "UYI": 0, "VND": 0,
		"KWD": 3, "BHD": 3, "TND": 3, "IQD": 3,
		"CLF": 4, "UYW": 4,
		"VED": 2, "SLE": 2, "XCG": 2, "ZWG": 2, "XAD": 2, // new since amendment 170
	} {
		if got, ok := code.MinorUnits(); got != want || !ok {
			t.Errorf("%s has %d minor units (listed: %t), want %d", code, got, ok, want)
		}
	}
}

func TestMinorUnitsAreOfCurrenciesInUseOnly(t *testing.T) {
	t.Parallel()
	for reason, codes := range map[string][]Currency{
		"historic":            {"ANG", "CUC", "SLL", "ZWL", "DEM", "ITL", "MRO", "STD", "USS", "VEF", "BYR"},
		"without minor units": {"XAG", "XAU", "XPD", "XPT", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XTS", "XXX"},
		"no code of the list": {"", "US", "USDX", "usd", "Usd", " USD", "USD\x00", "BTC", "AAA", "ZZZ", "€"},
	} {
		for _, code := range codes {
			if digits, ok := code.MinorUnits(); ok || digits != 0 {
				t.Errorf("%q is %s and yet has %d minor units", code, reason, digits)
			}
		}
	}
}

// What the shop's currency service lists must be payable, or its customers would be refused at the till.
func TestEveryCurrencyOfTheShopIsKnown(t *testing.T) {
	t.Parallel()
	for _, code := range []Currency{
		"AUD", "BGN", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HRK", "HUF", "IDR", "ILS", "INR", "ISK",
		"JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "USD", "ZAR",
	} {
		if _, ok := code.MinorUnits(); !ok {
			t.Errorf("the shop offers %s and MinorUnits does not know it", code)
		}
	}
}

// payable is the whole table in the order of the alphabet, a code of other than two decimals with their number.
const payable = `
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD3 BIF0 BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
CAD CDF CHE CHF CHW CLF4 CLP0 CNY COP COU CRC CUP CVE CZK DJF0 DKK DOP DZD EGP ERN ETB EUR FJD FKP
GBP GEL GHS GIP GMD GNF0 GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD3 IRR ISK0 JMD JOD3 JPY0
KES KGS KHR KMF0 KPW KRW0 KWD3 KYD KZT LAK LBP LKR LRD LSL LYD3
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR3
PAB PEN PGK PHP PKR PLN PYG0 QAR RON RSD RUB RWF0 SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL
THB TJS TMT TND3 TOP TRY TTD TWD TZS UAH UGX0 USD USN UYI0 UYU UYW4 UZS VED VES VND0 VUV0 WST
XAD XAF0 XCD XCG XOF0 XPF0 YER ZAR ZMW ZWG
`

func TestTheTableIsComplete(t *testing.T) {
	t.Parallel()
	var got []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				code := string([]rune{a, b, c})
				switch digits, ok := Currency(code).MinorUnits(); {
				case ok && digits == 2:
					got = append(got, code)
				case ok:
					got = append(got, fmt.Sprint(code, digits))
				}
			}
		}
	}
	if diff := cmp.Diff(strings.Fields(payable), got); diff != "" {
		t.Errorf("the table of currencies differs (-want +got):\n%s", diff)
	}
}

func BenchmarkMinorUnits(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Currency("USD").MinorUnits(); !ok {
			b.Fatal("USD is unknown")
		}
	}
}
