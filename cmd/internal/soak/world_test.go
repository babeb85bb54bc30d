package soak

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"regent/engine"
	"regent/tenants"
	"regent/tenants/dynamo"
)

// paths are the paths that are asked for. A revision allows one of them.
const paths = 5

// The APIs: one whose replies are exact, one whose replies are for a cache.
const (
	exactAPI  = "exact00000"
	cachedAPI = "cached0000"
)

// rules are the rules of a tenant's nth revision. What they decide follows from n.
func rules(id string, n int) string {
	return fmt.Sprintf(`package authz

# of tenant %[1]s
allow if {
	input.method == "GET"
	input.segments[0] == "p%[2]d"
	input.tenant.id == "%[1]s"
}

context := {"n": %[3]d}
`, id, n%paths, n)
}

// world is what is in the table, with a history of it.
type world struct {
	admin   *dynamo.Store
	tenants []*subject

	mu sync.Mutex
	// lags are when the table began and ended to answer as it had the last time: for as
	// long as it does, nobody can know better.
	lags []time.Time
}

func (w *world) lag() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lags = append(w.lags, time.Now())
}

// lagged tells whether the table's answers lagged behind at any time between two.
func (w *world) lagged(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(w.lags); i += 2 {
		if w.lags[i].Before(to) && (i+1 == len(w.lags) || w.lags[i+1].After(from)) {
			return true
		}
	}
	return false
}

// subject is a tenant and everything that it has been.
type subject struct {
	id      string
	writing sync.Mutex // one change at a time

	mu        sync.Mutex
	numbers   map[tenants.Digest]int
	revisions []period[tenants.Digest]
	suspended []period[bool]
}

// period is when a value was in force: from when the write began that put it there, to
// when the write of the next one was acknowledged.
type period[V comparable] struct {
	value    V
	from, to time.Time // to is zero while it is in force
}

func newWorld(admin *dynamo.Store, n int) *world {
	w := &world{admin: admin}
	for i := range n {
		w.tenants = append(w.tenants, &subject{id: tenantID(i), numbers: map[tenants.Digest]int{}})
	}
	return w
}

// apis are the APIs of every world: one whose replies are exact, one with a cache.
func apis(t testing.TB) []tenants.API {
	source := func(s string) tenants.Source {
		parsed, err := tenants.ParseSource(s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	all := []tenants.API{
		{ID: exactAPI, Kind: tenants.REST},
		{ID: cachedAPI, Kind: tenants.REST, Cache: tenants.Cache{TTL: time.Minute, Identity: []tenants.Source{source("header:authorization"), source("header:host")}}},
	}
	for i := range all {
		all[i].Credential, all[i].Tenant = source("header:authorization"), []tenants.Source{source("host")}
		for n := range paths {
			all[i].Routes = append(all[i].Routes, tenants.Route{Method: "GET", Path: fmt.Sprintf("/p%d", n)})
		}
	}
	return all
}

// record is the nth tenant's.
func record(n int) tenants.Tenant {
	return tenants.Tenant{
		ID: tenantID(n), Status: tenants.Active, Selectors: tenants.Selectors{Hosts: []string{host(n)}},
		Attributes: map[string]any{"plan": "gold"}, Identity: tenants.Identity{Anonymous: true},
	}
}

// fill writes the world into the table, each tenant with its first revision.
func (w *world) fill(t testing.TB) {
	platform, err := tenants.NewBundle([]tenants.File{{Path: "platform/guard.rego", Content: []byte("package platform\n\ndeny contains \"no\" if input.method == \"TRACE\"\n")}})
	if err != nil {
		t.Fatal(err)
	}
	w.fillWith(t, platform, func(n int) tenants.Bundle { return w.tenants[n].revision(t, 0) })
}

// fillWith writes the world with other rules.
func (w *world) fillWith(t testing.TB, platform tenants.Bundle, policy func(n int) tenants.Bundle) {
	for _, api := range apis(t) {
		if _, err := w.admin.PutAPI(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	err := w.admin.PutRevision(t.Context(), tenants.PlatformOwner, platform, tenants.Revision{Digest: platform.Digest(), Time: time.Now()})
	if err == nil {
		_, err = w.admin.Activate(t.Context(), tenants.PlatformOwner, tenants.Activation{To: platform.Digest()})
	}
	if err != nil {
		t.Fatal(err)
	}
	work := make(chan int)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := range work {
				if _, err := w.admin.PutTenant(t.Context(), record(n)); err != nil {
					t.Error(err)
				}
				w.tenants[n].suspended = []period[bool]{{from: time.Now()}}
				w.publish(t, w.tenants[n], policy(n))
			}
		})
	}
	for n := range w.tenants {
		work <- n
	}
	close(work)
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// revision is the bundle of a tenant's nth revision.
func (s *subject) revision(t testing.TB, n int) tenants.Bundle {
	bundle, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte(rules(s.id, n))}})
	if err != nil {
		t.Error(err)
	}
	return bundle
}

// activate publishes the next revision of a tenant and brings it into force.
func (w *world) activate(t testing.TB, n int) {
	s := w.tenants[n]
	s.writing.Lock()
	defer s.writing.Unlock()
	w.publish(t, s, s.revision(t, len(s.numbers)))
}

func (w *world) publish(t testing.TB, s *subject, bundle tenants.Bundle) {
	if err := w.admin.PutRevision(t.Context(), s.id, bundle, tenants.Revision{Digest: bundle.Digest(), Time: time.Now()}); err != nil {
		t.Error(err)
		return
	}
	s.mu.Lock()
	s.numbers[bundle.Digest()] = len(s.numbers)
	s.mu.Unlock()
	w.move(t, s, bundle.Digest())
}

// rollBack brings an earlier revision of a tenant into force.
func (w *world) rollBack(t testing.TB, n int) {
	s := w.tenants[n]
	s.writing.Lock()
	defer s.writing.Unlock()
	if len(s.revisions) > 1 {
		w.move(t, s, s.revisions[len(s.revisions)-2].value)
	}
}

func (w *world) move(t testing.TB, s *subject, to tenants.Digest) {
	begun := time.Now()
	s.mu.Lock()
	s.revisions = append(s.revisions, period[tenants.Digest]{value: to, from: begun})
	s.mu.Unlock()
	now, err := w.admin.Active(t.Context(), s.id)
	if err == nil {
		_, err = w.admin.Activate(t.Context(), s.id, tenants.Activation{To: to, Version: now.Version})
	}
	if err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end(s.revisions)
}

// toggle suspends a tenant, or resumes it.
func (w *world) toggle(t testing.TB, n int) {
	s := w.tenants[n]
	s.writing.Lock()
	defer s.writing.Unlock()
	record, err := w.admin.Tenant(t.Context(), s.id)
	if err != nil {
		t.Error(err)
		return
	}
	suspend := record.Status == tenants.Active
	if record.Status = tenants.Active; suspend {
		record.Status = tenants.Suspended
	}
	s.mu.Lock()
	s.suspended = append(s.suspended, period[bool]{value: suspend, from: time.Now()})
	s.mu.Unlock()
	if _, err := w.admin.PutTenant(t.Context(), record); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end(s.suspended)
}

// end closes the period before the last: what took its place is acknowledged.
func end[V comparable](all []period[V]) {
	if len(all) > 1 {
		all[len(all)-2].to = time.Now()
	}
}

// was tells whether a value was in force at any time between two.
func was[V comparable](all []period[V], value V, from, to time.Time) bool {
	return slices.ContainsFunc(all, func(p period[V]) bool {
		return p.value == value && !p.from.After(to) && (p.to.IsZero() || !p.to.Before(from))
	})
}

// inForce returns what is in force for a tenant.
func (w *world) inForce(n int) (tenants.Digest, bool) {
	s := w.tenants[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revisions[len(s.revisions)-1].value, s.suspended[len(s.suspended)-1].value
}

// slack is what a decision may be late beyond the ladder: a read that was begun in time
// and took long, on a machine with much else to do.
const slack = 3 * time.Second

// judge holds a decision to the revision that it names, and the revision to when it was
// in force. It returns what is wrong.
func (w *world) judge(n, path int, start, end time.Time, out engine.Outcome) string {
	if out.Err != nil {
		return "" // counted: that it is trouble, and which
	}
	s := w.tenants[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := start.Add(-2**refresh - slack)
	if out.Record.Stale != nil || w.lagged(oldest, end) {
		oldest = time.Time{}
	}
	record := out.Record
	if suspended := record.Result.Code == engine.CodeTenantSuspended; !was(s.suspended, suspended, oldest, end) {
		return fmt.Sprintf("whether it is suspended has not been %t since %s", suspended, oldest)
	} else if suspended {
		return ""
	}
	revision := tenants.Digest(record.Bundles[s.id].Revision)
	number, ours := s.numbers[revision]
	if !ours {
		return "a revision decided that is not the tenant's"
	}
	if !was(s.revisions, revision, oldest, end) {
		return fmt.Sprintf("revision %d decided, which has not been in force since %s", number, oldest)
	}
	if allowed := record.Result.Outcome == "allow"; allowed != (path == number%paths) {
		return fmt.Sprintf("revision %d does not say %s to path %d", number, record.Result.Outcome, path)
	}
	var reply struct {
		Context struct {
			N        int    `json:"n"`
			Tenant   string `json:"tenantId"`
			Revision string `json:"revision"`
		} `json:"context"`
	}
	if err := json.Unmarshal(out.Reply, &reply); err != nil {
		return err.Error()
	}
	if c := reply.Context; c.N != number || c.Tenant != s.id || c.Revision != string(revision) {
		return fmt.Sprintf("the reply has the context %+v", c)
	}
	return ""
}

func host(n int) string { return tenantID(n) + ".example" }

// request is an event for a tenant and a path; every other path is asked of the API
// with a cache.
func request(n, path int) []byte {
	api := exactAPI
	if (n+path)%2 == 1 {
		api = cachedAPI
	}
	return fmt.Appendf(nil, `{"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:%[1]s/prod/GET/p%[2]d",
		"resource": "/p%[2]d", "path": "/p%[2]d", "httpMethod": "GET", "headers": {"Host": %[3]q}, "multiValueHeaders": {"Host": [%[3]q]},
		"requestContext": {"accountId": "123456789012", "apiId": "%[1]s", "stage": "prod", "httpMethod": "GET", "resourcePath": "/p%[2]d", "path": "/prod/p%[2]d",
			"identity": {"sourceIp": "203.0.113.7"}}}`, api, path, host(n))
}
