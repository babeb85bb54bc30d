package identity

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"regent/tenants"
)

// flood is 200,000 different bad tokens in a minute, of every kind that a stranger can
// make, with the instant at which each comes.
const (
	floodTokens = 200_000
	floodTime   = time.Minute
)

// badToken is the i-th of them. Its claims are right, unless the kind says otherwise:
// what they get as far as is the key set.
func badToken(i int, issuer string) (token, want string) {
	kid, iss, exp, more := "p256", issuer, now.Unix()+300, ""
	switch i % 20 {
	case 0: // few: they take long
		want = CodeSignatureInvalid
	case 1, 4, 7, 10, 13, 16, 19:
		kid, want = fmt.Sprint("unknown", i), CodeKeyUnknown
	case 2, 5, 8, 11, 14, 17:
		exp, want = int64(i+1), CodeTokenExpired
	case 3, 6, 9:
		iss, want = fmt.Sprint("https://idp", i, ".example"), CodeIssuerUnknown
	default:
		kid, more, want = fmt.Sprint("../", i), fmt.Sprintf(`,"jku":"%s/%d"`, issuer, i), CodeKeyUnknown
	}
	header := fmt.Appendf(nil, `{"alg":"ES256","kid":"%s"%s}`, kid, more)
	claims := fmt.Appendf(nil, `{"iss":"%s","aud":"%s","sub":"alice","exp":%d,"jti":"%d"}`, iss, audience, exp, i)
	signature := binary.BigEndian.AppendUint64(make([]byte, 24, 64), uint64(i)+1)
	signature = append(append(signature, make([]byte, 31)...), 1)
	return b64(header) + "." + b64(claims) + "." + b64(signature), want
}

// TestFlood verifies 200,000 different bad tokens of one minute against a provider on
// the network: they cause no fetch but those of the cool-down, and leave nothing.
func TestFlood(t *testing.T) { // NET-09
	// Not parallel: it measures the memory of the whole process.
	s := newIDP(t)
	v, p := frozen(), s.byDiscovery()
	tenant := tenantOf(p)
	if _, err := verify(t, v, tenant, minted{claims: members{"iss": s.URL}}.token()); err != nil {
		t.Fatal(describe(err))
	}
	before := settledHeap()
	goroutines := runtime.NumGoroutine()
	for i := range floodTokens {
		at := now.Add(time.Duration(i) * floodTime / floodTokens)
		token, want := badToken(i, s.URL)
		if _, err := v.Verify(context.Background(), tenant, token, at); code(err) != want {
			t.Fatalf("token %d: got %v, want %q", i, err, want)
		}
	}
	grown := int64(settledHeap()) - int64(before)
	if grown > 1<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	if n := runtime.NumGoroutine(); n > goroutines+5 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	// One at first, and one for each ten seconds that an unknown kid may end.
	if n := s.count("/keys"); n > 7 || n < 2 {
		t.Errorf("%d fetches of keys", n)
	}
	hits(t, s, wellKnown, 1)
	if v.memory.proofs.Len() != 1 || v.keys.sets.entries.Len() != 1 || v.keys.uris.entries.Len() != 1 {
		t.Errorf("kept: %d proofs, %d key sets, %d issuers", v.memory.proofs.Len(), v.keys.sets.entries.Len(), v.keys.uris.entries.Len())
	}
	expectIssuer(t, v, tenant, s.URL)
}

// expectIssuer verifies that a good token still counts.
func expectIssuer(t *testing.T, v *Verifier, tenant tenants.Tenant, issuer string) {
	t.Helper()
	at := now.Add(floodTime)
	if _, err := verifyAt(t, v, tenant, minted{claims: members{"iss": issuer, "jti": "good"}}.token(), at); err != nil {
		t.Error(describe(err))
	}
}

// settledHeap is how much is in use once what can go has gone.
func settledHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFlood is one of 200,000 different bad tokens per minute, and what all of
// them leave.
func BenchmarkFlood(b *testing.B) {
	s := newIDP(b)
	v, p := frozen(), s.byDiscovery()
	tenant := tenantOf(p)
	tokens := make([]string, 10_000)
	for i := range tokens {
		tokens[i], _ = badToken(i, s.URL)
	}
	before := settledHeap()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		at := now.Add(time.Duration(n) * floodTime / floodTokens % (4 * time.Minute))
		if _, err := v.Verify(b.Context(), tenant, tokens[n%len(tokens)], at); err == nil {
			b.Fatal("accepted")
		}
		n++
	}
	b.ReportMetric(float64(max(0, int64(settledHeap())-int64(before))), "kept-B")
	b.ReportMetric(float64(s.count("/keys")), "fetches")
}
