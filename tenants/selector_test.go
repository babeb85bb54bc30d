package tenants_test

import (
	"strings"
	"testing"

	"regent/tenants"
)

func TestValidSelector(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind  tenants.SelectorKind
		value string
		want  bool
	}{
		{tenants.ByHost, "api.acme.example", true},
		{tenants.ByHost, "API.acme.example", false},
		{tenants.ByHost, "api.acme.example:443", false},
		{tenants.ByHost, "api acme", false},
		{tenants.ByHost, "", false},
		{tenants.ByIssuer, "https://idp.acme.example/", true},
		{tenants.ByIssuer, "", false},
		{tenants.ByValue, "a#b", true},
		{tenants.ByValue, "ａ", true},
		{tenants.ByValue, strings.Repeat("a", 512), true},
		{tenants.ByValue, strings.Repeat("a", 513), false},
		{tenants.ByValue, "\xff", false},
		{"", "acme", false},
		{"tenant", "acme", false},
	}
	for _, tt := range tests {
		if got := tenants.ValidSelector(tt.kind, tt.value); got != tt.want {
			t.Errorf("ValidSelector(%q, %q) = %t", tt.kind, tt.value, got)
		}
	}
}

// What a tenant may hold can be looked up.
func TestSelectorsOfATenantAreValid(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"acme", "a#b", "ａ", "a/b", " ", "\x00", strings.Repeat("a", 512), strings.Repeat("a", 513)} {
		for _, host := range []bool{true, false} {
			record := tenants.Tenant{ID: "acme", Status: tenants.Active, Identity: tenants.Identity{Anonymous: true}}
			kind := tenants.ByValue
			if host {
				kind, record.Selectors.Hosts = tenants.ByHost, []string{value}
			} else {
				record.Selectors.Values = []string{value}
			}
			if err := record.Validate(); (err == nil) != tenants.ValidSelector(kind, value) {
				t.Errorf("%s %q: Validate says %v, ValidSelector %t", kind, value, err, err != nil)
			}
		}
	}
}

func TestValidDigest(t *testing.T) {
	t.Parallel()
	b, err := tenants.NewBundle(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := string(b.Digest())
	for digest, want := range map[string]bool{
		good: true, "": false, good[:70]: false, good + "0": false, strings.ToUpper(good): false,
		"sha256:" + strings.Repeat("g", 64): false, "md5:" + good[7:]: false, good[7:]: false,
	} {
		if got := tenants.ValidDigest(tenants.Digest(digest)); got != want {
			t.Errorf("ValidDigest(%q) = %t", digest, got)
		}
	}
}

func TestValidAPI(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{"a1b2c3": true, "": false, "a/b": false, "a#b": false, "*": false, "\xff": false} {
		if got := tenants.ValidAPI(id); got != want {
			t.Errorf("ValidAPI(%q) = %t", id, got)
		}
	}
}
