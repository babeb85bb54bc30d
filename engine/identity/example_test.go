package identity_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"regent/engine"
	"regent/engine/identity"
	"regent/tenants"
)

// A token is verified with the tenant's own provider, as of an instant.
func ExampleVerifier_Verify() {
	b64 := base64.RawURLEncoding.EncodeToString
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	set := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":%q}]}`, b64(key.Public().(ed25519.PublicKey)))
	signed := b64([]byte(`{"alg":"EdDSA","kid":"k1"}`)) + "." +
		b64([]byte(`{"iss":"https://idp.acme.example","aud":"https://api.acme.example","sub":"alice","scope":"orders:read","exp":1900000000}`))
	token := signed + "." + b64(ed25519.Sign(key, []byte(signed)))

	tenant := tenants.Tenant{ID: "acme", Identity: tenants.Identity{Providers: []tenants.Provider{{
		Issuer:     "https://idp.acme.example",
		Audiences:  []string{"https://api.acme.example"},
		Algorithms: []string{"EdDSA"},
		JWKS:       tenants.KeySource{Inline: json.RawMessage(set)},
	}}}}
	v := identity.New(identity.Config{})
	for _, at := range []int64{1_800_000_000, 1_900_000_030} {
		who, err := v.Verify(context.Background(), tenant, token, time.Unix(at, 0))
		var refused *engine.Unauthorized
		if errors.As(err, &refused) {
			fmt.Println(refused.Code)
			continue
		}
		fmt.Println(who.Kind, who.Subject, who.Scopes)
	}
	// Output:
	// jwt alice [orders:read]
	// token_expired
}

// What a token states is readable without proof: good for finding out whom to ask.
func ExampleVerifier_Peek() {
	v := identity.New(identity.Config{})
	claims, ok := v.Peek("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkcC5hY21lLmV4YW1wbGUifQ.AAAA")
	fmt.Println(claims["iss"], ok)
	_, ok = v.Peek("an-opaque-token")
	fmt.Println(ok)
	// Output:
	// https://idp.acme.example true
	// false
}
