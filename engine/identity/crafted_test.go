package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"regent/tenants"
)

// wantCode verifies a token offline and compares the code of the refusal.
func wantCode(t *testing.T, p tenants.Provider, token, want string) {
	t.Helper()
	if _, err := verify(t, offline(t, Config{}), tenantOf(p), token); code(err) != want {
		t.Errorf("got %q (%v), want %q", code(err), err, want)
	}
}

// unsigned is header.payload of a token with this header.
func unsigned(header members) string {
	return b64([]byte(header.json())) + "." + b64([]byte(claims().json()))
}

func TestHMACWithPublicKey(t *testing.T) { // JWT-03
	t.Parallel()
	public := signingKeys()["rsa"].Public().(*rsa.PublicKey)
	der := must(x509.MarshalPKIXPublicKey(public))
	secrets := map[string][]byte{
		"PEM":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"DER":     der,
		"JWK":     []byte(publicJWK("rsa").json()),
		"modulus": public.N.Bytes(),
		"empty":   nil,
	}
	for name, secret := range secrets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			input := unsigned(members{"alg": "HS256", "kid": "rsa"})
			wantCode(t, provider(), input+"."+b64(hs256(secret, input)), CodeAlgorithmNotAllowed)
			p := provider()
			p.Algorithms = []string{"HS256", "RS256"}
			wantCode(t, p, input+"."+b64(hs256(secret, input)), CodeAlgorithmNotAllowed)
			input = unsigned(members{"alg": "RS256", "kid": "rsa"})
			wantCode(t, provider(), input+"."+b64(hs256(secret, input)), CodeSignatureInvalid)
		})
	}
}

func TestECDSASignatureForms(t *testing.T) { // JWT-07
	t.Parallel()
	key := signingKeys()["p256"].(*ecdsa.PrivateKey)
	input := unsigned(members{"alg": "ES256", "kid": "p256"})
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	n := key.Params().N
	zero := new(big.Int)
	good := rawECDSA(r, s, 32)
	tests := []struct {
		name      string
		signature []byte
		want      string
	}{
		{"right", good, ""},
		{"all zero", make([]byte, 64), CodeSignatureInvalid},
		{"r is 0", rawECDSA(zero, s, 32), CodeSignatureInvalid},
		{"s is 0", rawECDSA(r, zero, 32), CodeSignatureInvalid},
		{"r is n", rawECDSA(n, s, 32), CodeSignatureInvalid},
		{"s is n", rawECDSA(r, n, 32), CodeSignatureInvalid},
		{"r and s swapped", rawECDSA(s, r, 32), CodeSignatureInvalid},
		{"DER", must(ecdsa.SignASN1(rand.Reader, key, digest[:])), CodeSignatureInvalid},
		{"63 bytes", good[:63], CodeSignatureInvalid},
		{"65 bytes", append(slices.Clone(good), 0), CodeSignatureInvalid},
		{"66 bytes", rawECDSA(r, s, 33), CodeSignatureInvalid},
		{"96 bytes", rawECDSA(r, s, 48), CodeSignatureInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, provider(), input+"."+b64(tt.signature), tt.want)
		})
	}
}

func TestPSSSaltLength(t *testing.T) { // JWT-08
	t.Parallel()
	key := signingKeys()["rsa"].(*rsa.PrivateKey)
	input := unsigned(members{"alg": "PS256", "kid": "rsa"})
	digest := sha256.Sum256([]byte(input))
	for salt, want := range map[int]string{
		32: "", 0: CodeSignatureInvalid, 20: CodeSignatureInvalid, 31: CodeSignatureInvalid,
		33: CodeSignatureInvalid, 64: CodeSignatureInvalid, 222: CodeSignatureInvalid,
	} {
		t.Run(fmt.Sprint(salt), func(t *testing.T) {
			t.Parallel()
			// A salt of 0 is spelled PSSSaltLengthAuto in Go; this is the longest then.
			signature := must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt}))
			wantCode(t, provider(), input+"."+b64(signature), want)
		})
	}
}

func TestSignatureLength(t *testing.T) {
	t.Parallel()
	for _, alg := range tenants.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			parts := strings.Split(minted{alg: alg}.token(), ".")
			signature := must(base64.RawURLEncoding.DecodeString(parts[2]))
			for _, wrong := range [][]byte{signature[:len(signature)-1], append(slices.Clone(signature), 0), append([]byte{0}, signature...)} {
				wantCode(t, provider(), parts[0]+"."+parts[1]+"."+b64(wrong), CodeSignatureInvalid)
			}
		})
	}
}

// Every bit of a signature, and every part of what is signed, counts.
func TestTampered(t *testing.T) {
	t.Parallel()
	for _, alg := range tenants.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			parts := strings.Split(minted{alg: alg}.token(), ".")
			signature := must(base64.RawURLEncoding.DecodeString(parts[2]))
			for _, i := range []int{0, len(signature) / 2, len(signature) - 1} {
				wrong := slices.Clone(signature)
				wrong[i] ^= 1
				wantCode(t, provider(), parts[0]+"."+parts[1]+"."+b64(wrong), CodeSignatureInvalid)
			}
			other := b64([]byte(claims().with(members{"sub": "mallory"}).json()))
			wantCode(t, provider(), parts[0]+"."+other+"."+parts[2], CodeSignatureInvalid)
			header := b64([]byte(members{"alg": alg, "kid": keyFor(alg), "more": 1}.json()))
			wantCode(t, provider(), header+"."+parts[1]+"."+parts[2], CodeSignatureInvalid)
		})
	}
}

func TestKeysInHeader(t *testing.T) { // JWT-09
	t.Parallel()
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, jwks(publicJWK("p256-other")))
	}))
	t.Cleanup(server.Close)
	// A Verifier that may talk to loopback: whatever it does not, it does by choice.
	v := New(Config{AllowPrivate: true})
	for name, header := range map[string]members{
		"jwk": {"jwk": publicJWK("p256-other")},
		"jku": {"jku": server.URL},
		"x5u": {"x5u": server.URL},
		"x5c": {"x5c": []string{"MIIB"}},
		"iss": {"iss": server.URL},
		"all": {"jwk": publicJWK("p256-other"), "jku": server.URL, "x5u": server.URL, "x5t": "AAAA"},
	} {
		t.Run(name, func(t *testing.T) {
			for kid, want := range map[string]string{"p256": CodeSignatureInvalid, "p256-other": CodeKeyUnknown} {
				token := minted{key: "p256-other", header: header.with(members{"kid": kid})}.token()
				if _, err := verify(t, v, tenantOf(provider()), token); code(err) != want {
					t.Errorf("kid %s: got %q (%v), want %q", kid, code(err), err, want)
				}
			}
			// Signed with the right key, the header does not disturb.
			if _, err := verify(t, v, tenantOf(provider()), minted{header: header}.token()); err != nil && name != "x5c" && name != "all" {
				t.Errorf("with the right key: %s", describe(err))
			}
		})
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests to an address that a token named", hits.Load())
	}
}

func TestSymmetricKeyInSet(t *testing.T) { // JWT-10
	t.Parallel()
	secret := []byte("0123456789abcdef0123456789abcdef")
	for name, alg := range map[string]any{"HS256": "HS256", "no alg": absent, "ES256": "ES256"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := provider()
			p.Algorithms = append(p.Algorithms, "HS256")
			oct := members{"kty": "oct", "kid": "k1", "k": b64(secret)}.with(members{"alg": alg})
			p.JWKS.Inline = json.RawMessage(jwks(oct, publicJWK("p256")))
			for headerAlg, want := range map[string]string{"HS256": CodeAlgorithmNotAllowed, "ES256": CodeKeyUnusable} {
				input := unsigned(members{"alg": headerAlg, "kid": "k1"})
				wantCode(t, p, input+"."+b64(hs256(secret, input)), want)
			}
		})
	}
}

func TestNotCanonicalBase64(t *testing.T) { // JWT-16
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	tried := 0
	for _, padding := range []string{"", " ", "  "} { // so that every part has unused bits once
		token := minted{
			headerText: `{"alg":"ES256",` + padding + `"kid":"p256"}`,
			payload:    claims().json() + padding,
		}.token()
		parts := strings.Split(token, ".")
		for i, part := range parts {
			if len(part)%4 == 0 {
				continue
			}
			last := strings.IndexByte(alphabet, part[len(part)-1])
			wrong := slices.Clone(parts)
			wrong[i] = part[:len(part)-1] + string(alphabet[last|1])
			tried++
			wantCode(t, provider(), strings.Join(wrong, "."), CodeTokenMalformed)
		}
		wantCode(t, provider(), token, "")
	}
	if tried < 6 {
		t.Fatalf("only %d parts had unused bits", tried)
	}
}

// A signed header with space around it is another spelling of the same token, which
// jws.Verify alone would take.
func TestSpaceAroundHeader(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"%s ", " %s", "%s\n", "\t%s\r\n"} {
		parts := strings.Split(minted{}.token(), ".")
		header := string(must(base64.RawURLEncoding.DecodeString(parts[0])))
		spelled := b64(fmt.Appendf(nil, format, header))
		wantCode(t, provider(), spelled+"."+parts[1]+"."+parts[2], CodeTokenMalformed)
		wantCode(t, provider(), minted{headerText: fmt.Sprintf(format, header)}.token(), CodeTokenMalformed)
	}
}

func TestTokenSize(t *testing.T) { // JWT-17
	t.Parallel()
	sized := func(size int) string {
		for pad := size / 2; pad < size; pad++ {
			for _, header := range []members{{}, {"x": ""}, {"x": "a"}, {"x": "ab"}} {
				m := minted{header: header, claims: members{"pad": strings.Repeat("x", pad)}}
				if token := m.token(); len(token) == size {
					return token
				} else if len(token) > size {
					return ""
				}
			}
		}
		return ""
	}
	for size, want := range map[int]string{8192: "", 8193: CodeTokenTooLong} {
		if token := sized(size); token == "" {
			t.Errorf("no token of %d bytes", size)
		} else {
			wantCode(t, provider(), token, want)
		}
	}
	wantCode(t, provider(), strings.Repeat(".", 8192), CodeTokenMalformed)
	wantCode(t, provider(), strings.Repeat(".", 10000), CodeTokenTooLong)
	wantCode(t, provider(), minted{claims: members{"scope": strings.Repeat("a", 10<<10)}}.token(), CodeTokenTooLong)
	wantCode(t, provider(), minted{header: members{"kid": strings.Repeat("k", 257)}}.token(), CodeTokenMalformed)
	wantCode(t, provider(), minted{header: members{"kid": strings.Repeat("k", 256)}}.token(), CodeKeyUnknown)
	wantCode(t, provider(), minted{payload: strings.Repeat("[", 5000)}.token(), CodeTokenMalformed)
	wantCode(t, provider(), minted{payload: `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}"}.token(), CodeTokenMalformed)
}

// Tokens that are refused for their size or form cost next to nothing.
func TestRefusalAllocates(t *testing.T) {
	tenant, v := tenantOf(provider()), New(Config{})
	for _, token := range []string{strings.Repeat(".", 8192), strings.Repeat("a", 1<<20)} {
		got := testing.AllocsPerRun(100, func() {
			_, err := v.Verify(t.Context(), tenant, token, now)
			if err == nil {
				t.Fatal("accepted")
			}
		})
		if got > 20 {
			t.Errorf("%v allocations", got)
		}
	}
}

func TestAudienceCount(t *testing.T) { // JWT-26
	t.Parallel()
	for count, want := range map[int]string{50: "", 51: CodeAudienceMismatch} {
		list := slices.Repeat([]string{"other"}, count)
		list[count-1] = audience
		wantCode(t, provider(), minted{claims: members{"aud": list}}.token(), want)
	}
}

func TestManyMembers(t *testing.T) { // JWT-29
	t.Parallel()
	many := members{}
	for i := range 300 {
		many[fmt.Sprint("m", i)] = i
	}
	wantCode(t, provider(), minted{claims: many}.token(), "")
}

func TestLifetime(t *testing.T) { // JWT-24
	t.Parallel()
	v := offline(t, Config{MaxLifetime: 310e9})
	for name, tt := range map[string]struct {
		claims members
		want   string
	}{
		"just right":    {members{}, ""},
		"a second more": {members{"exp": now.Unix() + 301}, CodeTokenLifetime},
		"old iat":       {members{"iat": now.Unix() - 10*365*86400}, CodeTokenLifetime},
		"no iat":        {members{"iat": absent}, CodeTokenLifetime},
	} {
		if _, err := verify(t, v, tenantOf(provider()), minted{claims: tt.claims}.token()); code(err) != tt.want {
			t.Errorf("%s: got %q, want %q", name, code(err), tt.want)
		}
	}
}

func TestRSAStrength(t *testing.T) { // JWT-33
	t.Parallel()
	odd := func(bits int) *big.Int {
		n := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1))))
		return n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	}
	even := odd(2048)
	even.SetBit(even, 0, 0)
	tests := []struct {
		name string
		n    *big.Int
		e    int
		weak bool
	}{
		{"1024 bits", odd(1024), 65537, true},
		{"2047 bits", odd(2047), 65537, true},
		{"2048 bits", odd(2048), 65537, false},
		{"8192 bits", odd(8192), 65537, false},
		{"8193 bits", odd(8193), 65537, true},
		{"16384 bits", odd(16384), 65537, true},
		{"e 1", odd(2048), 1, true},
		{"e 2", odd(2048), 2, true},
		{"e 3", odd(2048), 3, false},
		{"e 2^31-1", odd(2048), 1<<31 - 1, false},
		{"e 2^32+1", odd(2048), 1<<32 + 1, true},
		{"even modulus", even, 65537, true},
		{"ROCA", rocaModulus(), 65537, true},
		{"not ROCA", new(big.Int).Add(rocaModulus(), big.NewInt(2)), 65537, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set, err := parseKeySet([]byte(jwks(jwkOf(&rsa.PublicKey{N: tt.n, E: tt.e}))))
			if err != nil {
				t.Fatal(err)
			}
			if got := set.only.unusable; (got != "") != tt.weak {
				t.Errorf("unusable: %q, want weak %v", got, tt.weak)
			}
		})
	}
}

// rocaModulus makes a modulus as Infineon's library did: a power of 65537 modulo a
// product of small primes.
func rocaModulus() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p <= 701; p++ {
		if big.NewInt(p).ProbablyPrime(20) {
			m.Mul(m, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(1234567), m)
	shift := new(big.Int).Lsh(big.NewInt(1), uint(2047-m.BitLen()+1))
	return n.Add(n, shift.Mul(shift, m))
}

// A good Ed25519 key is not mistaken for a weak one.
func TestEd25519Strength(t *testing.T) {
	t.Parallel()
	for range 20 {
		set := must(parseKeySet([]byte(jwks(publicJWK("ed25519")))))
		if set.only.unusable != "" {
			t.Fatal(set.only.unusable)
		}
	}
}

// Members of a key are canonical base64url, whatever jwx would take.
func TestKeyMembers(t *testing.T) {
	t.Parallel()
	x := publicJWK("p256")["x"].(string)
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(x)
	for name, spelled := range map[string]any{
		"padded": x + "=", "standard alphabet, padded": standard + "=", "with a newline": x[:20] + "\n" + x[20:],
		"number": 1, "null": nil, "array": []string{x}, "empty": "",
	} {
		set := must(parseKeySet([]byte(jwks(publicJWK("p256").with(members{"x": spelled})))))
		if set.only.unusable == "" {
			t.Errorf("%s: usable", name)
		}
	}
	if set := must(parseKeySet([]byte(jwks(publicJWK("p256"))))); set.only.unusable != "" {
		t.Errorf("as it was: %s", set.only.unusable)
	}
}

// The length of a signature is judged here, not left to whoever verifies it.
func TestFits(t *testing.T) {
	t.Parallel()
	public := signingKeys()["rsa"].Public()
	for alg, length := range map[string]int{"ES256": 64, "ES384": 96, "ES512": 132, "EdDSA": 64, "RS256": 256, "PS512": 256} {
		for _, l := range []int{0, length - 1, length, length + 1, 2 * length} {
			if got := fits(alg, public, l); got != (l == length) {
				t.Errorf("%s, %d bytes: %v", alg, l, got)
			}
		}
	}
}

func TestKeySetForms(t *testing.T) { // NET-06
	t.Parallel()
	many := func(n int) string {
		var keys []members
		for i := range n {
			keys = append(keys, publicJWK("p256").with(members{"kid": fmt.Sprint(i)}))
		}
		return jwks(keys...)
	}
	key := publicJWK("p256").json()
	tests := []struct {
		name, set string
		ok        bool
	}{
		{"good", jwks(publicJWK("p256")), true},
		{"empty", `{"keys":[]}`, true},
		{"more members", `{"keys":[],"x":1}`, true},
		{"100 keys", many(100), true},
		{"101 keys", many(101), false},
		{"10000 keys", `{"keys":[` + strings.Repeat("{},", 9999) + `{}]}`, false},
		{"not JSON", `keys`, false},
		{"HTML", `<html></html>`, false},
		{"nothing", ``, false},
		{"null", `null`, false},
		{"an array", `[` + key + `]`, false},
		{"a key alone", key, false},
		{"keys absent", `{}`, false},
		{"keys object", `{"keys":{}}`, false},
		{"keys null", `{"keys":null}`, false},
		{"Keys", `{"Keys":[` + key + `]}`, false},
		{"keys twice", `{"keys":[],"keys":[` + key + `]}`, false},
		{"a member twice", `{"keys":[{"kty":"EC","kty":"RSA"}]}`, false},
		{"a key that is a string", `{"keys":["x"]}`, false},
		{"kid number", jwks(publicJWK("p256").with(members{"kid": 1})), false},
		{"private EC key", jwks(publicJWK("p256").with(members{"d": "AA"})), false},
		{"private RSA key by its primes", jwks(publicJWK("rsa").with(members{"p": "AA"})), false},
		{"same kid twice, same key", jwks(publicJWK("p256"), publicJWK("p256")), false},
		{"two without kid", jwks(publicJWK("p256").with(members{"kid": absent}), publicJWK("rsa").with(members{"kid": absent})), true},
		{"deep", `{"keys":[],"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, false},
		{"trailing data", `{"keys":[]} {}`, false},
		{"too large", `{"keys":[],"x":"` + strings.Repeat("x", maxKeySet) + `"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseKeySet([]byte(tt.set)); (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
}
