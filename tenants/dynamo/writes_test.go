package dynamo_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

// rounds is for what races; `go test ./tenants/dynamo -run Concurrent -rounds 1000` is
// the long form.
var rounds = flag.Int("rounds", 40, "rounds of the tests in which publishers race")

func administrator(t testing.TB, endpoint, table, author string) *dynamo.Store {
	return dynamotest.OpenAt(t, endpoint, dynamo.Options{Table: table, Administer: true, Author: author})
}

// A write is done and its answer lost, each in turn: the retry must find its own work,
// and nothing is done twice.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	ops := []struct {
		name string
		do   func(ctx context.Context, r tenants.Registry, f fixture) error
	}{
		{"PutTenant, new", func(ctx context.Context, r tenants.Registry, _ fixture) error {
			got, err := r.PutTenant(ctx, tenants.Tenant{ID: "bolt", Selectors: tenants.Selectors{Hosts: []string{"bolt.example"}}})
			return or(err, got.Version == 1)
		}},
		{"PutTenant", func(ctx context.Context, r tenants.Registry, f fixture) error {
			before, err := r.Tenant(ctx, f.tenant)
			if err != nil {
				return err
			}
			change := before
			change.Selectors.Hosts = []string{"second.example"}
			after, err := r.PutTenant(ctx, change)
			return or(err, after.Version == before.Version+1)
		}},
		{"Activate", func(ctx context.Context, r tenants.Registry, f fixture) error {
			before, err := r.Active(ctx, f.tenant)
			if err != nil {
				return err
			}
			after, err := r.Activate(ctx, f.tenant, tenants.Activation{To: f.policy, Version: before.Version, Author: "bob"})
			if err != nil {
				return err
			}
			audit, err := r.Activations(ctx, f.tenant)
			return or(err, after.Version == before.Version+1 && len(audit) == 2 && audit[0] == after)
		}},
		{"DeleteTenant", func(ctx context.Context, r tenants.Registry, f fixture) error {
			return r.DeleteTenant(ctx, f.tenant, 2)
		}},
		{"PutAPI and DeleteAPI", func(ctx context.Context, r tenants.Registry, _ fixture) error {
			stored, err := r.PutAPI(ctx, tenants.API{ID: "new", Credential: tenants.Source{Kind: "header", Name: "x"}})
			if err != nil {
				return err
			}
			if stored, err = r.PutAPI(ctx, stored); err != nil {
				return err
			}
			return or(r.DeleteAPI(ctx, "new", stored.Version), stored.Version == 2)
		}},
		{"PutRevision", func(ctx context.Context, r tenants.Registry, f fixture) error {
			bundle, err := tenants.NewBundle([]tenants.File{{Path: "noise", Content: noise(360<<10, 2)}})
			if err != nil {
				return err
			}
			return r.PutRevision(ctx, f.tenant, bundle, tenants.Revision{Digest: bundle.Digest()})
		}},
	}
	for _, op := range ops {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			for nth := 0; ; nth++ {
				f := newFixture(t, 0)
				proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
				var lost atomic.Bool
				proxy.Add(dynamotest.Fault{
					Kind: dynamotest.LostAnswer, Operation: dynamotest.Writes, After: nth, Count: 1,
					Meanwhile: func() { lost.Store(true) },
				})
				if err := op.do(t.Context(), administrator(t, proxy.URL, f.table, "ann"), f); err != nil {
					t.Errorf("the answer to write %d is lost: %v", nth+1, err)
				}
				if lost.Load() {
					continue
				}
				if nth == 0 {
					t.Fatal("no write was made")
				}
				return
			}
		})
	}
}

// An activation is made, its answer lost, and before the retry somebody else activates
// on top: it did win, and its audit item says so.
func TestLostAnswerOvertaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	rival := administrator(t, dynamotest.Endpoint(t), f.table, "bob")
	before, err := rival.Active(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	overtaking := make(chan tenants.Activation, 1)
	proxy.Add(dynamotest.Fault{Kind: dynamotest.LostAnswer, Operation: "UpdateItem", Count: 1, Meanwhile: func() {
		a, err := rival.Activate(context.Background(), f.tenant, tenants.Activation{To: f.large, Version: before.Version + 1, Author: "bob"})
		if err != nil {
			t.Error(err)
		}
		overtaking <- a
	}})
	won, err := administrator(t, proxy.URL, f.table, "ann").Activate(t.Context(), f.tenant, tenants.Activation{To: f.policy, Version: before.Version, Author: "ann"})
	if err != nil || won.Version != before.Version+1 {
		t.Errorf("version %d, error %v; want version %d", won.Version, err, before.Version+1)
	}
	audit, err := rival.Activations(t.Context(), f.tenant)
	if err != nil || len(audit) < 2 || audit[0] != <-overtaking || audit[1] != won {
		t.Errorf("audit %+v, error %v", audit, err)
	}
}

// A process ends between its activation and the audit item. Whoever activates next
// writes it, without having listed anything.
func TestAuditItemLeftOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	proxy.Add(dynamotest.Fault{Kind: dynamotest.Reset, Operation: "PutItem", Contains: `ACTIVATION#`, After: 1})
	killed := dynamotest.OpenAt(t, proxy.URL, dynamo.Options{Table: f.table, Administer: true, Limits: dynamo.Limits{Retries: -1}})
	next := administrator(t, dynamotest.Endpoint(t), f.table, "bob")
	before, err := next.Active(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	_, err = killed.Activate(t.Context(), f.tenant, tenants.Activation{To: f.policy, Version: before.Version, Author: "ann"})
	if err == nil || errors.Is(err, tenants.ErrConflict) || !strings.Contains(err.Error(), "is in force; its audit item is not written yet") {
		t.Fatalf("error %v, want one that says what is in force", err)
	}
	last, err := next.Activate(t.Context(), f.tenant, tenants.Activation{To: f.large, Version: before.Version + 1, Author: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	audit, err := next.Activations(t.Context(), f.tenant)
	if err != nil || len(audit) != 4 || audit[0] != last || audit[1].Author != "ann" || audit[1].To != f.policy {
		t.Errorf("audit %+v, error %v", audit, err)
	}
}

// DDB-09: of publishers that read the same state, exactly one wins, and the audit says
// who.
func TestConcurrentPublishers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2)
	names := []string{"ann", "bob", "eve"}
	publishers := map[string]*dynamo.Store{}
	for _, name := range names {
		publishers[name] = administrator(t, dynamotest.Endpoint(t), f.table, name)
	}
	active, err := publishers["ann"].Active(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	want := []tenants.Activation{}
	for round := range *rounds {
		start := make(chan struct{})
		won := make([]tenants.Activation, len(names))
		lost := make([]error, len(names))
		var group sync.WaitGroup
		for i, name := range names {
			to := []tenants.Digest{f.policy, f.large}[(round+i)%2]
			group.Go(func() {
				<-start
				won[i], lost[i] = publishers[name].Activate(t.Context(), f.tenant, tenants.Activation{To: to, Version: active.Version, Author: name})
			})
		}
		close(start)
		group.Wait()
		var winner *tenants.Activation
		for i := range names {
			switch {
			case lost[i] == nil && winner == nil:
				winner = &won[i]
			case lost[i] == nil:
				t.Fatalf("round %d: %s and %s both won", round, winner.Author, names[i])
			}
		}
		if winner == nil {
			t.Fatalf("round %d: nobody won: %v", round, lost)
		}
		for i, err := range lost {
			var conflict *tenants.ConflictError
			if err != nil && (!errors.As(err, &conflict) || conflict.By != winner.Author || conflict.To != winner.To || !conflict.At.Equal(winner.Time)) {
				t.Fatalf("round %d: %s was told %v; %s won", round, names[i], err, winner.Author)
			}
		}
		if winner.From != active.To {
			t.Fatalf("round %d: from %s, want %s", round, winner.From.Short(), active.To.Short())
		}
		active = *winner
		want = append(want, *winner)
	}
	slices.Reverse(want)
	audit, err := publishers["eve"].Activations(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, audit[:len(want)]); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// Processes put and remove tenants that want the same few values. Afterwards every value
// names the one tenant whose record has it.
func TestConcurrentSelectors(t *testing.T) {
	t.Parallel()
	table := dynamotest.Table(t)
	values := []string{"a.example", "b.example", "c.example"}
	ids := []string{"ann", "bob", "eve", "joe"}
	var group sync.WaitGroup
	for worker := range 4 {
		store := administrator(t, dynamotest.Endpoint(t), table, fmt.Sprint(worker))
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 7))
			for range *rounds {
				id := ids[r.IntN(len(ids))]
				now, err := store.Tenant(t.Context(), id)
				if err != nil && !errors.Is(err, tenants.ErrNotFound) {
					t.Error(err)
					return
				}
				now.ID = id
				now.Selectors = tenants.Selectors{}
				for _, v := range values {
					if r.IntN(3) == 0 {
						now.Selectors.Hosts = append(now.Selectors.Hosts, v)
					}
				}
				if r.IntN(4) == 0 && err == nil {
					err = store.DeleteTenant(t.Context(), id, now.Version)
				} else {
					_, err = store.PutTenant(t.Context(), now)
				}
				var taken *tenants.TakenError
				if err != nil && !errors.Is(err, tenants.ErrConflict) && !errors.Is(err, tenants.ErrNotFound) && !errors.As(err, &taken) {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	store := administrator(t, dynamotest.Endpoint(t), table, "")
	all, err := store.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holder := map[string]string{}
	for _, tenant := range all {
		for _, v := range tenant.Selectors.Hosts {
			if holder[v] != "" {
				t.Errorf("%s is held by %s and %s", v, holder[v], tenant.ID)
			}
			holder[v] = tenant.ID
		}
	}
	for _, v := range values {
		id, err := store.Select(t.Context(), tenants.ByHost, v)
		if id != holder[v] || (err == nil) != (holder[v] != "") {
			t.Errorf("%s names %q (%v), and %q has it", v, id, err, holder[v])
		}
	}
}

// A reservation that was left behind names nobody, and is another's to take once it is
// old. A value in use is nobody else's at any age.
func TestReservationLeftBehind(t *testing.T) {
	t.Parallel()
	table := dynamotest.Table(t)
	start := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	at := func(endpoint string, age time.Duration, limits dynamo.Limits) *dynamo.Store {
		return dynamotest.OpenAt(t, endpoint, dynamo.Options{
			Table: table, Administer: true, Limits: limits, Now: func() time.Time { return start.Add(age) },
		})
	}
	tenant := func(id string, hosts ...string) tenants.Tenant {
		return tenants.Tenant{ID: id, Status: tenants.Active, Selectors: tenants.Selectors{Hosts: hosts}}
	}
	// acme's process ends after the list entry and the reservation.
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	proxy.Add(dynamotest.Fault{Kind: dynamotest.Reset, Operation: dynamotest.Writes, After: 2})
	if _, err := at(proxy.URL, 0, dynamo.Limits{Retries: -1}).PutTenant(t.Context(), tenant("acme", "left.example")); err == nil {
		t.Fatal("the process did not end")
	}
	early, late := at(dynamotest.Endpoint(t), 9*time.Minute, dynamo.Limits{}), at(dynamotest.Endpoint(t), 11*time.Minute, dynamo.Limits{})
	if id, err := early.Select(t.Context(), tenants.ByHost, "left.example"); !errors.Is(err, tenants.ErrNotFound) {
		t.Errorf("what acme reserved names %q (%v)", id, err)
	}
	var taken *tenants.TakenError
	if _, err := early.PutTenant(t.Context(), tenant("bolt", "left.example")); !errors.As(err, &taken) || taken.Tenant != "acme" {
		t.Errorf("bolt, while acme may be writing: %v, want that acme has it", err)
	}
	if _, err := late.PutTenant(t.Context(), tenant("bolt", "left.example")); err != nil {
		t.Errorf("bolt, later: %v", err)
	}
	if _, err := late.PutTenant(t.Context(), tenant("acme", "left.example")); !errors.As(err, &taken) || taken.Tenant != "bolt" {
		t.Errorf("acme, again: %v, want that bolt has it", err)
	}
	much := at(dynamotest.Endpoint(t), 1000*time.Hour, dynamo.Limits{})
	if _, err := much.PutTenant(t.Context(), tenant("acme", "left.example")); !errors.As(err, &taken) || taken.Tenant != "bolt" {
		t.Errorf("acme, much later: %v, want that bolt has it", err)
	}
	if id, err := much.Select(t.Context(), tenants.ByHost, "left.example"); err != nil || id != "bolt" {
		t.Errorf("it names %q (%v), want bolt", id, err)
	}
}

// A tenant gives a value up and takes it again before it is released: the release comes
// too late to count.
func TestReleaseOvertaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 0)
	rival := administrator(t, dynamotest.Endpoint(t), f.table, "bob")
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	proxy.Add(dynamotest.Fault{Operation: "UpdateItem", Count: 1, Meanwhile: func() {
		now, err := rival.Tenant(context.Background(), f.tenant)
		if err != nil || len(now.Selectors.Hosts) != 0 {
			t.Errorf("hosts %q, error %v; want none", now.Selectors.Hosts, err)
		}
		now.Selectors.Hosts = []string{"acme.example"}
		if _, err := rival.PutTenant(context.Background(), now); err != nil {
			t.Error(err)
		}
	}})
	slow := administrator(t, proxy.URL, f.table, "ann")
	now, err := slow.Tenant(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	now.Selectors.Hosts = nil
	if _, err := slow.PutTenant(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if id, err := rival.Select(t.Context(), tenants.ByHost, "acme.example"); err != nil || id != f.tenant {
		t.Errorf("the host names %q (%v), and the record has it", id, err)
	}
}

// A value of a record may name another tenant, if something went wrong. Giving it up is
// not giving up the other's.
func TestReleaseOfAnothers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 0)
	store := administrator(t, dynamotest.Endpoint(t), f.table, "ann")
	if _, err := store.PutTenant(t.Context(), tenants.Tenant{ID: "bolt", Selectors: tenants.Selectors{Hosts: []string{"bolt.example"}}}); err != nil {
		t.Fatal(err)
	}
	dynamotest.Edit(t, f.table, "TENANT#acme", "TENANT", set("doc", s(`{"id": "acme", "status": "active", "selectors": {"hosts": ["acme.example", "bolt.example"]}}`)))
	now, err := store.Tenant(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutTenant(t.Context(), now); err == nil {
		t.Error("acme can be written with a host that names bolt")
	}
	now.Selectors.Hosts = now.Selectors.Hosts[:1]
	if _, err := store.PutTenant(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if id, err := store.Select(t.Context(), tenants.ByHost, "bolt.example"); err != nil || id != "bolt" {
		t.Errorf("the host names %q (%v), want bolt", id, err)
	}
}

// A call that loses leaves no reservation behind.
func TestLoserReleases(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 0)
	store := administrator(t, dynamotest.Endpoint(t), f.table, "ann")
	before := dynamotest.Count(t, f.table)
	_, err := store.PutTenant(t.Context(), tenants.Tenant{
		ID: "bolt", Selectors: tenants.Selectors{Hosts: []string{"aaa.example", "acme.example"}, Values: []string{"bolt"}},
	})
	var taken *tenants.TakenError
	if !errors.As(err, &taken) {
		t.Fatal(err)
	}
	if after := dynamotest.Count(t, f.table); after != before+1 { // the list entry
		t.Errorf("%d items after, %d before", after, before)
	}
}
