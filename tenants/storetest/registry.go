package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regent/tenants"
)

// Backend is empty storage that processes share.
type Backend interface {
	// Open returns a registry as one process has it.
	Open(t testing.TB) tenants.Registry
	// OpenKilled returns one whose process is as good as killed after this many writes to
	// the storage: all further ones fail, and are not made.
	OpenKilled(t testing.TB, writes int) tenants.Registry
}

// RunRegistry runs the suite of tenants.Registry against the backends that make makes,
// one for each case. The cases run in parallel.
func RunRegistry(t *testing.T, make func(t *testing.T) Backend) {
	for _, c := range registryCases() {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			c.check(t, make(t))
		})
	}
}

type registryCase struct {
	sentence string
	check    func(t testing.TB, b Backend)
}

// registryCases are in the order of the contract.
func registryCases() []registryCase {
	return []registryCase{
		{"Its methods may be called by many goroutines and many processes.", manyProcesses},
		{"Every write is conditional, on the version that its caller read or on the item not being there.", conditional},
		{"A write that comes second returns an error that wraps ErrConflict and changes nothing.", comesSecond},
		{"A process that ends between two writes leaves every owner on a whole revision, and doing the same again finishes it.", killed},
		{"Reads by a Registry's own methods see every write that was acknowledged before.", readsOwnWrites},
		{"The version of a record only grows, also over its removal.", versionsGrow},
		{"APIs returns every API, sorted by id.", everyAPI},
		{"PutAPI writes an API in place of the one that has its Version; Version 0 writes a new one.", putAPI},
		{"It returns what is stored, with its new version.", apiReturned},
		{"DeleteAPI removes the API if its version is still the one given.", deleteAPI},
		{"One that is not there is ErrNotFound.", deleteNoAPI},
		{"Tenants returns every tenant, sorted by id.", everyTenant},
		{"PutTenant writes a tenant's record in place of the one that has its Version; Version 0 writes a new one.", putTenant},
		{"The revision in force is not touched: Activate moves it.", revisionUntouched},
		{"A selector value that another tenant holds is a *TakenError.", taken},
		{"DeleteTenant removes the record and its selectors if its version is still the one given.", deleteTenant},
		{"A tenant that is not there is ErrNotFound.", deleteNoTenant},
		{"Revisions and activations stay.", historyStays},
		{"PutRevision stores a bundle and lists it among its owner's revisions.", putRevision},
		{"Storing what is there already changes nothing; r.Digest must be the bundle's.", putRevisionAgain},
		{"Revisions returns an owner's revisions, newest first.", revisionsNewestFirst},
		{"Active returns the owner's last activation: To is in force, and Version is what the next activation names.", activeIsLast},
		{"An owner that never had one, and a tenant without a record, is ErrNotFound; a tenant with a record that was never activated has an empty To.", neverActive},
		{"Activate brings a stored revision into force if the owner's version is still a.Version (0 for the first of PlatformOwner and WorkspaceOwner), and leaves an audit item.", activate},
		{"a.To must be among the owner's revisions, else ErrNotFound.", activateUnknown},
		{"It returns the activation with the version it made; a.From is set by the store, and so is a.Time if it is zero.", activationReturned},
		{"Activations returns the owner's audit items, newest first.", auditNewestFirst},
	}
}

// Small values for the cases.

func tenantOf(id string, hosts ...string) tenants.Tenant {
	return tenants.Tenant{
		ID: id, Status: tenants.Active, Selectors: tenants.Selectors{Hosts: hosts},
		Identity: tenants.Identity{Anonymous: true},
	}
}

func apiOf(id string) tenants.API {
	return tenants.API{
		ID: id, Kind: tenants.REST, Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Tenant: []tenants.Source{{Kind: "host"}},
	}
}

// bundleOf is another bundle for each n.
func bundleOf(t testing.TB, n int) tenants.Bundle {
	return build(t, []tenants.File{{Path: "authz.rego", Content: fmt.Appendf(nil, "package authz\n\nallow := %d > 0\n", n)}})
}

var morning = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func revisionOf(b tenants.Bundle, n int) tenants.Revision {
	r := revision(b)
	r.Time, r.Message = morning.Add(time.Duration(n)*time.Minute), fmt.Sprint("revision ", n)
	return r
}

func activationOf(b tenants.Bundle, version int64, author string) tenants.Activation {
	return tenants.Activation{
		To: b.Digest(), Version: version, Author: author, Message: "for " + author,
		Time: morning.Add(time.Hour + time.Duration(version)*time.Minute),
	}
}

// must fails the case for an error. The cases go on, since what they were handed may
// only remember that they failed.
func must[V any](t testing.TB) func(v V, err error) V {
	return func(v V, err error) V {
		if err != nil {
			t.Errorf("error: %v", err)
		}
		return v
	}
}

func check(t testing.TB, what string, err error) {
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func same(t testing.TB, what string, want, got any) {
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), sameJSON()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wants(t testing.TB, what string, err, want error) {
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that wraps %q", what, err, want)
	}
}

// begin puts a tenant with n revisions and the first of them in force.
func begin(t testing.TB, r tenants.Registry, id string, n int) (tenants.Tenant, []tenants.Bundle) {
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf(id, id+".example")))
	bundles := store(t, r, id, n)
	a := must[tenants.Activation](t)(r.Activate(t.Context(), id, activationOf(bundles[0], stored.Version, "ann")))
	stored.Revision, stored.Version = a.To, a.Version
	return stored, bundles
}

func store(t testing.TB, r tenants.Registry, owner string, n int) (bundles []tenants.Bundle) {
	for i := range n {
		b := bundleOf(t, i)
		check(t, "PutRevision", r.PutRevision(t.Context(), owner, b, revisionOf(b, i)))
		bundles = append(bundles, b)
	}
	return bundles
}

func manyProcesses(t testing.TB, b Backend) {
	const processes, each = 4, 3
	var group sync.WaitGroup
	for p := range processes {
		r := b.Open(t)
		for i := range each {
			group.Go(func() {
				id := fmt.Sprintf("tenant-%d-%d", p, i)
				begin(t, r, id, 2)
				check(t, "PutAPI", second(r.PutAPI(t.Context(), apiOf(id))))
			})
		}
	}
	group.Wait()
	r := b.Open(t)
	all := must[[]tenants.Tenant](t)(r.Tenants(t.Context()))
	apis := must[[]tenants.API](t)(r.APIs(t.Context()))
	if len(all) != processes*each || len(apis) != processes*each {
		t.Errorf("%d tenants and %d APIs, want %d of each", len(all), len(apis), processes*each)
	}
	for _, tenant := range all {
		if tenant.Revision != bundleOf(t, 0).Digest() {
			t.Errorf("tenant %s: revision %q", tenant.ID, tenant.Revision)
		}
	}
}

func second[V any](_ V, err error) error { return err }

// Each write is tried with the version before and the one after that which is stored,
// and a new record where there is one.
func conditional(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	api := must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
	api = must[tenants.API](t)(r.PutAPI(t.Context(), api))
	for _, off := range []int64{-1, 1} {
		other := api
		other.Version += off
		other.Simple = true
		wants(t, fmt.Sprintf("PutAPI at version %+d", off), second(r.PutAPI(t.Context(), other)), tenants.ErrConflict)
		wants(t, fmt.Sprintf("DeleteAPI at version %+d", off), r.DeleteAPI(t.Context(), api.ID, other.Version), tenants.ErrConflict)
		changed := tenant
		changed.Version += off
		changed.Status = tenants.Suspended
		wants(t, fmt.Sprintf("PutTenant at version %+d", off), second(r.PutTenant(t.Context(), changed)), tenants.ErrConflict)
		wants(t, fmt.Sprintf("DeleteTenant at version %+d", off), r.DeleteTenant(t.Context(), tenant.ID, changed.Version), tenants.ErrConflict)
		a := activationOf(bundles[1], tenant.Version+off, "bob")
		wants(t, fmt.Sprintf("Activate at version %+d", off), second(r.Activate(t.Context(), tenant.ID, a)), tenants.ErrConflict)
	}
	wants(t, "PutAPI of a new one that is there", second(r.PutAPI(t.Context(), apiOf(api.ID))), tenants.ErrConflict)
	wants(t, "PutTenant of a new one that is there", second(r.PutTenant(t.Context(), tenantOf(tenant.ID))), tenants.ErrConflict)
	gone := tenantOf("gone")
	gone.Version = 3
	wants(t, "PutTenant in place of none", second(r.PutTenant(t.Context(), gone)), tenants.ErrConflict)
	same(t, "the API after that", api, must[tenants.API](t)(r.API(t.Context(), api.ID)))
	same(t, "the tenant after that", tenant, must[tenants.Tenant](t)(r.Tenant(t.Context(), tenant.ID)))
}

// Two processes that read the same write one after the other.
func comesSecond(t testing.TB, b Backend) {
	one, two := b.Open(t), b.Open(t)
	tenant, bundles := begin(t, one, "acme", 3)
	won := must[tenants.Activation](t)(one.Activate(t.Context(), "acme", activationOf(bundles[1], tenant.Version, "bob")))
	_, err := two.Activate(t.Context(), "acme", activationOf(bundles[2], tenant.Version, "eve"))
	wants(t, "the second Activate", err, tenants.ErrConflict)
	var conflict *tenants.ConflictError
	if !errors.As(err, &conflict) || conflict.By != "bob" || conflict.To != won.To || !conflict.At.Equal(won.Time) {
		t.Errorf("the second Activate: %#v, want one that says bob, %s and %s", err, won.Time, won.To.Short())
	}
	active := must[tenants.Activation](t)(two.Active(t.Context(), "acme"))
	same(t, "Active after it", won, active)
	if audit := must[[]tenants.Activation](t)(two.Activations(t.Context(), "acme")); len(audit) != 2 {
		t.Errorf("%d audit items, want 2", len(audit))
	}

	tenant = must[tenants.Tenant](t)(one.Tenant(t.Context(), "acme"))
	first, later := tenant, tenant
	first.Selectors.Hosts = []string{"first.example"}
	later.Selectors.Hosts = []string{"later.example"}
	check(t, "the first PutTenant", second(one.PutTenant(t.Context(), first)))
	wants(t, "the second PutTenant", second(two.PutTenant(t.Context(), later)), tenants.ErrConflict)
	same(t, "the host of the first", "acme", must[string](t)(two.Select(t.Context(), tenants.ByHost, "first.example")))
	wants(t, "the host of the second", second(two.Select(t.Context(), tenants.ByHost, "later.example")), tenants.ErrNotFound)
	check(t, "another tenant with that host", second(two.PutTenant(t.Context(), tenantOf("bolt", "later.example"))))

	api := must[tenants.API](t)(one.PutAPI(t.Context(), apiOf("a1b2c3")))
	check(t, "the first PutAPI", second(one.PutAPI(t.Context(), api)))
	wants(t, "the second PutAPI", second(two.PutAPI(t.Context(), api)), tenants.ErrConflict)
}

func readsOwnWrites(t testing.TB, b Backend) {
	one, two := b.Open(t), b.Open(t)
	for n := range 3 {
		id := fmt.Sprint("tenant-", n)
		tenant, bundles := begin(t, one, id, 1)
		same(t, "Tenant", tenant, must[tenants.Tenant](t)(two.Tenant(t.Context(), id)))
		same(t, "Select", id, must[string](t)(two.Select(t.Context(), tenants.ByHost, id+".example")))
		holds(t, two, bundles[0])
		if all := must[[]tenants.Tenant](t)(two.Tenants(t.Context())); len(all) != n+1 {
			t.Errorf("%d tenants, want %d", len(all), n+1)
		}
		if all := must[[]tenants.Activation](t)(two.Activations(t.Context(), id)); len(all) != 1 {
			t.Errorf("%d activations, want 1", len(all))
		}
	}
	api := must[tenants.API](t)(one.PutAPI(t.Context(), apiOf("a1b2c3")))
	same(t, "APIs", []tenants.API{api}, must[[]tenants.API](t)(two.APIs(t.Context())))
	check(t, "DeleteAPI", one.DeleteAPI(t.Context(), api.ID, api.Version))
	same(t, "APIs after DeleteAPI", []tenants.API(nil), must[[]tenants.API](t)(two.APIs(t.Context())))
}

func versionsGrow(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	api := must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
	for range 2 {
		last, lastAPI := tenant.Version, api.Version
		check(t, "DeleteTenant", r.DeleteTenant(t.Context(), tenant.ID, tenant.Version))
		check(t, "DeleteAPI", r.DeleteAPI(t.Context(), api.ID, api.Version))
		tenant = must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("acme")))
		api = must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
		if tenant.Version <= last || api.Version <= lastAPI {
			t.Errorf("tenant: version %d after %d, API: %d after %d", tenant.Version, last, api.Version, lastAPI)
		}
		a := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", activationOf(bundles[1], tenant.Version, "ann")))
		tenant.Version = a.Version
	}
}

func everyAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	same(t, "APIs of nothing", []tenants.API(nil), must[[]tenants.API](t)(r.APIs(t.Context())))
	var want []tenants.API
	for _, a := range append(standardAPIs(), apiOf("zz"), apiOf("0"), apiOf("a1")) {
		want = append(want, must[tenants.API](t)(r.PutAPI(t.Context(), a)))
	}
	slices.SortFunc(want, func(a, b tenants.API) int { return cmp.Compare(a.ID, b.ID) })
	same(t, "APIs", want, must[[]tenants.API](t)(r.APIs(t.Context())))
	check(t, "DeleteAPI", r.DeleteAPI(t.Context(), want[1].ID, want[1].Version))
	same(t, "APIs without one", slices.Delete(want, 1, 2), must[[]tenants.API](t)(r.APIs(t.Context())))
}

func putAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.API](t)(r.PutAPI(t.Context(), standardAPIs()[0]))
	next := standardAPIs()[1]
	next.ID, next.Version = stored.ID, stored.Version
	next = must[tenants.API](t)(r.PutAPI(t.Context(), next))
	same(t, "the API", next, must[tenants.API](t)(r.API(t.Context(), stored.ID)))
	if len(next.Routes) != 0 || next.Upstream != "" {
		t.Errorf("something of the old one is left: %+v", next)
	}
}

func apiReturned(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, a := range standardAPIs() {
		last := int64(0)
		for range 2 {
			stored := must[tenants.API](t)(r.PutAPI(t.Context(), a))
			if stored.Version <= last {
				t.Errorf("API %s: version %d after %d", a.ID, stored.Version, last)
			}
			a.Version, last = stored.Version, stored.Version
			same(t, "what PutAPI returns", a, stored)
			same(t, "what is stored", stored, must[tenants.API](t)(r.API(t.Context(), a.ID)))
		}
	}
}

func deleteAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
	wants(t, "DeleteAPI of another version", r.DeleteAPI(t.Context(), stored.ID, stored.Version+1), tenants.ErrConflict)
	check(t, "DeleteAPI", r.DeleteAPI(t.Context(), stored.ID, stored.Version))
	wants(t, "API after that", second(r.API(t.Context(), stored.ID)), tenants.ErrNotFound)
}

func deleteNoAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, id := range strangers() {
		wants(t, fmt.Sprintf("DeleteAPI of %q", id), r.DeleteAPI(t.Context(), id, 1), tenants.ErrNotFound)
	}
}

func everyTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	same(t, "Tenants of nothing", []tenants.Tenant(nil), must[[]tenants.Tenant](t)(r.Tenants(t.Context())))
	var want []tenants.Tenant
	for _, tenant := range Standard().Tenants {
		want = append(want, must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenant.Record)))
	}
	// More than one page of anything that pages.
	for n := range 120 {
		want = append(want, must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf(fmt.Sprint("t", n)))))
	}
	slices.SortFunc(want, func(a, b tenants.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	same(t, "Tenants", want, must[[]tenants.Tenant](t)(r.Tenants(t.Context())))
	check(t, "DeleteTenant", r.DeleteTenant(t.Context(), want[1].ID, want[1].Version))
	same(t, "Tenants without one", slices.Delete(want, 1, 2), must[[]tenants.Tenant](t)(r.Tenants(t.Context())))
}

func putTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), acme()))
	same(t, "the new tenant", stored, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
	next := tenantOf("acme", "other.example")
	next.Version = stored.Version
	next = must[tenants.Tenant](t)(r.PutTenant(t.Context(), next))
	same(t, "the tenant", next, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		for _, v := range acme().Selectors.Of(kind) {
			wants(t, fmt.Sprintf("%s %q, which it had", kind, v), second(r.Select(t.Context(), kind, v)), tenants.ErrNotFound)
		}
	}
	same(t, "the host", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "other.example")))
}

func revisionUntouched(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	change := tenant
	change.Status, change.Revision = tenants.Suspended, bundles[1].Digest()
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), change))
	if stored.Revision != bundles[0].Digest() || stored.Status != tenants.Suspended {
		t.Errorf("PutTenant returned %s with revision %s", stored.Status, stored.Revision.Short())
	}
	same(t, "the tenant", stored, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
	active := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
	if active.To != bundles[0].Digest() || active.Version != stored.Version {
		t.Errorf("Active: %s at version %d, want %s at %d", active.To.Short(), active.Version, bundles[0].Digest().Short(), stored.Version)
	}
	fresh := tenantOf("bolt")
	fresh.Revision = bundles[1].Digest()
	if stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), fresh)); stored.Revision != "" {
		t.Errorf("a new tenant has revision %s", stored.Revision.Short())
	}
}

func taken(t testing.TB, b Backend) {
	r := b.Open(t)
	check(t, "PutTenant", second(r.PutTenant(t.Context(), tenantOf("acme", "shared.example"))))
	bolt := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("bolt", "bolt.example")))
	for _, version := range []int64{0, bolt.Version} {
		rival := tenantOf("bolt", "bolt.example", "shared.example", "free.example")
		if version == 0 {
			rival.ID = "carl"
			rival.Selectors.Hosts = rival.Selectors.Hosts[1:]
		}
		rival.Version = version
		_, err := r.PutTenant(t.Context(), rival)
		var taken *tenants.TakenError
		if !errors.As(err, &taken) || *taken != (tenants.TakenError{Kind: tenants.ByHost, Value: "shared.example", Tenant: "acme"}) {
			t.Errorf("PutTenant %s: %v, want that host shared.example names acme", rival.ID, err)
		}
	}
	same(t, "the host", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "shared.example")))
	wants(t, "what was not written", second(r.Select(t.Context(), tenants.ByHost, "free.example")), tenants.ErrNotFound)
	same(t, "bolt", bolt, must[tenants.Tenant](t)(r.Tenant(t.Context(), "bolt")))
	wants(t, "carl", second(r.Tenant(t.Context(), "carl")), tenants.ErrNotFound)
	// The other kinds are other name spaces.
	bolt.Selectors.Values = []string{"shared.example"}
	check(t, "PutTenant with a value", second(r.PutTenant(t.Context(), bolt)))
}

func deleteTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), acme()))
	wants(t, "DeleteTenant of another version", r.DeleteTenant(t.Context(), "acme", stored.Version+1), tenants.ErrConflict)
	same(t, "a host after that", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "api.acme.example")))
	check(t, "DeleteTenant", r.DeleteTenant(t.Context(), "acme", stored.Version))
	wants(t, "Tenant after that", second(r.Tenant(t.Context(), "acme")), tenants.ErrNotFound)
	wants(t, "Select after that", second(r.Select(t.Context(), tenants.ByHost, "api.acme.example")), tenants.ErrNotFound)
	// What it held is free.
	heir := acme()
	heir.ID = "heir"
	check(t, "PutTenant of another with the same selectors", second(r.PutTenant(t.Context(), heir)))
	same(t, "the host", "heir", must[string](t)(r.Select(t.Context(), tenants.ByHost, "api.acme.example")))
}

func deleteNoTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, id := range strangers() {
		wants(t, fmt.Sprintf("DeleteTenant of %q", id), r.DeleteTenant(t.Context(), id, 1), tenants.ErrNotFound)
	}
}

func historyStays(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	revisions := must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme"))
	audit := must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme"))
	check(t, "DeleteTenant", r.DeleteTenant(t.Context(), "acme", tenant.Version))
	same(t, "Revisions", revisions, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
	same(t, "Activations", audit, must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")))
	holds(t, r, bundles[1])
	wants(t, "Active", second(r.Active(t.Context(), "acme")), tenants.ErrNotFound)
	again := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("acme")))
	if again.Revision != "" {
		t.Errorf("the new tenant begins with revision %s", again.Revision.Short())
	}
	check(t, "Activate", second(r.Activate(t.Context(), "acme", activationOf(bundles[1], again.Version, "ann"))))
	if audit := must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")); len(audit) != 2 {
		t.Errorf("%d audit items, want 2", len(audit))
	}
}

func putRevision(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, owner := range []string{"acme", tenants.PlatformOwner, tenants.WorkspaceOwner} {
		bundle := bundleOf(t, len(owner))
		want := revisionOf(bundle, 1)
		check(t, "PutRevision", r.PutRevision(t.Context(), owner, bundle, want))
		same(t, "Revisions of "+owner, []tenants.Revision{want}, must[[]tenants.Revision](t)(r.Revisions(t.Context(), owner)))
		holds(t, r, bundle)
	}
	for _, owner := range []string{"", "Acme", "acme#x", "a/b", "platform "} {
		if err := r.PutRevision(t.Context(), owner, bundleOf(t, 1), revisionOf(bundleOf(t, 1), 1)); err == nil {
			t.Errorf("PutRevision for owner %q: no error", owner)
		}
	}
}

func putRevisionAgain(t testing.TB, b Backend) {
	r := b.Open(t)
	bundle := bundleOf(t, 1)
	want := revisionOf(bundle, 1)
	check(t, "PutRevision", r.PutRevision(t.Context(), "acme", bundle, want))
	later := revisionOf(bundle, 2)
	later.Author = "somebody else"
	check(t, "PutRevision again", r.PutRevision(t.Context(), "acme", bundle, later))
	same(t, "Revisions", []tenants.Revision{want}, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
	wrong := revisionOf(bundleOf(t, 2), 3)
	if err := r.PutRevision(t.Context(), "acme", bundle, wrong); err == nil {
		t.Error("PutRevision with another bundle's digest: no error")
	}
	same(t, "Revisions after that", []tenants.Revision{want}, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
}

func revisionsNewestFirst(t testing.TB, b Backend) {
	r := b.Open(t)
	var want []tenants.Revision
	for i := range 8 {
		bundle := bundleOf(t, i)
		rev := revisionOf(bundle, (i*5)%8)
		check(t, "PutRevision", r.PutRevision(t.Context(), "acme", bundle, rev))
		want = append(want, rev)
	}
	slices.SortFunc(want, func(a, b tenants.Revision) int { return b.Time.Compare(a.Time) })
	same(t, "Revisions", want, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
	same(t, "Revisions of nobody", []tenants.Revision(nil), must[[]tenants.Revision](t)(r.Revisions(t.Context(), "bolt")))
}

func activeIsLast(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 3)
	version := tenant.Version
	for _, n := range []int{1, 2, 0, 0} {
		a := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", activationOf(bundles[n], version, "bob")))
		active := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
		same(t, "Active", a, active)
		got := must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme"))
		if got.Revision != bundles[n].Digest() || got.Version != active.Version {
			t.Errorf("tenant at %s, version %d; Active says %s, %d", got.Revision.Short(), got.Version, active.To.Short(), active.Version)
		}
		version = active.Version
	}
}

func neverActive(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, owner := range []string{tenants.PlatformOwner, tenants.WorkspaceOwner, "nobody", "", "a#b", "TENANT"} {
		wants(t, "Active of "+owner, second(r.Active(t.Context(), owner)), tenants.ErrNotFound)
	}
	tenant := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("acme")))
	same(t, "Active of a new tenant", tenants.Activation{Version: tenant.Version}, must[tenants.Activation](t)(r.Active(t.Context(), "acme")))
}

func activate(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, owner := range []string{tenants.PlatformOwner, tenants.WorkspaceOwner} {
		bundles := store(t, r, owner, 2)
		wants(t, "Activate at a version that is not there", second(r.Activate(t.Context(), owner, activationOf(bundles[0], 1, "ann"))), tenants.ErrConflict)
		first := must[tenants.Activation](t)(r.Activate(t.Context(), owner, activationOf(bundles[0], 0, "ann")))
		wants(t, "Activate as the first, again", second(r.Activate(t.Context(), owner, activationOf(bundles[1], 0, "bob"))), tenants.ErrConflict)
		next := must[tenants.Activation](t)(r.Activate(t.Context(), owner, activationOf(bundles[1], first.Version, "bob")))
		same(t, "Active", next, must[tenants.Activation](t)(r.Active(t.Context(), owner)))
		same(t, "Activations", []tenants.Activation{next, first}, must[[]tenants.Activation](t)(r.Activations(t.Context(), owner)))
	}
	same(t, "Platform", bundleOf(t, 1).Digest(), must[tenants.Digest](t)(r.Platform(t.Context())))
	tenant, bundles := begin(t, r, "acme", 2)
	check(t, "Activate", second(r.Activate(t.Context(), "acme", activationOf(bundles[1], tenant.Version, "bob"))))
	if got := must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")); got.Revision != bundles[1].Digest() {
		t.Errorf("revision %s, want %s", got.Revision.Short(), bundles[1].Digest().Short())
	}
}

func activateUnknown(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, _ := begin(t, r, "acme", 1)
	elsewhere := bundleOf(t, 7)
	check(t, "PutRevision for another", r.PutRevision(t.Context(), tenants.PlatformOwner, elsewhere, revisionOf(elsewhere, 7)))
	for _, to := range []tenants.Digest{"", "sha256:", elsewhere.Digest(), bundleOf(t, 8).Digest(), "REVISION#x"} {
		a := tenants.Activation{To: to, Version: tenant.Version}
		wants(t, fmt.Sprintf("Activate %q", to), second(r.Activate(t.Context(), "acme", a)), tenants.ErrNotFound)
	}
	wants(t, "Activate for nobody", second(r.Activate(t.Context(), "nobody", activationOf(elsewhere, 0, "ann"))), tenants.ErrNotFound)
	same(t, "the tenant", tenant, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
}

func activationReturned(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	asked := activationOf(bundles[1], tenant.Version, "bob")
	asked.From = bundles[1].Digest() // is not the caller's to say
	got := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", asked))
	if got.Version <= tenant.Version {
		t.Errorf("version %d after %d", got.Version, tenant.Version)
	}
	asked.From, asked.Version = bundles[0].Digest(), got.Version
	same(t, "the activation", asked, got)
	before := time.Now()
	now := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", tenants.Activation{To: bundles[0].Digest(), Version: got.Version}))
	if now.Time.Before(before.Add(-time.Minute)) || now.Time.After(time.Now().Add(time.Minute)) {
		t.Errorf("the time of an activation without one is %s", now.Time)
	}
}

func auditNewestFirst(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 3)
	first := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
	want := []tenants.Activation{first}
	version := tenant.Version
	// The clocks of publishers differ, and one of them stands still.
	for _, clock := range []time.Duration{3, 3, 3, -48, 0} {
		for _, bundle := range bundles[1:] {
			a := activationOf(bundle, version, "bob")
			a.Time = morning.Add(clock * time.Hour)
			a = must[tenants.Activation](t)(r.Activate(t.Context(), "acme", a))
			want, version = append(want, a), a.Version
		}
	}
	slices.Reverse(want)
	same(t, "Activations", want, must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")))
	same(t, "Activations of nobody", []tenants.Activation(nil), must[[]tenants.Activation](t)(r.Activations(t.Context(), "bolt")))
}

// job is what one process does, from reading on. It may be done again.
type job struct {
	name string
	do   func(ctx context.Context, r tenants.Registry) error
	// done looks whether it is whole.
	done func(t testing.TB, r tenants.Registry)
}

// maxWrites is more than any job needs.
const maxWrites = 40

// Each job is killed after its first write, its second and so on, looked at, and done
// again by another process.
func killed(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, _ := begin(t, r, "acme", 1)
	for i := range jobs(t, 0) {
		for n := 0; ; n++ {
			j := jobs(t, n)[i]
			err := j.do(t.Context(), b.OpenKilled(t, n))
			whole(t, fmt.Sprintf("%s killed after %d writes", j.name, n), b.Open(t))
			check(t, fmt.Sprintf("%s again, after it was killed after %d writes", j.name, n), j.do(t.Context(), b.Open(t)))
			j.done(t, b.Open(t))
			if err == nil {
				break
			}
			if n == maxWrites {
				t.Errorf("%s: not finished after %d writes: %v", j.name, n, err)
				break
			}
			reset(t, r, tenant)
		}
		reset(t, r, tenant)
	}
}

// whole holds what a process left to being usable: the tenant has a revision whose
// bundle is there, and every activation an audit item.
func whole(t testing.TB, name string, r tenants.Registry) {
	got, err := r.Tenant(t.Context(), "acme")
	if errors.Is(err, tenants.ErrNotFound) { // deleted
		wants(t, name+": Select", second(r.Select(t.Context(), tenants.ByHost, "acme.example")), tenants.ErrNotFound)
		return
	}
	check(t, name, err)
	if got.Revision != "" {
		if b, err := r.Bundle(t.Context(), got.Revision); err != nil || b.Digest() != got.Revision {
			t.Errorf("%s: the bundle in force: %v", name, err)
		}
	}
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByValue} {
		for _, v := range []string{"acme.example", "second.example", "acme"} {
			id, err := r.Select(t.Context(), kind, v)
			has := slices.Contains(got.Selectors.Of(kind), v)
			if has != (id == "acme") || has != (err == nil) {
				t.Errorf("%s: %s %s names %q (%v); that the record has it is %v", name, kind, v, id, err, has)
			}
		}
	}
	active := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
	audit := must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme"))
	if active.To != "" && (len(audit) == 0 || audit[0].To != active.To || audit[0].Author != active.Author) {
		t.Errorf("%s: %s is in force, and its audit item is not there", name, active.To.Short())
	}
}

// reset brings the tenant back to where it was.
func reset(t testing.TB, r tenants.Registry, want tenants.Tenant) {
	got, err := r.Tenant(t.Context(), want.ID)
	if errors.Is(err, tenants.ErrNotFound) {
		err = nil
	}
	check(t, "Tenant", err)
	want.Version = got.Version
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), want))
	if stored.Revision != want.Revision {
		a := tenants.Activation{To: want.Revision, Author: "reset", Version: stored.Version}
		check(t, "Activate", second(r.Activate(t.Context(), want.ID, a)))
	}
}

// jobs are the same each time, but that each publishes another bundle for each n: one of
// a piece, and one that needs several wherever items are small.
func jobs(t testing.TB, n int) []job {
	rules := fmt.Appendf(nil, "package authz\n\nallow := %d > 1\n", n)
	noise := make([]byte, 360<<10)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(noise) // never fails
	return []job{
		publishJob("publish", build(t, []tenants.File{{Path: "authz.rego", Content: rules}})),
		publishJob("publish much", build(t, []tenants.File{{Path: "authz.rego", Content: rules}, {Path: "noise.bin", Content: noise}})),
		{"put", func(ctx context.Context, r tenants.Registry) error {
			tenant, err := r.Tenant(ctx, "acme")
			if err != nil {
				return err
			}
			tenant.Selectors = tenants.Selectors{Hosts: []string{"second.example"}, Values: []string{"acme"}}
			return second(r.PutTenant(ctx, tenant))
		}, func(t testing.TB, r tenants.Registry) {
			same(t, "the new host", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "second.example")))
			wants(t, "the old host", second(r.Select(t.Context(), tenants.ByHost, "acme.example")), tenants.ErrNotFound)
		}},
		{"delete", func(ctx context.Context, r tenants.Registry) error {
			tenant, err := r.Tenant(ctx, "acme")
			if errors.Is(err, tenants.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return r.DeleteTenant(ctx, "acme", tenant.Version)
		}, func(t testing.TB, r tenants.Registry) {
			wants(t, "the tenant", second(r.Tenant(t.Context(), "acme")), tenants.ErrNotFound)
			wants(t, "its host", second(r.Select(t.Context(), tenants.ByHost, "acme.example")), tenants.ErrNotFound)
		}},
		{"register", func(ctx context.Context, r tenants.Registry) error {
			api, err := r.API(ctx, "a1b2c3")
			if errors.Is(err, tenants.ErrNotFound) {
				api = apiOf("a1b2c3")
			} else if err != nil {
				return err
			}
			return second(r.PutAPI(ctx, api))
		}, func(t testing.TB, r tenants.Registry) {
			all := must[[]tenants.API](t)(r.APIs(t.Context()))
			if len(all) != 1 {
				t.Errorf("%d APIs, want 1", len(all))
				return
			}
			check(t, "DeleteAPI", r.DeleteAPI(t.Context(), all[0].ID, all[0].Version))
		}},
	}
}

func publishJob(name string, b tenants.Bundle) job {
	do := func(ctx context.Context, r tenants.Registry) error {
		active, err := r.Active(ctx, "acme")
		if err != nil {
			return err
		}
		if err := r.PutRevision(ctx, "acme", b, revisionOf(b, 9)); err != nil {
			return err
		}
		if active.To == b.Digest() {
			return nil
		}
		return second(r.Activate(ctx, "acme", activationOf(b, active.Version, name)))
	}
	done := func(t testing.TB, r tenants.Registry) {
		got := must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme"))
		if got.Revision != b.Digest() {
			t.Errorf("%s: revision %s, want %s", name, got.Revision.Short(), b.Digest().Short())
		}
		holds(t, r, b)
		n := 0
		for _, a := range must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")) {
			if a.Version == must[tenants.Activation](t)(r.Active(t.Context(), "acme")).Version && a.To == b.Digest() {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d audit items for the activation, want 1", name, n)
		}
	}
	return job{name, do, done}
}
