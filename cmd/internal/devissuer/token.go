package devissuer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Claims is what a token says.
type Claims struct {
	// Issuer is iss. Required.
	Issuer string
	// Subject is sub. Required.
	Subject string
	// Audience is aud, always written as a list. Required.
	Audience []string
	// IssuedAt and Expires are iat and exp, in whole seconds. Both are required:
	// Mint does not look at a clock, so it can make tokens that expired long ago.
	IssuedAt, Expires time.Time
	// Extra are further claims, any JSON values, such as scope, roles or tenant_id.
	// They cannot replace the claims above or jti.
	Extra map[string]any
}

// MaxToken is the longest token that Mint makes, in bytes: what Regent accepts.
// API Gateway takes 10,240 bytes for all headers together.
const MaxToken = 8192

// Mint signs an access token: a compact JWS with typ at+jwt and ES256 (RFC 9068),
// with a fresh jti. Claims that are incomplete or contradict each other are an
// error, as is a token longer than MaxToken.
func (is *Issuer) Mint(c Claims) (string, error) {
	payload, err := c.payload()
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	header := mustJSON(map[string]string{"alg": algorithm, "typ": "at+jwt", "kid": is.public.Kid})
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, is.key, digest[:])
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	// RFC 7518 §3.4: r and s at full width, one behind the other.
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	token := signed + "." + encode(signature[:])
	if len(token) > MaxToken {
		return "", fmt.Errorf("mint token: %d bytes, more than %d: leave out some claims", len(token), MaxToken)
	}
	return token, nil
}

func (c Claims) payload() ([]byte, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("issuer is empty")
	case c.Subject == "":
		return nil, errors.New("subject is empty")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		return nil, errors.New("audience is empty or has an empty entry")
	case c.IssuedAt.Unix() <= 0 || c.Expires.Unix() <= 0:
		return nil, errors.New("issued-at and expiry are both required")
	case !c.Expires.After(c.IssuedAt):
		return nil, errors.New("expiry is not after issued-at")
	}
	claims := map[string]any{
		"iss": c.Issuer, "sub": c.Subject, "aud": c.Audience,
		"iat": c.IssuedAt.Unix(), "exp": c.Expires.Unix(), "jti": rand.Text(),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Extra)) {
		if _, taken := claims[name]; taken {
			return nil, fmt.Errorf("claim %q is set by its own field", name)
		}
		claims[name] = c.Extra[name]
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("encode claims: %w", err)
	}
	return payload, nil
}
