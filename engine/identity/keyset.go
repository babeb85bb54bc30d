package identity

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Limits of a key set.
const (
	maxKeySet      = 150_000 // bytes
	maxKeys        = 100
	maxKeySetDepth = 8
)

// keySet is a provider's keys. It is immutable, so two proofs by the same *keySet
// were made with the same keys.
type keySet struct {
	byID     map[string]*verificationKey
	only     *verificationKey // the one key of a set of one, whatever its kid
	size     int              // usable or not
	unusable int
}

// verificationKey is one key of a set, or why it verifies nothing.
type verificationKey struct {
	public     crypto.PublicKey
	algorithms []string // that the key fits; its own alg only, if it names one
	unusable   string
}

// parseKeySet reads a JWK set. Keys that cannot verify signatures (of unknown type,
// weak, meant for encryption, symmetric) stay in the set as unusable. The whole set
// is refused if it is not strict JSON, has a kid twice, or gives a private key away.
func parseKeySet(b []byte) (*keySet, error) {
	if len(b) > maxKeySet {
		return nil, fmt.Errorf("the key set has more than %d bytes", maxKeySet)
	}
	document, err := decodeObject(b, maxKeySetDepth)
	if err != nil {
		return nil, fmt.Errorf("the key set: %w", err)
	}
	members, ok := document["keys"].([]any)
	if !ok {
		return nil, errors.New(`the key set has no array "keys"`)
	}
	if len(members) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	set := &keySet{byID: map[string]*verificationKey{}, size: len(members)}
	for i, member := range members {
		if err := set.add(member); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
	}
	if set.size != 1 {
		set.only = nil
	}
	return set, nil
}

func (s *keySet) add(member any) error {
	object, ok := member.(map[string]any)
	if !ok {
		return errNotObject
	}
	key, err := parseKey(object)
	if err != nil {
		return err
	}
	s.only = key
	if key.unusable != "" {
		s.unusable++
	}
	kid, there := object["kid"]
	if !there {
		return nil
	}
	id, ok := kid.(string)
	if !ok {
		return errors.New("kid is not a string")
	}
	if s.byID[id] != nil {
		return errors.New("a kid is there twice")
	}
	s.byID[id] = key
	return nil
}

// find returns the key that a token was signed with: the one with its kid, or the
// only one if the token has no kid.
func (s *keySet) find(kid keyID) (*verificationKey, error) {
	key := s.only
	if kid.has {
		key = s.byID[kid.id]
	}
	switch {
	case key != nil:
		return key, nil
	case kid.has:
		return nil, refuse(CodeKeyUnknown, "the key set has no key with the token's kid")
	case s.size == 0:
		return nil, refuse(CodeKeyUnknown, "the key set is empty")
	default:
		return nil, refuse(CodeKeyIDRequired, "the token has no kid, and the key set has several keys")
	}
}

// privateMembers are the JWK members of private keys (RFC 7518 §6.2.2, §6.3.2).
var privateMembers = [...]string{"d", "p", "q", "dp", "dq", "qi", "oth"}

// parseKey reads one JWK. The error is for keys that spoil their set.
func parseKey(object map[string]any) (*verificationKey, error) {
	for _, name := range privateMembers {
		if _, there := object[name]; there {
			return nil, errors.New("a private key: the provider gives its signing key away")
		}
	}
	if reason := notForSignatures(object); reason != "" {
		return &verificationKey{unusable: reason}, nil
	}
	public, err := publicKey(object)
	if err != nil {
		return &verificationKey{unusable: "not a valid public key"}, nil
	}
	key := &verificationKey{public: public}
	key.algorithms, key.unusable = fitting(public)
	if alg, named := object["alg"].(string); named && key.unusable == "" {
		if !slices.Contains(key.algorithms, alg) {
			return &verificationKey{unusable: "its alg does not fit its type, or is not accepted"}, nil
		}
		key.algorithms = []string{alg}
	}
	return key, nil
}

// publicKey reads the members that make up the key itself, which must be canonical
// base64url, and shows jwx no others.
func publicKey(object map[string]any) (crypto.PublicKey, error) {
	bare := map[string]any{"kty": object["kty"]}
	if crv, there := object["crv"]; there {
		bare["crv"] = crv
	}
	for _, name := range []string{"n", "e", "x", "y"} {
		value, there := object[name]
		if !there {
			continue
		}
		text, _ := value.(string)
		if _, err := base64url.DecodeString(text); err != nil || strings.ContainsAny(text, "\r\n") {
			return nil, errJSON
		}
		bare[name] = text
	}
	b, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	parsed, err := jwk.ParseKey(b)
	if err != nil {
		return nil, err
	}
	var raw any
	err = parsed.Raw(&raw)
	return raw, err
}

// notForSignatures says why a JWK is not for verifying signatures; "" if it is.
// Members of a wrong type make it unusable too.
func notForSignatures(object map[string]any) string {
	kty, ok := object["kty"].(string)
	if !ok || kty == "oct" {
		return "not a public key"
	}
	if _, there := object["k"]; there {
		return "not a public key"
	}
	if use, there := object["use"]; there && use != "sig" {
		return "its use is not sig"
	}
	if alg, there := object["alg"]; there {
		if _, ok := alg.(string); !ok {
			return "its alg is not a string"
		}
	}
	if operations, there := object["key_ops"]; there {
		list, ok := operations.([]any)
		if !ok || !slices.Contains(list, any("verify")) {
			return "its key_ops do not have verify"
		}
	}
	return ""
}
