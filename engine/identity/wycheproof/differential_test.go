package wycheproof

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"regent/engine/identity"
	"regent/tenants"
)

// FuzzDifferential: what the verifier accepts, go-jose, which shares no code with
// it, accepts with the same key and reads the same. Every vector is a seed, so
// without -fuzz this is a test of all of them.
func FuzzDifferential(f *testing.F) { // JWT-32
	var sets [][]byte
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		for _, group := range load(f, name).TestGroups {
			for _, v := range group.Tests {
				f.Add(len(sets), compact(v.JWS))
			}
			sets = append(sets, keySet(f, group.Public, group.Private))
		}
	}
	f.Fuzz(func(t *testing.T, group int, jws string) {
		if group < 0 || group >= len(sets) {
			return
		}
		payload, err := identity.VerifyJWS(sets[group], tenants.Algorithms(), jws)
		if err != nil {
			return
		}
		if !bytes.Equal(payload, second(t, sets[group], jws)) {
			t.Errorf("go-jose reads something else in %q", jws)
		}
	})
}

// second verifies with go-jose, and fails the test where it refuses.
func second(t *testing.T, set []byte, jws string) []byte {
	t.Helper()
	var algorithms []jose.SignatureAlgorithm
	for _, a := range tenants.Algorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	parsed, err := jose.ParseSignedCompact(jws, algorithms)
	if err != nil {
		t.Fatalf("accepted, and refused by go-jose: %q: %v", jws, err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		t.Fatalf("go-jose cannot read the key set: %v", err)
	}
	for _, key := range keys.Keys {
		if payload, err := parsed.Verify(key.Public()); err == nil {
			return payload
		}
	}
	t.Fatalf("accepted, and refused by go-jose with every key: %q", jws)
	return nil
}
