package storetest

import (
	"errors"
	"fmt"
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
