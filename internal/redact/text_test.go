package redact

import (
	"strings"
	"testing"
)

func TestTextHidesCardsAndEmails(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "",
		"nothing to hide":                   "nothing to hide",
		"card 4432801561520454 refused":     "card **************** refused",
		"4432-8015-6152-0454":               "****-****-****-****",
		"4432 8015 6152 0454.":              "**** **** **** ****.",
		"4432\u00a08015\u20116152 0454":     "****\u00a0****\u2011**** ****",
		"Amex 3782 822463 10005":            "Amex **** ****** *****",
		"short Visa 4222222222222":          "short Visa *************",
		"3 x 4432801561520454":              "3 x ****************",
		"line 7 4432801561520454 12":        "line 7 **************** 12",
		"x4432801561520454y":                "x****************y",
		"4432801561520455 has no check sum": "4432801561520455 has no check sum",
		"４４３２ ８０１５ ６１５２ ０４５４ and ٣": "**** **** **** **** and 3",
		"room ４４３２":                                                  "room ４４３２",
		"someone@example.com":                                        "***",
		"to <someone+tag@mail.example.com>,":                         "to <***>,",
		"mailto:jane.doe@example.com?x":                              "mailto:***",
		"ünï@exämple.org bounced":                                    "*** bounced",
		"code = Unavailable desc = dial tcp 10.0.0.1:50051: refused": "code = Unavailable desc = dial tcp 10.0.0.1:50051: refused",
		"order 01890a5d-ac96-774b-bcce-b302099a8057":                 "order 01890a5d-ac96-774b-bcce-b302099a8057",
		"ada%40example.com refused":                                  "*** refused",
		"to %61da%2540example.com.":                                  "to ***",
		"ada＠example.com, ada﹫example.com":                           "***, ***",
		"ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ":                                            "***",
		"ada%EF%BC%A0example.com":                                    "***",
		"card %34432801561520454":                                    "card ***",
		"4432%2D8015%2D6152%2D0454":                                  "***",
		"100% of 40%, 5%40":                                          "100% of 40%, 5%40",
		"/cart%20of%zz?a=%41":                                        "/cart%20of%zz?a=%41",
		"9:00 @ the gate":                                            "9:00 @ the gate",
		"caf\xe9 refused":                                            "caf\uFFFD refused", // or it would cost the batch that it travels in
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("card ", " refused")
	f.Add("", "x@y")
	f.Fuzz(func(t *testing.T, before, after string) {
		const card, email = "4432801561520454", "someone@example.com"
		got := Text(before + " " + card + " " + after + " " + email)
		if strings.Contains(got, card) && !strings.ContainsAny(before+after, "0123456789") {
			t.Errorf("the card is still in %q", got)
		}
		if strings.Contains(got, email) {
			t.Errorf("the e-mail address is still in %q", got)
		}
	})
}

func TestALongTextIsCutAfterItsCardsWereMasked(t *testing.T) {
	t.Parallel()
	for n := range 24 {
		got := Text(strings.Repeat("é", (maxText-n)/2) + "4432801561520454" + strings.Repeat(" ", 4<<20))
		if len(got) > maxText+len("…") || !strings.HasSuffix(got, "…") || strings.ContainsAny(got, "0123456789\uFFFD") {
			t.Errorf("%d bytes are left, which end with %q", len(got), got[len(got)-40:])
		}
	}
}
