package identity

import (
	"encoding/json"
	"strings"
	"testing"

	"regent/engine"
	"regent/tenants"
)

// FuzzParse: what the strict JSON reader accepts, encoding/json accepts and reads
// the same; a token that is parsed is the one spelling of what was read.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"a":2}`, `{"a":[1.5e-3,"\ud83d\ude00",null,true]}`, `{"a":"\ud800"}`, `{"\u0061":{"b":{}}} `,
		"\ufeff{}", "{\"a\":\"\xff\"}", `{"exp":1e300}`, `[`, minted{}.token(), minted{alg: "EdDSA"}.token(), "eyJ.eyJ.AA", "..",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if object, err := decodeObject(text, 8); err == nil {
			compareWithStandard(t, text, object)
		}
		token, err := parse(string(text))
		if err != nil {
			return
		}
		if _, ok := peek(string(text)); !ok {
			t.Error("parsed, but not peeked at")
		}
		header, _, _ := strings.Cut(token.signed, ".")
		b, err := base64url.DecodeString(header)
		if err != nil || token.signed != b64(b)+"."+b64(token.payload) || token.compact != token.signed+"."+b64(token.signature) {
			t.Errorf("%q is not the one spelling of what was read", text)
		}
	})
}

// FuzzVerify: no token is accepted but the signed ones, whatever is done to them,
// and nothing panics. The fuzzer sees every signed token as a seed.
func FuzzVerify(f *testing.F) {
	tenant, v := tenantOf(provider()), New(Config{Remember: -1})
	signed := map[string]bool{}
	for _, alg := range tenants.Algorithms() {
		token := minted{alg: alg}.token()
		signed[token] = true
		f.Add(token)
	}
	f.Add(minted{alg: "RS256", headerText: `{"alg":"none"}`}.token())
	f.Add(minted{headerText: ` {"alg":"ES256","kid":"p256"}`}.token())
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := v.Verify(t.Context(), tenant, token, now)
		if err == nil && !signed[token] {
			t.Fatalf("accepted: %q", token)
		}
		if err != nil {
			if _, ok := err.(*engine.Unauthorized); !ok {
				t.Fatalf("neither accepted nor refused: %v", err)
			}
		}
		checkResult(t, "", identity, err)
	})
}

// FuzzKeySet: whatever a provider answers, reading it does not panic, and no key
// that comes out is weaker than the rules.
//
// The seeds are small and the same in every process. With fresh keys, each worker
// spent its first seconds on making RSA keys, and what it then found interesting was
// new each time.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"sig","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"b","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
		`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 341) + `w"}]}`,
		`{"keys":[{"kty":"RSA","e":"AQ","n":"AQAB","key_ops":["verify"]}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA","kid":"c"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := parseKeySet(b)
		if err != nil {
			return
		}
		if set.size > maxKeys || len(set.byID) > set.size {
			t.Errorf("%d keys, %d kids", set.size, len(set.byID))
		}
		for _, key := range set.byID {
			algorithms, unusable := fitting(key.public)
			if key.unusable == "" && (unusable != "" || len(key.algorithms) == 0 || len(algorithms) == 0) {
				t.Errorf("usable for %v: %s", key.algorithms, unusable)
			}
		}
		if !json.Valid(b) {
			t.Error("not JSON")
		}
	})
}
