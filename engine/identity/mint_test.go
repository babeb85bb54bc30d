package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"regent/engine"
	"regent/tenants"
)

// This file makes tokens and key sets with the standard library alone, so that
// malformed ones can be made, and so that jwx is not judged by itself.

// now is the instant of every test that does not say otherwise.
var now = time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)

const (
	issuer   = "https://idp.acme.example"
	audience = "https://api.acme.example"
)

// signingKeys are made once: RSA keys take long.
var signingKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	keys["rsa"] = must(rsa.GenerateKey(rand.Reader, 2048))
	keys["rsa-other"] = must(rsa.GenerateKey(rand.Reader, 2048))
	for name, curve := range map[string]elliptic.Curve{
		"p256": elliptic.P256(), "p256-other": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521(),
	} {
		keys[name] = must(ecdsa.GenerateKey(curve, rand.Reader))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	keys["ed25519"] = must(key, err)
	return keys
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// keyFor is the name of a signing key that fits an algorithm.
func keyFor(alg string) string {
	switch alg {
	case "ES256":
		return "p256"
	case "ES384":
		return "p384"
	case "ES512":
		return "p521"
	case "EdDSA":
		return "ed25519"
	default:
		return "rsa"
	}
}

// sign makes a raw JWS signature.
func sign(alg string, key crypto.Signer, input string) []byte {
	if alg == "EdDSA" {
		return must(key.Sign(rand.Reader, []byte(input), crypto.Hash(0)))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	switch alg[:2] {
	case "PS":
		return must(rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
	case "ES":
		private := key.(*ecdsa.PrivateKey)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		must(0, err)
		return rawECDSA(r, s, (private.Params().BitSize+7)/8)
	default:
		return must(rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), hash, digest))
	}
}

func rawECDSA(r, s *big.Int, size int) []byte {
	raw := make([]byte, 2*size)
	r.FillBytes(raw[:size])
	s.FillBytes(raw[size:])
	return raw
}

func hs256(secret []byte, input string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return mac.Sum(nil)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// members is a JSON object under construction. A member set to absent is left out.
type members map[string]any

type absentType struct{}

var absent absentType

// with returns a copy with changes.
func (m members) with(changes members) members {
	c := maps.Clone(m)
	for name, v := range changes {
		if v == absent {
			delete(c, name)
		} else {
			c[name] = v
		}
	}
	return c
}

func (m members) json() string { return string(must(json.Marshal(m))) }

// claims are those of the base token.
func claims() members {
	return members{
		"iss": issuer, "aud": audience, "sub": "alice", "scope": "orders:read orders:write",
		"iat": now.Unix() - 10, "exp": now.Unix() + 300, "org_id": "acme",
	}
}

// minted describes a token; what is empty is as in the base token (ES256).
type minted struct {
	alg string
	// signAlg and key are what really signs; by default what alg says.
	signAlg, key string
	header       members // changes
	headerText   string  // instead of the header
	claims       members // changes
	payload      string  // instead of the claims
}

func (m minted) token() string {
	if m.alg == "" {
		m.alg = "ES256"
	}
	if m.signAlg == "" {
		m.signAlg = m.alg
	}
	if m.key == "" {
		m.key = keyFor(m.signAlg)
	}
	if m.headerText == "" {
		m.headerText = members{"alg": m.alg, "typ": "JWT", "kid": m.key}.with(m.header).json()
	}
	if m.payload == "" {
		m.payload = claims().with(m.claims).json()
	}
	input := b64([]byte(m.headerText)) + "." + b64([]byte(m.payload))
	return input + "." + b64(sign(m.signAlg, signingKeys()[m.key], input))
}

// publicJWK is the key as a JWK, with the key's name as its kid.
func publicJWK(name string) members {
	return jwkOf(signingKeys()[name].Public()).with(members{"kid": name})
}

func jwkOf(public crypto.PublicKey) members {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return members{"kty": "RSA", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(key.Bytes())[1:]
		return members{"kty": "EC", "crv": key.Params().Name, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}
	case ed25519.PublicKey:
		return members{"kty": "OKP", "crv": "Ed25519", "x": b64(key)}
	default:
		panic("no JWK for this key")
	}
}

func jwks(keys ...members) string {
	if keys == nil {
		keys = []members{}
	}
	return members{"keys": keys}.json()
}

// allKeys is a key set with every signing key but the "other" ones.
func allKeys() string {
	return jwks(publicJWK("rsa"), publicJWK("p256"), publicJWK("p384"), publicJWK("p521"), publicJWK("ed25519"))
}

// provider is the base provider, with all keys inline.
func provider() tenants.Provider {
	return tenants.Provider{
		Issuer:     issuer,
		Audiences:  []string{audience},
		Algorithms: tenants.Algorithms(),
		JWKS:       tenants.KeySource{Inline: json.RawMessage(allKeys())},
	}
}

func tenantOf(providers ...tenants.Provider) tenants.Tenant {
	return tenants.Tenant{ID: "acme", Status: tenants.Active, Identity: tenants.Identity{Providers: providers}}
}

// verify proves a token as of now and holds every result to what holds for all:
// nothing of the token is in an error, and a refusal is one of the two kinds.
func verify(t *testing.T, v *Verifier, tenant tenants.Tenant, token string) (engine.Identity, error) {
	t.Helper()
	return verifyAt(t, v, tenant, token, now)
}

func verifyAt(t *testing.T, v *Verifier, tenant tenants.Tenant, token string, at time.Time) (engine.Identity, error) {
	t.Helper()
	identity, err := v.Verify(t.Context(), tenant, token, at)
	checkResult(t, token, identity, err)
	return identity, err
}

func checkResult(t *testing.T, token string, identity engine.Identity, err error) {
	t.Helper()
	if err == nil {
		if identity.Kind != engine.JWT && identity.Kind != engine.Opaque {
			t.Errorf("accepted with identity of kind %q", identity.Kind)
		}
		return
	}
	if identity.Kind != "" || identity.Subject != "" || identity.Claims != nil {
		t.Errorf("refused with an identity: %+v", identity)
	}
	text := describe(err)
	for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return r == '.' || r == '=' || r == '&' }) {
		if len(part) >= 8 && strings.Contains(text, part) {
			t.Errorf("the error has a part of the token in it: %s", text)
		}
	}
}

// describe spells out an error, the detail of a refusal included.
func describe(err error) string {
	switch err := err.(type) {
	case *engine.Unauthorized:
		return err.Code + ": " + err.Detail
	case *engine.Trouble:
		return "trouble: " + err.Error()
	default:
		return "neither Unauthorized nor Trouble: " + err.Error()
	}
}

// code is the refusal's code, "trouble" for a Trouble, "" for no error.
func code(err error) string {
	if err == nil {
		return ""
	}
	before, _, _ := strings.Cut(describe(err), ":")
	return before
}
