package iam

import (
	"strings"
	"testing"
)

// The counted size is the one that is written.
func TestDocumentSize(t *testing.T) {
	t.Parallel()
	odd := Strings{"plain", `quote " and \ backslash`, "<&>", "é", "\u2028", "tab\t", "", "\xff", strings.Repeat("x", 600)}
	for _, d := range []Document{
		{},
		{Version: Version},
		{Version: Version, Statement: []Statement{{Effect: Deny, Action: Strings{Invoke}, Resource: Strings{"*"}}}},
		{Version: Version, Statement: []Statement{
			{Effect: Allow, Action: Strings{Invoke}, Resource: odd},
			{Effect: Deny, Action: Strings{Invoke, "b"}, NotResource: odd[:3]},
			{Effect: Deny, Action: Strings{Invoke}, Resource: odd[2:]},
		}},
	} {
		b, err := marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.size(); got != len(b) {
			t.Errorf("size %d, written %d: %s", got, len(b), b)
		}
	}
}
