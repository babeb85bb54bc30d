package identity

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math"
	"math/big"
	"slices"
)

// Limits of RSA keys.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// fitting returns the JWS algorithms that a public key can verify, or why it is
// trusted with none.
func fitting(key crypto.PublicKey) (algorithms []string, unusable string) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, weakRSA(key)
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil { // the point at infinity, or not on the curve
			return nil, "not a point of its curve"
		}
		switch key.Curve {
		case elliptic.P256():
			return []string{"ES256"}, ""
		case elliptic.P384():
			return []string{"ES384"}, ""
		case elliptic.P521():
			return []string{"ES512"}, ""
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, weakEd25519(key)
	}
	return nil, "not of a type that any accepted algorithm uses"
}

func weakRSA(key *rsa.PublicKey) string {
	switch bits := key.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return "an RSA key outside of 2048 to 8192 bits"
	case key.E < 3 || key.E%2 == 0 || key.E > math.MaxInt32:
		return "an RSA exponent that is even, below 3 or above 2^31-1"
	case key.N.Bit(0) == 0:
		return "an even RSA modulus"
	case isROCA(key.N):
		return "an RSA key that can be factored (CVE-2017-15361)"
	}
	return ""
}

// isROCA recognises the moduli of Infineon's broken library: modulo every small
// prime they are a power of 65537. Other moduli pass all of these tests with a
// probability below 2^-27.
func isROCA(n *big.Int) bool {
	primes := []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
		89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	}
	for _, p := range primes {
		if !isPower(65537%p, new(big.Int).Mod(n, big.NewInt(p)).Int64(), p) {
			return false
		}
	}
	return true
}

// isPower reports whether x is a power of g modulo the prime p.
func isPower(g, x, p int64) bool {
	for power, i := int64(1), int64(0); i < p; i++ {
		if power == x {
			return true
		}
		power = power * g % p
	}
	return false
}

// weakEd25519 refuses points of small order, for which signatures of any message
// can be made without a private key, and non-canonical encodings.
//
// The point (x, y) is u = (1+y)/(1-y) on Curve25519, and X25519 multiplies by a
// multiple of 8, which takes exactly the points of small order to zero; crypto/ecdh
// reports that as an error.
func weakEd25519(key ed25519.PublicKey) string {
	const weak = "an Ed25519 point of small order, or not canonical"
	if len(key) != ed25519.PublicKeySize {
		return weak
	}
	encoded := slices.Clone(key)
	encoded[31] &= 0x7f // the sign of x
	slices.Reverse(encoded)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	y := new(big.Int).SetBytes(encoded)
	one := big.NewInt(1)
	if y.Cmp(p) >= 0 || y.Cmp(one) == 0 {
		return weak
	}
	u := new(big.Int).Sub(one, y)
	u.ModInverse(u.Mod(u, p), p)
	u.Mul(u, y.Add(y, one)).Mod(u, p)
	montgomery := u.FillBytes(make([]byte, 32))
	slices.Reverse(montgomery)
	public, err := ecdh.X25519().NewPublicKey(montgomery)
	if err != nil {
		return weak
	}
	scalar, err := ecdh.X25519().NewPrivateKey(make([]byte, 32)) // clamped to 2^254
	if err != nil {
		return weak
	}
	if _, err := scalar.ECDH(public); err != nil {
		return weak
	}
	return ""
}
