package identity

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

func TestVerifyAlgorithms(t *testing.T) { // JWT-01
	t.Parallel()
	for _, alg := range tenants.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			token := minted{alg: alg}.token()
			got, err := verify(t, offline(t, Config{}), tenantOf(provider()), token)
			if err != nil {
				t.Fatal(describe(err))
			}
			claims, ok := offline(t, Config{}).Peek(token)
			if !ok {
				t.Fatal("Peek says no")
			}
			want := engine.Identity{
				Kind: engine.JWT, Subject: "alice", Issuer: issuer,
				Scopes: []string{"orders:read", "orders:write"}, Claims: claims, Expires: now.Add(300 * time.Second),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

// Claims keep the spelling of their numbers.
func TestClaimsAreExact(t *testing.T) { // JWT-29
	t.Parallel()
	raw := members{"big": json.RawMessage("12345678901234567890.10"), "list": json.RawMessage(`[1.0,"x",null,true,{}]`)}
	identity, err := verify(t, offline(t, Config{}), tenantOf(provider()), minted{claims: raw}.token())
	if err != nil {
		t.Fatal(describe(err))
	}
	want := map[string]any{
		"big":  json.Number("12345678901234567890.10"),
		"list": []any{json.Number("1.0"), "x", nil, true, map[string]any{}},
	}
	got := map[string]any{"big": identity.Claims["big"], "list": identity.Claims["list"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	v := offline(t, Config{})
	parts := strings.Split(minted{}.token(), ".")
	for name, tt := range map[string]struct {
		credential string
		ok         bool
	}{
		"a token":          {minted{}.token(), true},
		"forged":           {parts[0] + "." + parts[1] + ".AAAA", true},
		"expired":          {minted{claims: members{"exp": 1}}.token(), true},
		"opaque":           {opaque, false},
		"empty":            {"", false},
		"two parts":        {parts[0] + "." + parts[1], false},
		"padded":           {parts[0] + "." + parts[1] + "=." + parts[2], false},
		"duplicate":        {minted{payload: `{"iss":"a","iss":"b"}`}.token(), false},
		"duplicate header": {minted{headerText: `{"alg":"a","alg":"b"}`}.token(), false},
		"not an object":    {minted{payload: `[]`}.token(), false},
		"too long":         {minted{claims: members{"x": strings.Repeat("x", maxToken)}}.token(), false},
	} {
		claims, ok := v.Peek(tt.credential)
		if ok != tt.ok || (claims != nil) != tt.ok {
			t.Errorf("%s: %v, %v", name, claims, ok)
		}
	}
}

// The instant decides; without one nothing is proven.
func TestNoInstant(t *testing.T) {
	t.Parallel()
	if _, err := verifyAt(t, offline(t, Config{}), tenantOf(provider()), minted{}.token(), time.Time{}); code(err) != "trouble" {
		t.Errorf("got %v", err)
	}
}

// Of several providers with one issuer, those judge whose audience the token names,
// in order.
func TestSeveralProvidersOfOneIssuer(t *testing.T) {
	t.Parallel()
	with := func(audience string, keys ...string) tenants.Provider {
		p := provider()
		p.Audiences = []string{audience}
		var set []members
		for _, name := range keys {
			set = append(set, publicJWK(name).with(members{"kid": "p256"}))
		}
		p.JWKS.Inline = json.RawMessage(jwks(set...))
		return p
	}
	broken := with(audience)
	broken.JWKS.Inline = json.RawMessage(`{}`)
	for name, tt := range map[string]struct {
		providers []tenants.Provider
		want      string
	}{
		"the second has the audience":     {[]tenants.Provider{with("x", "p256"), with(audience, "p256")}, ""},
		"the first has other keys":        {[]tenants.Provider{with(audience, "p256-other"), with(audience, "p256")}, ""},
		"the keys are another audience's": {[]tenants.Provider{with("x", "p256"), with(audience, "p256-other")}, CodeSignatureInvalid},
		"the first refusal is told":       {[]tenants.Provider{with(audience, "rsa"), with(audience, "p256-other")}, CodeKeyUnusable},
		"trouble outweighs refusals":      {[]tenants.Provider{with(audience, "p256-other"), broken}, "trouble"},
		"a yes outweighs trouble":         {[]tenants.Provider{broken, with(audience, "p256")}, ""},
		"no audience fits":                {[]tenants.Provider{with("x", "p256"), with("y", "p256")}, CodeAudienceMismatch},
	} {
		for range 3 {
			if _, err := verify(t, offline(t, Config{}), tenantOf(tt.providers...), minted{}.token()); code(err) != tt.want {
				t.Errorf("%s: got %q (%v), want %q", name, code(err), err, tt.want)
			}
		}
	}
}

// Tokens of one tenant at another, on one Verifier.
func TestTenants(t *testing.T) { // TEN-01, TEN-02, TEN-03
	t.Parallel()
	v := offline(t, Config{})
	other := func(change func(p *tenants.Provider)) tenants.Tenant {
		p := provider()
		change(&p)
		tenant := tenantOf(p)
		tenant.ID = "other"
		return tenant
	}
	token := minted{}.token()
	bound := provider()
	bound.Claims = map[string]any{"org_id": "acme"}
	for range 2 {
		if _, err := verify(t, v, tenantOf(bound), token); err != nil {
			t.Fatal(describe(err))
		}
		for name, tt := range map[string]struct {
			tenant tenants.Tenant
			want   string
		}{
			"TEN-01 another issuer":   {other(func(p *tenants.Provider) { p.Issuer = "https://idp.other.example" }), CodeIssuerUnknown},
			"TEN-01 other keys":       {other(func(p *tenants.Provider) { p.JWKS.Inline = json.RawMessage(jwks(publicJWK("rsa"))) }), CodeKeyUnknown},
			"TEN-02 another audience": {other(func(p *tenants.Provider) { p.Audiences = []string{"https://api.other.example"} }), CodeAudienceMismatch},
			"TEN-03 another binding":  {other(func(p *tenants.Provider) { p.Claims = map[string]any{"org_id": "other"} }), CodeClaimMismatch},
		} {
			if _, err := verify(t, v, tt.tenant, token); code(err) != tt.want {
				t.Errorf("%s: got %q (%v), want %q", name, code(err), err, tt.want)
			}
		}
	}
}

// A caller that has given up gets trouble, not a refusal.
func TestEndedRequest(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.hang(t, "/keys")
	s.hang(t, "/introspect")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for token, p := range map[string]tenants.Provider{minted{}.token(): byURL(s.URL + "/keys"), opaque: endpoint(s)} {
		identity, err := asking().Verify(ctx, tenantOf(p), token, now)
		checkResult(t, token, identity, err)
		if code(err) != "trouble" {
			t.Errorf("got %v", err)
		}
	}
}
