package identity

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"regent/tenants"
)

// idp is a provider on loopback whose answers a test sets and whose requests it counts.
type idp struct {
	*httptest.Server
	mu    sync.Mutex
	paths map[string]http.HandlerFunc
	hits  map[string]int
}

func newIDP(t testing.TB) *idp {
	t.Helper()
	s := unstartedIDP()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func unstartedIDP() *idp {
	s := &idp{paths: map[string]http.HandlerFunc{}, hits: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.hits[r.URL.Path]++
		serve := s.paths[r.URL.Path]
		s.mu.Unlock()
		if serve == nil {
			http.NotFound(w, r)
			return
		}
		serve(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

func (s *idp) handle(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[path] = h
}

func (s *idp) json(path, body string) { s.handle(path, answerJSON(body)) }

func (s *idp) status(path string, status int) {
	s.handle(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// hang lets requests to a path wait until the test or the request ends, and
// returns a channel that gets a value as each of them arrives.
func (s *idp) hang(t testing.TB, path string) (arrived chan struct{}, release func()) {
	t.Helper()
	arrived, released := make(chan struct{}, 1000), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	s.handle(path, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-released:
			answerJSON(allKeys())(w, r)
		case <-r.Context().Done():
		}
	})
	return arrived, release
}

func (s *idp) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[path]
}

func answerJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}
}

// byURL is the base provider with its keys at a URL.
func byURL(url string) tenants.Provider {
	p := provider()
	p.JWKS = tenants.KeySource{URL: url}
	return p
}

// byDiscovery is a provider whose issuer is the server itself.
func (s *idp) byDiscovery() tenants.Provider {
	p := provider()
	p.Issuer, p.JWKS = s.URL, tenants.KeySource{Discovery: true}
	s.json(wellKnown, members{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}.json())
	s.json("/keys", allKeys())
	return p
}

// private returns a Verifier that may reach loopback.
func private() *Verifier { return New(Config{AllowPrivate: true}) }

// frozen returns a Verifier whose monotonic clock stands still, so that only the
// instants handed to Verify pass.
func frozen() *Verifier {
	return newVerifier(Config{AllowPrivate: true}, clock{func() time.Duration { return 0 }})
}

// fresh makes a token that is valid at an instant, signed with p256 under any kid.
func fresh(at time.Time, kid string) string {
	return minted{header: members{"kid": kid}, claims: members{
		"iat": at.Unix() - 10, "exp": at.Unix() + 300,
	}}.token()
}

// settle waits until the flight to a source has ended, if there is one.
func settle[T any](r *remote[T], source string) {
	e := r.entry(source)
	e.mu.Lock()
	f := e.flight
	e.mu.Unlock()
	if f != nil {
		<-f.done
	}
}

func inline(set string) json.RawMessage { return json.RawMessage(set) }
