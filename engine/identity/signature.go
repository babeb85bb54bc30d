package identity

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"

	_ "crypto/sha256" // for PS256
	_ "crypto/sha512" // for PS384 and PS512

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"regent/tenants"
)

// VerifyJWS applies the rules that Verify has for a token's form, header, key and
// signature, and none for claims: it returns the payload of a compact JWS that one
// key of the JWK set has signed with one of the algorithms. It is for conformance
// tests and tools. Its errors are *engine.Unauthorized, and others for a bad set.
func VerifyJWS(set []byte, algorithms []string, compact string) ([]byte, error) {
	keys, err := parseKeySet(set)
	if err != nil {
		return nil, err
	}
	t, err := parseJWS(compact)
	if err != nil {
		return nil, err
	}
	if err := t.verifyBy(keys, algorithms); err != nil {
		return nil, err
	}
	return t.payload, nil
}

// checkAlgorithm refuses algorithms that are not in the provider's list, and those
// that no list may have.
func (t *token) checkAlgorithm(algorithms []string) error {
	if !slices.Contains(algorithms, t.alg) || !slices.Contains(tenants.Algorithms(), t.alg) {
		return refuse(CodeAlgorithmNotAllowed, "alg is not among the provider's algorithms")
	}
	return nil
}

// verifyBy checks the token's algorithm and signature with the key of a set that it
// names.
func (t *token) verifyBy(keys *keySet, algorithms []string) error {
	if err := t.checkAlgorithm(algorithms); err != nil {
		return err
	}
	key, err := keys.find(t.kid)
	if err != nil {
		return err
	}
	return t.verify(key)
}

// verify checks the token's signature with a key, and that what was signed is the
// payload that the claims were read from.
func (t *token) verify(key *verificationKey) error {
	if key.unusable != "" {
		return refuse(CodeKeyUnusable, "the key: "+key.unusable)
	}
	if !slices.Contains(key.algorithms, t.alg) {
		return refuse(CodeKeyUnusable, "the key does not fit the token's alg")
	}
	if !fits(t.alg, key.public, len(t.signature)) || !t.isSignedBy(key) {
		return refuse(CodeSignatureInvalid, "the signature does not verify")
	}
	return nil
}

func (t *token) isSignedBy(key *verificationKey) bool {
	if hash, pss := pssHash(t.alg); pss {
		return t.isPSS(key.public, hash)
	}
	verified, err := jws.Verify([]byte(t.compact),
		jws.WithKey(jwa.SignatureAlgorithm(t.alg), key.public), jws.WithCompact())
	return err == nil && bytes.Equal(verified, t.payload)
}

// fits checks the one length that a signature can have.
func fits(alg string, key crypto.PublicKey, length int) bool {
	switch alg {
	case "ES256":
		return length == 64
	case "ES384":
		return length == 96
	case "ES512":
		return length == 132
	case "EdDSA":
		return length == ed25519.SignatureSize
	default:
		public, ok := key.(*rsa.PublicKey)
		return ok && length == public.Size()
	}
}

// isPSS does without jwx, which takes salts of any length where RFC 7518 §3.5 wants
// that of the hash.
func (t *token) isPSS(key crypto.PublicKey, hash crypto.Hash) bool {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return false
	}
	h := hash.New()
	h.Write([]byte(t.signed))
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	return rsa.VerifyPSS(public, hash, h.Sum(nil), t.signature, options) == nil
}

func pssHash(alg string) (crypto.Hash, bool) {
	switch alg {
	case "PS256":
		return crypto.SHA256, true
	case "PS384":
		return crypto.SHA384, true
	case "PS512":
		return crypto.SHA512, true
	default:
		return 0, false
	}
}
