package redact

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestPasswordsAreHiddenInURLsAndInWhatIsMeantToBeOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"cart:8080":                        "cart:8080",
		"https://mail:443/api":             "https://mail:443/api",
		"https://user:secret@mail:443/api": "https://…@mail:443/api",
		"https://secret@mail":              "https://…@mail",
		"https://user:sec@ret@mail":        "https://…@mail",
		"https://user:sec/ret?#@mail":      "https://…@mail",
		"https://user:sec ret@ma il:port":  "https://…@ma il:…",
		"user:secret@mail:443":             "…@mail:443",
		"one:1,user:secret@two:2":          "…@two:2",
		"https://mail/?key=secret":         "https://mail/?…",
		"https://u:p@mail?key=secret":      "https://…@mail?…",
		"/data/orders@home/orders.db":      "/data/orders@home/orders.db",
	} {
		if got := URL(text); got != want {
			t.Errorf("URL(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTheURLsThatAnErrorQuotesAreRedacted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ quoted, want string }{
		{"https://user:secret@mail", `A="https://…@mail": open it: file does not exist` + "\n" + `B="https://…@mail"`},
		{`user:"sec\ret"@mail`, `A="…@mail": open it: file does not exist` + "\n" + `B="…@mail"`},
		{"cart:80", `A="cart:80": open it: file does not exist` + "\n" + `B="cart:80"`},
	} {
		err := Error(errors.Join(fmt.Errorf("A=%q: open it: %w", test.quoted, fs.ErrNotExist), fmt.Errorf("B=%q", test.quoted)))
		if err.Error() != test.want || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the error is %q, want %q, and its cause", err, test.want)
		}
	}
	if Error(nil) != nil || Error(errors.New(`no "end`)).Error() != `no "end` {
		t.Error("an error without a URL is changed")
	}
}
