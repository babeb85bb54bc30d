package identity

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

// crowd counts the requests that a Verifier has under way, by what their paths begin
// with. The server would not do: it learns late that a client has given up.
type crowd struct {
	next         http.RoundTripper
	mu           sync.Mutex
	now, longest map[string]int
}

func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := r.URL.Path[:4]
	c.count(kind, 1)
	defer c.count(kind, -1)
	return c.next.RoundTrip(r)
}

func (c *crowd) count(kind string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now[kind] += by
	c.longest[kind] = max(c.longest[kind], c.now[kind])
}

func named(id string, providers ...tenants.Provider) tenants.Tenant {
	t := tenantOf(providers...)
	t.ID = id
	return t
}

// TestTurns lets one tenant's providers hang, ten key sets and ten opaque tokens: of
// each kind no more than two requests are under way at a time.
func TestTurns(t *testing.T) { // T21
	t.Parallel()
	s := newIDP(t)
	v := asking()
	client := v.keys.fetcher.client
	under := &crowd{next: client.Transport, now: map[string]int{}, longest: map[string]int{}}
	client.Transport = under
	var wg sync.WaitGroup
	for i := range 10 {
		path := fmt.Sprint("/keys", i)
		s.hang(t, path)
		wg.Go(func() {
			if _, err := verify(t, v, tenantOf(byURL(s.URL+path)), fresh(now, "p256")); code(err) != "trouble" {
				t.Errorf("got %v", err)
			}
		})
	}
	s.hang(t, "/introspect")
	for i := range 10 {
		wg.Go(func() {
			if _, err := verify(t, v, tenantOf(endpoint(s)), fmt.Sprint("token", i)); code(err) != "trouble" {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	under.mu.Lock()
	defer under.mu.Unlock()
	if diff := cmp.Diff(map[string]int{"/key": 2, "/int": 2}, under.longest); diff != "" {
		t.Errorf("at a time (-want +got):\n%s", diff)
	}
	for _, waiting := range []*turns{v.keys.sets.turns, v.introspector.turns} {
		waiting.mu.Lock()
		left := len(waiting.of)
		waiting.mu.Unlock()
		if left != 0 {
			t.Errorf("%d tenants are still remembered", left)
		}
	}
}

// TestDeadProvidersOfOthers lets the providers of twenty tenants hang, with more
// requests than they have turns. The twenty-first waits for none of them.
func TestDeadProvidersOfOthers(t *testing.T) { // NET-11
	t.Parallel()
	s := newIDP(t)
	s.json("/healthy", allKeys())
	s.json("/healthy/introspect", said(nil))
	v := asking()
	var wg sync.WaitGroup
	dead := make(chan struct{})
	for i := range 20 {
		id := fmt.Sprint("dead", i)
		arrived, _ := s.hang(t, "/"+id)
		asked, _ := s.hang(t, "/"+id+"/introspect")
		tenant := named(id, byURL(s.URL+"/"+id), introspectedAt(s, "/"+id+"/introspect"))
		for range 3 {
			for _, token := range []string{fresh(now, "p256"), opaque} {
				wg.Go(func() {
					if _, err := verify(t, v, tenant, token); code(err) != "trouble" {
						t.Errorf("%s: %v", id, err)
					}
				})
			}
		}
		wg.Go(func() { <-arrived; <-asked; dead <- struct{}{} })
	}
	for range 20 {
		<-dead
	}
	healthy := named("healthy", byURL(s.URL+"/healthy"), introspectedAt(s, "/healthy/introspect"))
	var longest time.Duration
	for i := range 50 {
		for _, token := range []string{fresh(now.Add(time.Duration(i)*time.Second), "p256"), fmt.Sprint("token", i)} {
			start := time.Now()
			if _, err := verify(t, v, healthy, token); err != nil && code(err) != CodeTokenNotYetValid {
				t.Errorf("the healthy tenant: %s", describe(err))
			}
			longest = max(longest, time.Since(start))
		}
	}
	if longest > headerBudget*3/4 {
		t.Errorf("the healthy tenant waited %s", longest)
	}
	wg.Wait()
}

func introspectedAt(s *idp, path string) tenants.Provider {
	p := endpoint(s)
	p.Introspection = s.URL + path
	return p
}

// A tenant with no turn left does not hold up another that needs the same key set.
func TestTurnsOfASharedSource(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v := frozen()
	var wg sync.WaitGroup
	for _, path := range []string{"/dead1", "/dead2"} {
		arrived, _ := s.hang(t, path)
		wg.Go(func() { expect(t, v, byURL(s.URL+path), now, "p256", "trouble") })
		<-arrived
	}
	s.json("/shared", allKeys())
	s.json("/own", allKeys())
	held := make(chan error, 2)
	for _, path := range []string{"/shared", "/own"} {
		go func() {
			_, err := verify(t, v, tenantOf(byURL(s.URL+path)), fresh(now, "p256"))
			held <- err
		}()
	}
	start := time.Now()
	if _, err := verify(t, v, named("other", byURL(s.URL+"/shared")), fresh(now, "p256")); err != nil {
		t.Errorf("the other tenant: %s", describe(err))
	}
	if took := time.Since(start); took > headerBudget/2 {
		t.Errorf("the other tenant waited %s", took)
	}
	for range 2 {
		if err := <-held; err != nil {
			t.Errorf("the tenant itself, when its turn came: %s", describe(err))
		}
	}
	wg.Wait()
}

// A refresh in passing waits for no turn: what is there will do.
func TestNoTurnInPassing(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v := frozen()
	s.json("/keys", allKeys())
	expect(t, v, byURL(s.URL+"/keys"), now, "p256", "")
	at := now.Add(softAge)
	for range perTenant {
		done, err := v.keys.sets.turns.take(t.Context(), "acme", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
	}
	start := time.Now()
	expect(t, v, byURL(s.URL+"/keys"), at, "p256", "")
	if took := time.Since(start); took > totalBudget/2 {
		t.Errorf("took %s", took)
	}
	hits(t, s, "/keys", 1)
	// Where nothing will do, it is trouble when the wait is over.
	if _, err := verifyAt(t, v, tenantOf(byURL(s.URL+"/other")), fresh(at, "p256"), at); code(err) != "trouble" || !strings.Contains(err.Error(), errBusy.Error()) {
		t.Errorf("got %v", err)
	}
	hits(t, s, "/other", 0)
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.json("/keys", jwks(publicJWK("p256"), publicJWK("rsa").with(members{"use": "enc"})))
	s.status("/introspect", 500)
	v := asking()
	tenant := tenantOf(byURL(s.URL+"/keys"), endpoint(s))
	for name, value := range map[string]any{
		"jku": s.URL + "/keys", "jwk": publicJWK("p256-other"), "x5u": s.URL + "/keys", "x5c": []string{},
	} {
		token := minted{header: members{"kid": "p256", name: value}}.token()
		if _, err := verify(t, v, tenant, token); err != nil {
			t.Errorf("%s: %s", name, describe(err))
		}
	}
	for _, name := range []string{"x5t", "x"} {
		if _, err := verify(t, v, tenant, minted{header: members{"kid": "p256", name: "x"}}.token()); err != nil {
			t.Errorf("%s: %s", name, describe(err))
		}
	}
	if _, err := verify(t, v, tenant, opaque); code(err) != "trouble" {
		t.Errorf("got %v", err)
	}
	want := Stats{KeysInHeader: 4, UnusableKeys: 1, Requests: 2, Failures: 1}
	if got := v.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The secret is where the configuration has it, and nowhere else.
func TestSecretInTheBody(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.handle("/introspect", func(w http.ResponseWriter, r *http.Request) {
		if _, _, basic := r.BasicAuth(); basic || r.Header.Get("Authorization") != "" {
			t.Error("there is an Authorization header")
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if r.PostForm.Get("client_id") != "gate way" || r.PostForm.Get("client_secret") != clientSecret || r.PostForm.Get("token") != opaque {
			t.Errorf("the body is %v", r.PostForm)
		}
		if r.URL.RawQuery != "" {
			t.Errorf("the query is %q", r.URL.RawQuery)
		}
		answerJSON(said(nil))(w, r)
	})
	p := endpoint(s)
	p.AuthMethod = tenants.AuthPost
	v := asking()
	who, err := verify(t, v, tenantOf(p), opaque)
	if err != nil || who.Kind != engine.Opaque {
		t.Fatalf("%+v, %v", who, err)
	}
	// Another method is another configuration, and another question.
	s.json("/introspect", `{"active":false}`)
	if _, err := verify(t, v, tenantOf(endpoint(s)), opaque); code(err) != CodeTokenInactive {
		t.Errorf("got %v", err)
	}
}
