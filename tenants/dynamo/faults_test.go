package dynamo_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

// faultCase is a row of testdata/faults.json: what a function that begins gets for an
// answer, with how many requests and how soon.
type faultCase struct {
	ID, Name string
	Fault    dynamotest.Fault
	// Ask is a method of a Store; Large is Bundle for one of several pieces.
	Ask string
	// Want is "" for the right answer, "not found", "damaged", or the Code of the Error; * is
	// any Code.
	Want string
	// Attempts is the number of requests; AtMost says that it may be fewer, where the time
	// may be up before.
	Attempts int
	AtMost   bool
	// Hint is a part of the Error's.
	Hint string
}

// soon bounds every answer: all that FunctionLimits allow, and a little for the rest.
const soon = 450 * time.Millisecond

func TestFaults(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/faults.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []faultCase
	if err := json.Unmarshal(content, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, error %v", len(cases), err)
	}
	f := newFixture(t, 3)
	for _, c := range cases {
		t.Run(c.ID+" "+c.Name, func(t *testing.T) {
			t.Parallel()
			// This machine may be busy with other things: the quickest of a few counts.
			for try := 1; ; try++ {
				took, problem := f.meet(t, c)
				if problem == "" && (took <= soon || c.Ask == "Large") {
					return
				}
				if try == 6 {
					t.Fatalf("%s %s after %s, want an answer within %s", c.Name, problem, took, soon)
				}
			}
		})
	}
}

// fixture is a table with a tenant, an API and a platform. The tenant's policy is one
// piece; large, if there, has as many as were asked for.
type fixture struct {
	table                  string
	tenant                 string
	policy, large, guarded tenants.Digest
}

func newFixture(t testing.TB, pieces int) fixture {
	t.Helper()
	store := dynamotest.Open(t)
	f := fixture{table: store.Table(), tenant: "acme"}
	stored, err := store.PutTenant(t.Context(), tenants.Tenant{
		ID: f.tenant, Status: tenants.Active, Selectors: tenants.Selectors{Hosts: []string{"acme.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.policy = publish(t, store, f.tenant, stored.Version, []tenants.File{{Path: "authz.rego", Content: []byte("package authz\n")}})
	if pieces > 0 {
		f.large = publish(t, store, f.tenant, stored.Version+1, largeOf(pieces))
	}
	f.guarded = publish(t, store, tenants.PlatformOwner, 0, []tenants.File{{Path: "platform/guard.rego", Content: []byte("package platform\n")}})
	if _, err := store.PutAPI(t.Context(), tenants.API{
		ID: "a1b2c3", Kind: tenants.REST, Credential: tenants.Source{Kind: "header", Name: "authorization"},
	}); err != nil {
		t.Fatal(err)
	}
	return f
}

// largeOf is a policy of that many pieces.
func largeOf(pieces int) []tenants.File {
	return []tenants.File{{Path: "noise", Content: noise((pieces-1)*350<<10+5000, 1)}}
}

// noise cannot be packed.
func noise(n int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}

func publish(t testing.TB, r tenants.Registry, owner string, version int64, files []tenants.File) tenants.Digest {
	t.Helper()
	b, err := tenants.NewBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.PutRevision(t.Context(), owner, b, tenants.Revision{Digest: b.Digest()}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Activate(t.Context(), owner, tenants.Activation{To: b.Digest(), Version: version}); err != nil {
		t.Fatal(err)
	}
	return b.Digest()
}

// meet asks a store that has made no request yet.
func (f fixture) meet(t *testing.T, c faultCase) (took time.Duration, problem string) {
	t.Helper()
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	proxy.Add(c.Fault)
	limits := dynamo.FunctionLimits()
	if c.Ask == "Large" { // a megabyte takes its time with the race detector on
		limits.Attempt, limits.Total = patient().Attempt, patient().Total
	}
	store := dynamotest.OpenAt(t, proxy.URL, dynamo.Options{Table: f.table, Limits: limits})
	start := time.Now()
	err := f.ask(t.Context(), store, c.Ask)
	took = time.Since(start)
	if n := proxy.Requests(""); n != c.Attempts && !(c.AtMost && n > 0 && n < c.Attempts) {
		return took, strings.Join([]string{"made another number of requests, and answered", text(err)}, " ")
	}
	var failed *dynamo.Error
	errors.As(err, &failed)
	switch {
	case err != nil && errors.Is(err, tenants.ErrNotFound) != (c.Want == "not found"):
		return took, "answered " + text(err)
	case err != nil && strings.Contains(err.Error(), dynamotest.TokenInAnswer):
		t.Fatalf("the error has a session token in it: %v", err)
	}
	switch c.Want {
	case "":
		if err != nil {
			return took, "answered " + text(err)
		}
	case "not found":
		if err == nil {
			return took, "answered with a value"
		}
	case "damaged":
		if failed == nil || failed.Code != "" || !failed.Permanent {
			return took, "answered " + text(err)
		}
	default:
		if failed == nil || failed.Code != c.Want && c.Want != "*" || !strings.Contains(failed.Hint, c.Hint) {
			return took, "answered " + text(err)
		}
	}
	return took, ""
}

func text(err error) string {
	var failed *dynamo.Error
	switch {
	case err == nil:
		return "with a value"
	case errors.As(err, &failed):
		return err.Error() + " (" + failed.Code + "; " + failed.Hint + ")"
	default:
		return err.Error()
	}
}

func (f fixture) ask(ctx context.Context, store *dynamo.Store, what string) error {
	switch what {
	case "Tenant":
		got, err := store.Tenant(ctx, f.tenant)
		return or(err, got.ID == f.tenant)
	case "API":
		got, err := store.API(ctx, "a1b2c3")
		return or(err, got.ID == "a1b2c3")
	case "Select":
		got, err := store.Select(ctx, tenants.ByHost, "acme.example")
		return or(err, got == f.tenant)
	case "Platform":
		got, err := store.Platform(ctx)
		return or(err, got == f.guarded)
	case "Bundle":
		got, err := store.Bundle(ctx, f.policy)
		return or(err, got.Digest() == f.policy)
	case "Large":
		got, err := store.Bundle(ctx, f.large)
		return or(err, got.Digest() == f.large)
	default:
		return errors.New("the case asks for " + what)
	}
}

func or(err error, right bool) error {
	if err == nil && !right {
		return errors.New("not the right value")
	}
	return err
}
