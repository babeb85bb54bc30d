package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"regent/engine"
	"regent/tenants"
)

// shelves loads revisions, except those that fail, for any platform that does not.
type shelves struct {
	*scene
	failing map[tenants.Digest]error
	loads   int
}

func (s *shelves) Load(_ context.Context, _ string, platform, revision tenants.Digest) (engine.Policy, error) {
	s.loads++
	for _, d := range []tenants.Digest{platform, revision} {
		if err := s.failing[d]; err != nil {
			return nil, err
		}
	}
	return decided{s.scene, revision}, nil
}

// decided are rules that say which revision they are.
type decided struct {
	*scene
	revision tenants.Digest
}

func (d decided) Decide(context.Context, engine.Input, time.Time) (engine.Decision, error) {
	return engine.Decision{Allow: true, Context: map[string]any{"by": string(d.revision)}}, nil
}

// coded is an error of a store that has a code.
type coded struct{}

func (coded) Error() string     { return "reading too fast" }
func (coded) StoreCode() string { return "ThrottlingException" }

// deleted is the status of a tenant that is not there from now on.
const deleted tenants.Status = "deleted"

// TestLastGoodRevision walks a tenant through activations of revisions that load and
// of some that do not.
func TestLastGoodRevision(t *testing.T) {
	t.Parallel()
	type step struct {
		pass     time.Duration // since the step before
		revision string        // that is in force from now on; "" as before
		platform string
		status   tenants.Status
		fails    string        // does not load from now on
		age      time.Duration // of the tenant's record, which the store could not read anew
		want     string        // the outcome, and the revision that decided where one did
		stale    string        // of the record: age, revision and platform in force, store code
		loads    int           // how often something was loaded; 0 to not look
	}
	var (
		unread  = engine.Troublef("store", "bundle: %w", coded{})
		broken  = engine.Troublef("policy", "does not compile")
		killed  = engine.Troublef("policy_parked", "it had to be ended again and again")
		damaged = errors.New("not what the digest says")
	)
	failing := map[tenants.Digest]error{"unread": unread, "broken": broken, "killed": killed, "damaged": damaged, "p-broken": broken}
	tests := []struct {
		name     string
		maxStale time.Duration
		steps    []step
	}{
		{"a revision that does not compile", time.Hour, []step{
			{revision: "r1", want: "allow r1", loads: 1},
			{pass: time.Minute, revision: "broken", want: "allow r1", stale: "60s broken  ", loads: 2},
			{pass: time.Minute, want: "allow r1", stale: "120s broken  "},
			{pass: time.Minute, revision: "r2", want: "allow r2"},
		}},
		{"a bundle that cannot be read", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{pass: 5 * time.Second, revision: "unread", want: "allow r1", stale: "5s unread  ThrottlingException", loads: 2},
			{pass: 0, want: "allow r1", stale: "5s unread  ThrottlingException", loads: 1}, // not tried again at once
			{pass: time.Second, want: "allow r1", stale: "6s unread  ThrottlingException", loads: 2},
		}},
		{"a bundle that is not what its digest says", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{revision: "damaged", want: "allow r1", stale: "0s damaged  "},
		}},
		{"a platform that does not compile", time.Hour, []step{
			{revision: "r1", platform: "p1", want: "allow r1"},
			{pass: time.Second, platform: "p-broken", want: "allow r1", stale: "1s  p-broken "},
			{pass: time.Second, revision: "r2", want: "allow r1", stale: "2s r2 p-broken "},
			{pass: time.Second, platform: "p2", want: "allow r2"},
		}},
		{"for an hour and no longer", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{pass: time.Hour - 1, revision: "broken", want: "allow r1", stale: "3599s broken  "},
			{pass: 1, want: "trouble policy"},
		}},
		{"counted from when it was last in force", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{pass: 2 * time.Hour, want: "allow r1"},
			{pass: time.Minute, revision: "broken", want: "allow r1", stale: "60s broken  "},
			{pass: time.Minute, revision: "r1", want: "allow r1"},
			{pass: 59 * time.Minute, revision: "broken", want: "allow r1", stale: "3540s broken  "},
		}},
		{"the wall clock goes back", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{pass: -time.Hour, revision: "broken", want: "allow r1", stale: "0s broken  "},
		}},
		{"from when the record was read, not from when it was used", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{pass: 50 * time.Minute, age: 50 * time.Minute, want: "allow r1", stale: "3000s   ThrottlingException"},
			{pass: 9 * time.Minute, revision: "broken", want: "allow r1", stale: "3540s broken  "},
			{pass: time.Minute, want: "trouble policy"},
		}},
		{"nothing was in force before", time.Hour, []step{{revision: "broken", want: "trouble policy"}, {want: "trouble policy"}}},
		{"rules that had to be ended", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{revision: "killed", want: "trouble policy_parked"},
		}},
		{"a tenant that was deleted, and another that has its id", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{status: deleted, want: "deny all tenant_unknown "},
			{revision: "broken", status: tenants.Active, want: "trouble policy"},
		}},
		{"a suspended tenant", time.Hour, []step{
			{revision: "r1", want: "allow r1"},
			{revision: "broken", status: tenants.Suspended, want: "deny all tenant_suspended "},
		}},
		{"one that stands in fails too", time.Hour, []step{
			{revision: "r1", platform: "p1", want: "allow r1"},
			{revision: "broken", want: "allow r1", stale: "0s broken  "},
			{fails: "r1", pass: time.Minute, want: "trouble policy"},
		}},
		{"not at all", 0, []step{
			{revision: "r1", want: "allow r1"},
			{revision: "broken", want: "trouble policy"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			s.claims = nil
			now := at
			policies := &shelves{scene: s, failing: maps.Clone(failing)}
			a := s.authorizer(t)
			a.Policies, a.MaxStale = policies, tt.maxStale
			a.Now = func() time.Time { return now }
			for i, step := range tt.steps {
				now = now.Add(step.pass)
				tenant := s.tenants["acme"]
				tenant.ID, tenant.Identity.Anonymous = "acme", true
				if step.revision != "" {
					tenant.Revision = tenants.Digest(step.revision)
				}
				if step.status != "" {
					tenant.Status = step.status
				}
				s.tenants["acme"] = tenant
				if step.status == deleted {
					delete(s.tenants, "acme")
				}
				if step.platform != "" {
					s.platform = tenants.Digest(step.platform)
				}
				s.req.Headers = map[string][]string{"host": {"api.acme.example"}}
				if step.fails != "" {
					policies.failing[tenants.Digest(step.fails)] = unread
				}
				s.staleness = step.age
				policies.loads = 0
				got, out := s.ask(t, a)
				if out.Err == nil {
					by, _ := replied(t, out).Context["by"].(string)
					got += " " + by
					if logged := out.Record.Bundles["acme"].Revision; by != "" && logged != by {
						t.Errorf("step %d: %s decided and %s is logged", i, by, logged)
					}
				}
				if got != step.want {
					t.Errorf("step %d: got %q, want %q (%v)", i, got, step.want, out.Err)
				}
				stale := ""
				if r := out.Record.Stale; r != nil {
					stale = fmt.Sprintf("%ds %s %s %s", r.AgeSeconds, r.Revision, r.Platform, r.Store)
				}
				if stale != step.stale {
					t.Errorf("step %d: logged as stale %q, want %q", i, stale, step.stale)
				}
				if step.loads > 0 && policies.loads != step.loads {
					t.Errorf("step %d: %d loads, want %d", i, policies.loads, step.loads)
				}
			}
		})
	}
}

// TestStoreCodes holds that the log says what the store said.
func TestStoreCodes(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.fail["Tenant"] = func() error { return fmt.Errorf("tenant: %w", coded{}) }
	got, out := s.ask(t, s.authorizer(t))
	if got != "trouble store" || out.Record.Error.Store != "ThrottlingException" {
		t.Errorf("%s, logged as %+v", got, out.Record.Error)
	}
}
