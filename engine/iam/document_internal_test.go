package iam

import (
	"strings"
	"testing"
)

// A document that is written by hand is the one that encoding/json writes.
func TestWritten(t *testing.T) {
	t.Parallel()
	odd := Strings{"plain", `quote " and \ backslash`, "<&>", "é", "\u2028", "tab\t", "", "\xff", strings.Repeat("x", 600)}
	for _, d := range []Document{
		{Statement: []Statement{}},
		{Version: Version, Statement: []Statement{}},
		{Version: Version, Statement: []Statement{{Effect: Deny, Action: Strings{Invoke}, Resource: Strings{"*"}}}},
		{Version: Version, Statement: []Statement{
			{Effect: Allow, Action: Strings{Invoke}, Resource: odd},
			{Effect: Deny, Action: Strings{Invoke, "b"}, NotResource: odd[:3]},
			{Effect: Deny, Action: Strings{Invoke}, Resource: odd[2:]},
		}},
	} {
		type plain Document
		want, err := marshal(plain(d))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := d.written(nil); !ok || string(got) != string(want) {
			t.Errorf("%t\n got %s\nwant %s", ok, got, want)
		}
	}
	for _, d := range []Document{
		{ID: "id"},
		{Statement: []Statement{{Sid: "s"}}},
		{Statement: []Statement{{NotAction: Strings{"a"}}}},
		{Statement: []Statement{{Condition: map[string]map[string]Strings{"a": {"b": {"c"}}}}}},
	} {
		if _, ok := d.written(nil); ok {
			t.Errorf("%+v is written without what it has", d)
		}
	}
}
