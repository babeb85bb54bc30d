package identity

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"regent/tenants"
)

// A remembered proof ends with whatever it rests on.
func TestMemory(t *testing.T) {
	t.Parallel()
	token := minted{claims: members{"nbf": now.Unix() - 5}}.token()
	base := tenantOf(provider())
	changed := func(change func(p *tenants.Provider)) tenants.Tenant {
		p := provider()
		change(&p)
		return tenantOf(p)
	}
	renamed := base
	renamed.ID = "other"
	tests := []struct {
		name       string
		tenant     tenants.Tenant
		at         time.Duration
		want       string
		remembered bool
	}{
		{"same again", base, time.Second, "", true},
		{"same configuration, read anew", tenantOf(provider()), time.Second, "", true},
		{"beside another provider", tenantOf(tenants.Provider{Issuer: "x"}, provider()), time.Second, "", true},
		{"until exp and the leeway", base, 330*time.Second - 1, "", true},
		{"no longer", base, 330 * time.Second, CodeTokenExpired, false},
		{"before nbf", base, -36 * time.Second, CodeTokenNotYetValid, false},
		{"another tenant", renamed, time.Second, "", false},
		{"no provider", tenantOf(), time.Second, CodeIssuerUnknown, false},
		{"another issuer", changed(func(p *tenants.Provider) { p.Issuer = "x" }), time.Second, CodeIssuerUnknown, false},
		{"another audience", changed(func(p *tenants.Provider) { p.Audiences = []string{"x"} }), time.Second, CodeAudienceMismatch, false},
		{"another algorithm", changed(func(p *tenants.Provider) { p.Algorithms = []string{"RS256"} }), time.Second, CodeAlgorithmNotAllowed, false},
		{"another binding", changed(func(p *tenants.Provider) { p.Claims = map[string]any{"org_id": "x"} }), time.Second, CodeClaimMismatch, false},
		{"another leeway", changed(func(p *tenants.Provider) { p.Leeway = time.Second }), time.Second, "", false},
		{"other keys", changed(func(p *tenants.Provider) { p.JWKS.Inline = json.RawMessage(jwks(publicJWK("rsa"))) }), time.Second, CodeKeyUnknown, false},
		{"broken keys", changed(func(p *tenants.Provider) { p.JWKS.Inline = json.RawMessage(`{}`) }), time.Second, "trouble", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := offline(t, Config{})
			if _, err := verify(t, v, base, token); err != nil {
				t.Fatal(describe(err))
			}
			if _, ok := v.recall(t.Context(), tt.tenant, token, now.Add(tt.at)); ok != tt.remembered {
				t.Errorf("remembered %v, want %v", ok, tt.remembered)
			}
			if _, err := verifyAt(t, v, tt.tenant, token, now.Add(tt.at)); code(err) != tt.want {
				t.Errorf("got %q (%v), want %q", code(err), err, tt.want)
			}
		})
	}
}

// What is refused is not remembered, nor is a token with another signature.
func TestMemoryHoldsTheWholeToken(t *testing.T) {
	t.Parallel()
	v := offline(t, Config{})
	token := minted{}.token()
	forged := token[:len(token)-1] + "A"
	if token[len(token)-1] == 'A' {
		forged = token[:len(token)-1] + "Q"
	}
	for range 2 {
		if _, err := verify(t, v, tenantOf(provider()), token); err != nil {
			t.Error(describe(err))
		}
		if _, err := verify(t, v, tenantOf(provider()), forged); code(err) != CodeSignatureInvalid {
			t.Errorf("got %v", err)
		}
	}
	if n := v.memory.proofs.Len(); n != 1 {
		t.Errorf("%d proofs", n)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for remember, want := range map[int]int{3: 3, 0: 5, -1: 0} {
		v := offline(t, Config{Remember: remember})
		for i := range 5 {
			token := minted{claims: members{"jti": i}}.token()
			for range 2 {
				if _, err := verify(t, v, tenantOf(provider()), token); err != nil {
					t.Fatal(describe(err))
				}
			}
		}
		got := 0
		if v.memory.proofs != nil {
			got = v.memory.proofs.Len()
		}
		if got != want {
			t.Errorf("Remember %d: %d proofs, want %d", remember, got, want)
		}
	}
}

// Parts of a digest do not run into each other, and processes differ. (TEN-09)
func TestDigest(t *testing.T) {
	t.Parallel()
	key := newDigestKey()
	seen := map[digest]string{}
	for _, parts := range [][]string{
		{"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"a", "b", "c"}, {"a\x00b", "c"}, {"a", "b\x00c"}, {},
	} {
		d := key.of(parts...)
		if other, there := seen[d]; there {
			t.Errorf("%q and %s have one digest", parts, other)
		}
		seen[d] = fmt.Sprintf("%q", parts)
		if d != key.of(parts...) {
			t.Errorf("%q has two digests", parts)
		}
	}
	other := newDigestKey()
	if key.of("a") == other.of("a") {
		t.Error("two keys make the same digest")
	}
}
