package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/engine/identity"
	"regent/tenants"
)

// The whole record of an allowed request: what is in it, and that nothing else is.
func TestRecord(t *testing.T) {
	t.Parallel()
	s := newScene()
	a := s.authorizer(t)
	ticks := []time.Time{at, at.Add(3 * time.Millisecond)}
	a.Now = func() time.Time {
		now := ticks[0]
		ticks = ticks[1:]
		return now
	}
	_, out := s.ask(t, a)
	delete(out.Record.Metrics, "timer_rego_query_eval_ns") // a clock of its own
	want := engine.Record{
		DecisionID: "id-1", Timestamp: at, Path: "authz", RequestedBy: "203.0.113.7", GatewayRequestID: "request-1",
		Bundles: map[string]engine.RecordBundle{"acme": {"sha256:acme"}, "platform": {"sha256:p1"}},
		Input: &engine.RecordInput{
			Shape: engine.ShapeREST, Tenant: "acme",
			Identity: engine.RecordIdentity{Kind: engine.JWT, Issuer: "https://idp.acme.example", Subject: "98ae0a96797624d7"},
			API:      engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
			Method:   "GET", Path: "/orders", Route: "/orders",
		},
		Erased:  []string{"/input/headers", "/input/query", "/input/identity/claims"},
		Masked:  []string{"/input/identity/subject"},
		Result:  engine.RecordResult{Outcome: "allow", Code: "policy"},
		Metrics: map[string]int64{"timer_authorizer_ns": 3_000_000},
	}
	if diff := cmp.Diff(want, out.Record); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(out.Record, s.records[0]); diff != "" {
		t.Errorf("told and logged differ:\n%s", diff)
	}
}

// A subject's digest is the same for the same caller only: another tenant, issuer,
// subject or salt has another.
func TestSubjectDigest(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, edit := range map[string]func(*scene, *engine.Authorizer){
		"same":    func(*scene, *engine.Authorizer) {},
		"tenant":  func(s *scene, _ *engine.Authorizer) { host("api.globex.example")(s) },
		"issuer":  func(s *scene, _ *engine.Authorizer) { s.claims[aliceToken]["iss"] = "https://other.example" },
		"subject": func(s *scene, _ *engine.Authorizer) { s.claims[aliceToken]["sub"] = "bob" },
		"shifted": func(s *scene, _ *engine.Authorizer) {
			s.claims[aliceToken]["iss"], s.claims[aliceToken]["sub"] = "https://idp.acme.examplec", "anary-alice"
		},
		"salt": func(_ *scene, a *engine.Authorizer) { a.Salt = []byte("pepper") },
	} {
		s := newScene()
		a := s.authorizer(t)
		edit(s, a)
		_, first := s.ask(t, a)
		_, second := s.ask(t, a)
		digest := first.Record.Input.Identity.Subject
		if digest != second.Record.Input.Identity.Subject || len(digest) != 16 {
			t.Errorf("%s: digest %q, then %q", name, digest, second.Record.Input.Identity.Subject)
		}
		if other, taken := seen[digest]; taken {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[digest] = name
	}
}

// Texts of rules and clients are cut: a log line has a bound.
func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	s := newScene()
	long := strings.Repeat("x", 5000)
	s.decision = engine.Decision{Reasons: []string{long}}
	s.req.Path, s.req.Method = "/"+long, long
	_, out := s.ask(t, s.authorizer(t))
	for name, text := range map[string]string{
		"reason": out.Record.Result.Reasons[0], "path": out.Record.Input.Path, "method": out.Record.Input.Method,
	} {
		if len(text) > 260 || !strings.HasSuffix(text, "…") {
			t.Errorf("%s of %d bytes", name, len(text))
		}
	}
}

func TestDecisionIDsAreUnique(t *testing.T) {
	t.Parallel()
	s := newScene()
	a := s.authorizer(t)
	seen := map[string]bool{}
	for range 50 {
		_, out := s.ask(t, a)
		id := out.Record.DecisionID
		if id == "" || seen[id] || replied(t, out).Context["decisionId"] != id {
			t.Fatalf("id %q again, or another in the reply: %s", id, out.Reply)
		}
		seen[id] = true
	}
}

// The real thing under concurrent load answers every event as it does when it is
// asked one by one.
func TestConcurrentAnswersAreSequentialAnswers(t *testing.T) {
	t.Parallel()
	const goroutines, rounds = 64, 20
	i := newIssuer(t)
	for name, changes := range map[string][]change{"exact": {withoutCache()}, "cached": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := embedded(t, i, changes...)
			var events [][]byte
			for _, role := range []string{"viewer", "clerk", "manager", "greeter", "nobody"} {
				token := i.token(t, role+"-user", role)
				events = append(events,
					restEvent(token, "GET", "/orders", "/orders"), restEvent(token, "DELETE", "/orders/{id}", "/orders/17"),
					restEvent(token, "GET", "/sayhello", "/sayhello"), restEvent(token, "GET", "/internal/{proxy+}", "/internal/x"),
					restEvent(token, "GET", "/orders/{id}", "/orders/..%2f"))
			}
			events = append(events, restEvent("", "GET", "/orders", "/orders"), restEvent("a.b.c", "GET", "/orders", "/orders"), []byte("{"))
			answer := func(a *engine.Authorizer, event []byte) string {
				reply, err := a.Authorize(t.Context(), event)
				return fmt.Sprintf("%s %v", reply, err)
			}
			settle := func() *engine.Authorizer {
				a := assembled(t, store, identity.Config{})
				a.NewID = func() string { return "id" }
				return a
			}
			sequential, want := settle(), make([]string, len(events))
			distinct := map[string]bool{}
			for n, event := range events {
				want[n] = answer(sequential, event)
				distinct[want[n]] = true
			}
			if len(distinct) < 7 {
				t.Fatalf("only %d different answers", len(distinct))
			}
			concurrent := settle()
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					for r := range rounds {
						n := (g*7 + r) % len(events)
						if got := answer(concurrent, events[n]); got != want[n] {
							t.Errorf("event %d:\n%s\nalone:\n%s", n, got, want[n])
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// A record is one line of JSON.
func TestRecordIsOneLine(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.decision = engine.Decision{Reasons: []string{"two\nlines\u2028and more", "a\rreturn", "and\r\nboth\u2029\u0085"}}
	s.req.Path, s.req.Method = "/a\r\nb", "GET\r"
	_, out := s.ask(t, s.authorizer(t))
	line, err := json.Marshal(out.Record)
	if err != nil || strings.ContainsAny(string(line), "\n\r\u2028\u2029") {
		t.Errorf("%q, %v", line, err)
	}
	var read engine.Record
	if err := json.Unmarshal(line, &read); err != nil || !slices.Equal(read.Result.Reasons, s.decision.Reasons) {
		t.Errorf("read again: %q, %v", read.Result.Reasons, err)
	}
}

// TestNoSecretInText holds that an Authorizer prints neither its salt nor anything that
// it remembers (OPS-05).
func TestNoSecretInText(t *testing.T) {
	t.Parallel()
	s := newScene()
	a := s.authorizer(t)
	a.Salt = []byte("pepper")
	if got, _ := s.ask(t, a); got != "allow" {
		t.Fatal(got)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", a)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", a)
	text := fmt.Sprintf("%v %+v %#v %s %x %d", a, a, a, a, a, a) + log.String()
	for _, secret := range []string{"pepper", fmt.Sprint([]byte("pepper")), fmt.Sprintf("%x", "pepper"), "0x70, 0x65", canary, "alice"} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret %q is in %s", secret, text)
		}
	}
}
