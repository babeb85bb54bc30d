package identity

import (
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"regent/tenants"
)

// BenchmarkVerify is everything that happens to a token, beside jws.Verify alone.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range tenants.Algorithms() {
		token := minted{alg: alg}.token()
		b.Run(alg, func(b *testing.B) {
			tenant, v := tenantOf(provider()), New(Config{Remember: -1})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), tenant, token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/bare", func(b *testing.B) {
			public := signingKeys()[keyFor(alg)].Public()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jws.Verify([]byte(token), jws.WithKey(jwa.SignatureAlgorithm(alg), public), jws.WithCompact()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyRemembered is a token that was verified before: ES256, to compare
// with BenchmarkVerify/ES256.
func BenchmarkVerifyRemembered(b *testing.B) {
	token, tenant, v := minted{}.token(), tenantOf(provider()), New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), tenant, token, now); err != nil {
			b.Fatal(err)
		}
	}
	if v.memory.proofs.Len() != 1 {
		b.Fatal("the token was not remembered")
	}
}

// BenchmarkPeek is reading a token without proving anything.
func BenchmarkPeek(b *testing.B) {
	token, v := minted{}.token(), New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := v.Peek(token); !ok {
			b.Fatal("not readable")
		}
	}
}

// BenchmarkRefuse is what bad tokens cost, by how far they get.
func BenchmarkRefuse(b *testing.B) {
	for name, token := range map[string]string{
		"form":      "eyJhbGciOiJub25lIn0.e30.",
		"expired":   minted{claims: members{"exp": 1}}.token(),
		"signature": minted{key: "p256-other", header: members{"kid": "p256"}}.token(),
	} {
		b.Run(name, func(b *testing.B) {
			tenant, v := tenantOf(provider()), New(Config{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), tenant, token, now); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
