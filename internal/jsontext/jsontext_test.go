package jsontext_test

import (
	"encoding/json"
	"strings"
	"testing"

	"regent/internal/jsontext"
)

// FuzzAppend holds that what is appended is what encoding/json writes, and reads.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{"", "plain", `quote " and \ backslash`, "<&>", "é", "\u2028", "tab\t", "\x00", "\x7f", "\xff", strings.Repeat("x", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want strings.Builder
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(jsontext.Append([]byte("before"), s)); got != "before"+strings.TrimSuffix(want.String(), "\n") {
			t.Errorf("got %s, want %s", got, want.String())
		}
	})
}
