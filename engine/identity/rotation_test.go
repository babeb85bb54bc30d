package identity

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"regent/tenants"
)

// expect verifies a fresh token by a key at an instant.
func expect(t *testing.T, v *Verifier, p tenants.Provider, at time.Time, kid, want string) {
	t.Helper()
	if _, err := verifyAt(t, v, tenantOf(p), fresh(at, kid), at); code(err) != want {
		t.Errorf("%s at +%s: got %q (%v), want %q", kid, at.Sub(now), code(err), err, want)
	}
}

// refresh makes the Verifier refresh a key set in passing, and waits until it has,
// however slow the machine.
func refresh(t *testing.T, v *Verifier, p tenants.Provider, at time.Time) {
	t.Helper()
	if _, err := v.keys.of(t.Context(), "acme", p, keyID{}, at); err != nil {
		t.Fatal(err)
	}
	settle(v.keys.sets, p.JWKS.URL)
}

func hits(t *testing.T, s *idp, path string, want int) {
	t.Helper()
	if got := s.count(path); got != want {
		t.Errorf("%d requests for %s, want %d", got, path, want)
	}
}

func TestOneFlight(t *testing.T) { // NET-08
	t.Parallel()
	s := newIDP(t)
	arrived, release := s.hang(t, "/keys")
	v, p := frozen(), byURL(s.URL+"/keys")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { expect(t, v, p, now, "p256", "") })
	}
	<-arrived
	release()
	wg.Wait()
	hits(t, s, "/keys", 1)
}

func TestUnknownKeyCoolDown(t *testing.T) { // NET-09
	t.Parallel()
	s := newIDP(t)
	s.json("/keys", allKeys())
	v, p := frozen(), byURL(s.URL+"/keys")
	expect(t, v, p, now, "p256", "")
	flood := func(at time.Time) {
		for i := range 300 {
			token := minted{header: members{"kid": fmt.Sprint("random", i)}}.token()
			if _, err := verifyAt(t, v, tenantOf(p), token, at); code(err) != CodeKeyUnknown {
				t.Fatalf("got %v", err)
			}
		}
		expect(t, v, p, at, "p256", "")
	}
	flood(now.Add(9 * time.Second))
	hits(t, s, "/keys", 1)
	flood(now.Add(10 * time.Second))
	hits(t, s, "/keys", 2)
	flood(now.Add(19 * time.Second))
	hits(t, s, "/keys", 2)
	flood(now.Add(20 * time.Second))
	hits(t, s, "/keys", 3)
}

// Nothing but an unknown kid of an otherwise acceptable token causes a fetch.
func TestBadTokensCauseNoFetch(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v, p := private(), s.byDiscovery()
	p.Algorithms = []string{"ES256"}
	for name, token := range map[string]string{
		"expired":        minted{claims: members{"iss": s.URL, "exp": 1}}.token(),
		"other audience": minted{claims: members{"iss": s.URL, "aud": "x"}}.token(),
		"other issuer":   minted{}.token(),
		"algorithm":      minted{alg: "RS256", claims: members{"iss": s.URL}}.token(),
		"crit":           minted{header: members{"crit": []string{"x"}}, claims: members{"iss": s.URL}}.token(),
		"ID token":       minted{claims: members{"iss": s.URL, "nonce": "n"}}.token(),
		"garbage":        "eyJ.eyJ.AA",
	} {
		if _, err := verify(t, v, tenantOf(p), token); err == nil || code(err) == "trouble" {
			t.Errorf("%s: %v", name, err)
		}
	}
	hits(t, s, wellKnown, 0)
	hits(t, s, "/keys", 0)
}

func TestCancelledCaller(t *testing.T) { // NET-10
	t.Parallel()
	s := newIDP(t)
	arrived, release := s.hang(t, "/keys")
	v, p := frozen(), byURL(s.URL+"/keys")
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := v.Verify(ctx, tenantOf(p), fresh(now, "p256"), now)
		first <- err
	}()
	<-arrived
	cancel()
	if err := <-first; code(err) != "trouble" {
		t.Errorf("the cancelled caller: %v", err)
	}
	release()
	expect(t, v, p, now, "p256", "")
	hits(t, s, "/keys", 1)
}

func TestRotation(t *testing.T) { // NET-12
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	s.json("/keys", jwks(publicJWK("p256")))
	expect(t, v, p, now, "p256", "")
	expect(t, v, p, now, "rsa", CodeKeyUnknown)
	s.json("/keys", jwks(publicJWK("p256"), publicJWK("p384")))
	at := now.Add(coolDown)
	if _, err := verifyAt(t, v, tenantOf(p), minted{alg: "ES384"}.token(), at); err != nil {
		t.Errorf("the new key: %s", describe(err))
	}
	expect(t, v, p, at, "p256", "")
	hits(t, s, "/keys", 2)
	s.json("/keys", jwks(publicJWK("p384")))
	expect(t, v, p, at.Add(softAge-time.Second), "p256", "")
	refresh(t, v, p, at.Add(softAge))
	expect(t, v, p, at.Add(softAge), "p256", CodeKeyUnknown)
	hits(t, s, "/keys", 3)
}

// A remembered token does not outlive its key.
func TestRotationForgetsProofs(t *testing.T) { // NET-12, and the memory of proofs
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	s.json("/keys", jwks(publicJWK("p256")))
	token := minted{claims: members{"exp": now.Unix() + 7200}}.token()
	for _, at := range []time.Duration{0, time.Second} {
		if _, err := verifyAt(t, v, tenantOf(p), token, now.Add(at)); err != nil {
			t.Fatal(describe(err))
		}
	}
	// The same kid, another key.
	s.json("/keys", jwks(publicJWK("p256-other").with(members{"kid": "p256"})))
	refresh(t, v, p, now.Add(softAge))
	if _, err := verifyAt(t, v, tenantOf(p), token, now.Add(softAge)); code(err) != CodeSignatureInvalid {
		t.Errorf("got %v", err)
	}
}

func TestHardAge(t *testing.T) { // NET-13
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	s.json("/keys", allKeys())
	expect(t, v, p, now, "p256", "")
	s.status("/keys", 500)
	for at := softAge; at < hardAge; at += 20 * time.Minute {
		expect(t, v, p, now.Add(at), "p256", "")
	}
	expect(t, v, p, now.Add(hardAge-time.Second), "p256", "")
	expect(t, v, p, now.Add(hardAge), "p256", "trouble")
	expect(t, v, p, now.Add(7*time.Hour), "p256", "trouble")
	// Past the hard age a request waits for the provider: there is nothing to go by.
	s.handle("/keys", func(w http.ResponseWriter, r *http.Request) {
		<-time.After(2 * passing)
		answerJSON(allKeys())(w, r)
	})
	expect(t, v, p, now.Add(7*time.Hour+firstRetry), "p256", "")
}

// A bad answer is as good as none: the old keys stay.
func TestBadAnswerKeepsOldKeys(t *testing.T) { // NET-06
	t.Parallel()
	for _, bad := range []string{"", "null", "{}", jwks(publicJWK("p256"), publicJWK("p256")), jwks(publicJWK("p256").with(members{"d": "AA"}))} {
		s := newIDP(t)
		v, p := frozen(), byURL(s.URL+"/keys")
		s.json("/keys", allKeys())
		expect(t, v, p, now, "p256", "")
		s.json("/keys", bad)
		expect(t, v, p, now.Add(softAge), "p256", "")
		hits(t, s, "/keys", 2)
		expect(t, v, p, now.Add(hardAge+time.Minute), "p256", "trouble")
	}
}

func TestDownAtFirstUse(t *testing.T) { // NET-14
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	s.status("/keys", 503)
	for at := time.Duration(0); at < 5*time.Second; at += 100 * time.Millisecond {
		expect(t, v, p, now.Add(at), "p256", "trouble")
	}
	if n := s.count("/keys"); n < 3 || n > 6 {
		t.Errorf("%d requests in 5 s", n)
	}
	s.json("/keys", allKeys())
	expect(t, v, p, now.Add(5*time.Second+firstRetry), "p256", "")
}

// While a provider fails, it is asked less and less often.
func TestBackoff(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	s.json("/keys", allKeys())
	expect(t, v, p, now, "p256", "")
	s.status("/keys", 503)
	begin := now.Add(softAge)
	for at := time.Duration(0); at < 10*time.Minute; at += 500 * time.Millisecond {
		expect(t, v, p, begin.Add(at), "p256", "")
		settle(v.keys.sets, s.URL+"/keys")
	}
	// Between half of and all of 30 s, after 2+4+8+16.
	if n := s.count("/keys") - 1; n < 20 || n > 46 {
		t.Errorf("%d requests in 10 min", n)
	}
	// An unknown kid cannot be answered while the provider fails.
	expect(t, v, p, begin.Add(10*time.Minute), "p256-other", "trouble")
}

func TestClockJumps(t *testing.T) { // NET-16
	t.Parallel()
	s := newIDP(t)
	var passed time.Duration
	v := newVerifier(Config{AllowPrivate: true}, clock{func() time.Duration { return passed }})
	p := byURL(s.URL + "/keys")
	s.json("/keys", jwks(publicJWK("p256")))
	expect(t, v, p, now, "p256", "")
	// Set back by an hour: what counts is the time that really passed.
	back := now.Add(-time.Hour)
	passed = 9 * time.Second
	expect(t, v, p, back, "p521", CodeKeyUnknown)
	hits(t, s, "/keys", 1)
	passed = 10 * time.Second
	expect(t, v, p, back, "p521", CodeKeyUnknown)
	hits(t, s, "/keys", 2)
	passed = softAge + 10*time.Second
	expect(t, v, p, back, "p256", "")
	hits(t, s, "/keys", 3)
	// Set forward by an hour: refreshed at once, and no harm done.
	expect(t, v, p, now.Add(time.Hour), "p256", "")
	hits(t, s, "/keys", 4)
	// A token's own times follow the instant of the request, whatever passed.
	token := fresh(now, "p256")
	for at, want := range map[time.Duration]string{0: "", time.Hour: CodeTokenExpired, -time.Hour: CodeTokenNotYetValid} {
		if _, err := verifyAt(t, v, tenantOf(p), token, now.Add(at)); code(err) != want {
			t.Errorf("at %s: %v, want %q", at, err, want)
		}
	}
	// Frozen for seven hours with a monotonic clock that stood still.
	s.status("/keys", 500)
	expect(t, v, p, now.Add(8*time.Hour), "p256", "trouble")
}

// A refresh in passing costs a request no more than its share.
func TestSlowRefresh(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	s.json("/keys", allKeys())
	expect(t, v, p, now, "p256", "")
	arrived, _ := s.hang(t, "/keys")
	v.keys.fetcher.client.Transport.(*http.Transport).ResponseHeaderTimeout = totalBudget
	expect(t, v, p, now.Add(softAge), "p256", "")
	e := v.keys.sets.entry(s.URL + "/keys")
	e.mu.Lock()
	if e.flight == nil {
		t.Error("the request waited for the refresh to end")
	}
	e.mu.Unlock()
	<-arrived
}

// A flight that was frozen with the function is given up: the next caller starts
// its own, and what the old one brings later is dropped.
func TestFrozenFlight(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), byURL(s.URL+"/keys")
	arrived, release := s.hang(t, "/keys")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		v.Verify(ctx, tenantOf(p), fresh(now, "p256"), now)
		close(gone)
	}()
	<-arrived
	e := v.keys.sets.entry(s.URL + "/keys")
	e.mu.Lock()
	old := e.flight
	e.mu.Unlock()
	cancel()
	<-gone
	s.json("/keys", jwks(publicJWK("p521")))
	at := now.Add(time.Hour)
	if _, err := verifyAt(t, v, tenantOf(p), minted{alg: "ES512", claims: members{"exp": at.Unix() + 300}}.token(), at); err != nil {
		t.Error(describe(err))
	}
	release()
	<-old.done
	expect(t, v, p, at, "p256", CodeKeyUnknown)
	hits(t, s, "/keys", 2)
}

func TestDiscoveryIsKept(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v, p := frozen(), s.byDiscovery()
	expectIss := func(at time.Time, want string) {
		t.Helper()
		token := minted{claims: members{"iss": s.URL, "exp": at.Unix() + 60}}.token()
		if _, err := verifyAt(t, v, tenantOf(p), token, at); code(err) != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	expectIss(now, "")
	expectIss(now.Add(softAge-time.Second), "")
	hits(t, s, wellKnown, 1)
	hits(t, s, "/keys", 1)
	// The keys move.
	s.json(wellKnown, members{"issuer": s.URL, "jwks_uri": s.URL + "/moved"}.json())
	s.status("/keys", 404)
	s.json("/moved", allKeys())
	v.keys.of(t.Context(), "acme", p, keyID{}, now.Add(softAge))
	settle(v.keys.uris, s.URL)
	expectIss(now.Add(softAge), "")
	hits(t, s, wellKnown, 2)
	hits(t, s, "/moved", 1)
}

// The caches are bounded, whatever tenants configure.
func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	v := New(Config{})
	for i := range 3 * maxSources {
		p := byURL(fmt.Sprintf("http://idp%d.example/keys", i)) // refused before any dial
		if _, err := v.Verify(t.Context(), tenantOf(p), minted{}.token(), now); code(err) != "trouble" {
			t.Fatal(err)
		}
		p.JWKS = tenants.KeySource{Inline: inline(fmt.Sprintf(`{"keys":[],"x":%d}`, i))}
		if _, err := v.Verify(t.Context(), tenantOf(p), minted{}.token(), now); code(err) != CodeKeyUnknown {
			t.Fatal(err)
		}
	}
	if n := v.keys.sets.entries.Len(); n > maxSources {
		t.Errorf("%d key set URLs", n)
	}
	if n := v.keys.inline.Len(); n > maxSources {
		t.Errorf("%d inline key sets", n)
	}
}
