package devissuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"regent/tenants"
)

// Issuer signs development tokens with one key.
type Issuer struct {
	key *ecdsa.PrivateKey
	// public is the JWK of the public half.
	public jwk
}

// jwk is an elliptic-curve key as RFC 7517 and RFC 7518 §6.2 write it. D is the
// private half and empty in every key that leaves this package.
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d,omitempty"`
	Kid string `json:"kid,omitempty"`
	Alg string `json:"alg,omitempty"`
	Use string `json:"use,omitempty"`
}

// algorithm is the only one that an Issuer signs with.
const algorithm = "ES256"

// New returns an issuer with a fresh key, which is gone when the process ends.
func New() (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make development key: %w", err)
	}
	return fromKey(key)
}

// Parse returns the issuer whose private key is the given JWK: an EC key on P-256
// with d. Errors do not repeat any of its content.
func Parse(text []byte) (*Issuer, error) {
	var k jwk
	if json.Unmarshal(text, &k) != nil {
		return nil, errors.New("development key: not a JSON object of strings, as a JWK is")
	}
	if k.Kty != "EC" || k.Crv != "P-256" || k.D == "" {
		return nil, errors.New("development key: not a private EC key on P-256 (kty, crv, d)")
	}
	d, err := base64.RawURLEncoding.Strict().DecodeString(k.D)
	if err != nil {
		return nil, errors.New("development key: d is not base64url")
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, errors.New("development key: d is not a private key on P-256")
	}
	is, err := fromKey(key)
	if err != nil {
		return nil, err
	}
	if is.public.X != k.X || is.public.Y != k.Y {
		return nil, errors.New("development key: x and y are not the public half of d")
	}
	return is, nil
}

func fromKey(key *ecdsa.PrivateKey) (*Issuer, error) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode development key: %w", err)
	}
	// An uncompressed point is the byte 4, then x and y at full width.
	half := (len(point) - 1) / 2
	k := jwk{Kty: "EC", Crv: "P-256", X: encode(point[1 : 1+half]), Y: encode(point[1+half:])}
	k.Kid, k.Alg, k.Use = k.thumbprint(), algorithm, "sig"
	return &Issuer{key: key, public: k}, nil
}

// thumbprint is RFC 7638: the digest of the required members in lexical order. It
// names the key by its content, so a key id never points at two keys.
func (k jwk) thumbprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q,"y":%q}`, k.Crv, k.Kty, k.X, k.Y))
	return encode(sum[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// KeyID is the kid of the tokens' headers and of the key set's only key.
func (is *Issuer) KeyID() string { return is.public.Kid }

// String names the issuer by its key id, so that printing one shows no key.
func (is *Issuer) String() string { return "devissuer(" + is.public.Kid + ")" }

// GoString is String.
func (is *Issuer) GoString() string { return is.String() }

// JWKS returns the key set with the public key, as JSON.
func (is *Issuer) JWKS() json.RawMessage {
	return mustJSON(map[string][]jwk{"keys": {is.public}})
}

// Provider returns the provider record by which a tenant accepts this issuer's
// tokens for the given iss and audiences, with the key set inline: nothing is
// fetched. Tenants that share an issuer URL must differ in audience, or carry
// Claims that bind it to them.
func (is *Issuer) Provider(issuer string, audiences ...string) tenants.Provider {
	return tenants.Provider{
		Issuer:     issuer,
		Audiences:  audiences,
		Algorithms: []string{algorithm},
		JWKS:       tenants.KeySource{Inline: is.JWKS()},
	}
}

// private returns the JWK with the private half, as JSON: the content of a key file.
func (is *Issuer) private() ([]byte, error) {
	d, err := is.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode development key: %w", err)
	}
	k := is.public
	k.D = encode(d)
	return append(mustJSON(k), '\n'), nil
}

// mustJSON encodes values of this package's own types, which always have a JSON form.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
