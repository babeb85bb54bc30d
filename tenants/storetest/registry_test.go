package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"regent/tenants"
)

func TestMemoryRegistry(t *testing.T) {
	t.Parallel()
	RunRegistry(t, func(*testing.T) Backend { return newShelf(flaws{}) })
}

// Each registry here breaks a sentence, and the case of that name must notice.
func TestRegistryCasesBite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		wrong flaws
		want  string // the start of the sentence
	}{
		{"a process sees its own tenants only", flaws{ownList: true}, "Its methods may be called"},
		{"any version will do", flaws{lastWins: true}, "Every write is conditional"},
		{"conflicts without ErrConflict", flaws{plain: true}, "A write that comes second"},
		{"nobody is told who won", flaws{anonymous: true}, "A write that comes second"},
		{"the second is written all the same", flaws{conflictWrites: true}, "A write that comes second"},
		{"an activation can lose its audit item", flaws{twoWrites: true}, "A process that ends between"},
		{"lists of a process are its own", flaws{ownList: true}, "Reads by a Registry's own"},
		{"versions begin anew", flaws{restarts: true}, "The version of a record"},
		{"in the order of writing", flaws{unsorted: true}, "APIs returns"},
		{"in the order of writing", flaws{unsorted: true}, "Tenants returns"},
		{"routes of the API before", flaws{merges: true}, "PutAPI writes"},
		{"the version that was read", flaws{oldVersion: true}, "It returns what is stored"},
		{"any version is removed", flaws{lastWins: true}, "DeleteAPI removes"},
		{"removing nothing is no error", flaws{deletesNothing: true}, "One that is not there"},
		{"selectors stay after a change", flaws{keepsSelectors: true}, "PutTenant writes"},
		{"PutTenant activates", flaws{putActivates: true}, "The revision in force"},
		{"the last to claim a value has it", flaws{steals: true}, "A selector value"},
		{"selectors stay after a removal", flaws{keepsSelectors: true}, "DeleteTenant removes"},
		{"removing nothing is no error", flaws{deletesNothing: true}, "A tenant that is not there"},
		{"history goes with the tenant", flaws{forgets: true}, "Revisions and activations stay"},
		{"a revision is not listed", flaws{unlisted: true}, "PutRevision stores"},
		{"the last author counts", flaws{overwrites: true}, "Storing what is there"},
		{"oldest first", flaws{oldestFirst: true}, "Revisions returns"},
		{"the version that was read", flaws{oldVersion: true}, "Active returns"},
		{"no activation is an empty one", flaws{emptyActive: true}, "An owner that never"},
		{"no audit", flaws{noAudit: true}, "Activate brings"},
		{"a revision that was never stored", flaws{anyRevision: true}, "a.To must be"},
		{"the caller's From", flaws{trustsFrom: true}, "It returns the activation"},
		{"oldest first", flaws{oldestFirst: true}, "Activations returns"},
	}
	held := map[string]bool{}
	for _, tt := range tests {
		i := slices.IndexFunc(registryCases(), func(c registryCase) bool { return strings.HasPrefix(c.sentence, tt.want) })
		c := registryCases()[i]
		held[c.sentence] = true
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			c.check(r, newShelf(tt.wrong))
			if !r.failed {
				t.Errorf("the case %q passes", c.sentence)
			}
		})
	}
	for _, c := range registryCases() {
		if !held[c.sentence] {
			t.Errorf("nothing breaks %q", c.sentence)
		}
	}
}

// flaws break a shelf.
type flaws struct {
	ownList, lastWins, plain, anonymous, conflictWrites, twoWrites, restarts, unsorted, merges bool
	oldVersion, deletesNothing, keepsSelectors, putActivates, steals, forgets, unlisted        bool
	overwrites, oldestFirst, emptyActive, noAudit, anyRevision, trustsFrom                     bool
}

// shelf is the plainest registry there can be: every method is one step.
type shelf struct {
	flaws
	mu        sync.Mutex
	apis      map[string]tenants.API
	records   map[string]tenants.Tenant
	order     []string
	last      map[string]int64 // versions, by kind and id
	selectors map[string]string
	bundles   map[tenants.Digest]tenants.Bundle
	revisions map[string][]tenants.Revision
	active    map[string]tenants.Activation
	audit     map[string][]tenants.Activation
}

func newShelf(f flaws) *shelf {
	return &shelf{
		flaws: f, apis: map[string]tenants.API{}, records: map[string]tenants.Tenant{}, last: map[string]int64{},
		selectors: map[string]string{}, bundles: map[tenants.Digest]tenants.Bundle{},
		revisions: map[string][]tenants.Revision{}, active: map[string]tenants.Activation{}, audit: map[string][]tenants.Activation{},
	}
}

func (s *shelf) Open(testing.TB) tenants.Registry {
	return &clerk{shelf: s, left: -1, mine: map[string]bool{}}
}

func (s *shelf) OpenKilled(_ testing.TB, writes int) tenants.Registry {
	return &clerk{shelf: s, left: writes, mine: map[string]bool{}}
}

// clerk is a process at a shelf. It can write left times, below 0 without end.
type clerk struct {
	*shelf
	left int
	mine map[string]bool
}

var errKilled = errors.New("killed")

func (c *clerk) write() error {
	if c.left == 0 {
		return errKilled
	}
	c.left--
	return nil
}

func (c *clerk) conflict(what string, by tenants.Activation) error {
	switch {
	case c.plain:
		return errors.New("somebody else was first")
	case c.anonymous:
		return &tenants.ConflictError{What: what}
	default:
		return &tenants.ConflictError{What: what, By: by.Author, At: by.Time, To: by.To}
	}
}

// next is the version after one, of a kind and id.
func (c *clerk) next(id string, version int64) int64 {
	if version == 0 && !c.restarts {
		version = c.last[id]
	}
	c.last[id] = version + 1
	return version + 1
}

func (c *clerk) API(_ context.Context, id string) (tenants.API, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apis[id]
	if !ok {
		return tenants.API{}, tenants.ErrNotFound
	}
	return a, nil
}

func (c *clerk) APIs(context.Context) ([]tenants.API, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []tenants.API
	for _, id := range c.ids("api ", slices.Sorted(maps.Keys(c.apis))) {
		all = append(all, c.apis[id])
	}
	return all, nil
}

// ids are the ids to list.
func (c *clerk) ids(kind string, sorted []string) []string {
	if c.unsorted {
		slices.SortStableFunc(sorted, func(a, b string) int {
			return cmp.Compare(slices.Index(c.order, kind+a), slices.Index(c.order, kind+b))
		})
	}
	if c.ownList {
		sorted = slices.DeleteFunc(sorted, func(id string) bool { return !c.mine[kind+id] })
	}
	return sorted
}

func (c *clerk) PutAPI(_ context.Context, api tenants.API) (tenants.API, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, there := c.apis[api.ID]
	if (before.Version != api.Version || !there && api.Version != 0) && !c.lastWins {
		return tenants.API{}, c.conflict("API", tenants.Activation{})
	}
	if c.merges && len(api.Routes) == 0 {
		api.Routes = before.Routes
	}
	if err := c.write(); err != nil {
		return tenants.API{}, err
	}
	asked := api
	api.Version = c.next("api "+api.ID, api.Version)
	c.apis[api.ID], c.mine["api "+api.ID] = api, true
	c.order = append(c.order, "api "+api.ID)
	if c.oldVersion {
		return asked, nil
	}
	return api, nil
}

func (c *clerk) DeleteAPI(_ context.Context, id string, version int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, there := c.apis[id]
	switch {
	case !there && c.deletesNothing:
		return nil
	case !there:
		return tenants.ErrNotFound
	case a.Version != version && !c.lastWins:
		return c.conflict("API", tenants.Activation{})
	}
	if err := c.write(); err != nil {
		return err
	}
	delete(c.apis, id)
	return nil
}

func (c *clerk) Tenant(_ context.Context, id string) (tenants.Tenant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.records[id]
	if !ok {
		return tenants.Tenant{}, tenants.ErrNotFound
	}
	return t, nil
}

func (c *clerk) Tenants(context.Context) ([]tenants.Tenant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []tenants.Tenant
	for _, id := range c.ids("tenant ", slices.Sorted(maps.Keys(c.records))) {
		all = append(all, c.records[id])
	}
	return all, nil
}

func (c *clerk) Select(_ context.Context, kind tenants.SelectorKind, value string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, ok := c.selectors[string(kind)+" "+value]; ok {
		return id, nil
	}
	return "", tenants.ErrNotFound
}

func (c *clerk) PutTenant(_ context.Context, t tenants.Tenant) (tenants.Tenant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, there := c.records[t.ID]
	if (before.Version != t.Version || !there && t.Version != 0) && !c.lastWins {
		if c.conflictWrites {
			c.claim(t)
		}
		return tenants.Tenant{}, c.conflict("tenant", tenants.Activation{})
	}
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		for _, v := range t.Selectors.Of(kind) {
			if holder, held := c.selectors[string(kind)+" "+v]; held && holder != t.ID && !c.steals {
				return tenants.Tenant{}, &tenants.TakenError{Kind: kind, Value: v, Tenant: holder}
			}
		}
	}
	if err := c.write(); err != nil {
		return tenants.Tenant{}, err
	}
	c.drop(t.ID)
	c.claim(t)
	t.Version = c.next("tenant "+t.ID, t.Version)
	if !c.putActivates {
		t.Revision = before.Revision
	}
	c.records[t.ID], c.mine["tenant "+t.ID] = t, true
	c.order = append(c.order, "tenant "+t.ID)
	return t, nil
}

func (c *clerk) claim(t tenants.Tenant) {
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		for _, v := range t.Selectors.Of(kind) {
			c.selectors[string(kind)+" "+v] = t.ID
		}
	}
}

func (c *clerk) drop(id string) {
	if !c.keepsSelectors {
		maps.DeleteFunc(c.selectors, func(_, holder string) bool { return holder == id })
	}
}

func (c *clerk) DeleteTenant(_ context.Context, id string, version int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, there := c.records[id]
	switch {
	case !there && c.deletesNothing:
		return nil
	case !there:
		return tenants.ErrNotFound
	case t.Version != version && !c.lastWins:
		return c.conflict("tenant", tenants.Activation{})
	}
	if err := c.write(); err != nil {
		return err
	}
	c.drop(id)
	delete(c.records, id)
	delete(c.active, id)
	if c.forgets {
		delete(c.revisions, id)
	}
	return nil
}

func (c *clerk) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.bundles[d]
	if !ok {
		return tenants.Bundle{}, tenants.ErrNotFound
	}
	return b, nil
}

func (c *clerk) Platform(context.Context) (tenants.Digest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.active[tenants.PlatformOwner]; ok {
		return a.To, nil
	}
	return "", tenants.ErrNotFound
}

func (c *clerk) PutRevision(_ context.Context, owner string, b tenants.Bundle, r tenants.Revision) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !tenants.ValidOwner(owner) || b.Digest() != r.Digest {
		return fmt.Errorf("%s of %s: no", r.Digest, owner)
	}
	at := slices.IndexFunc(c.revisions[owner], func(other tenants.Revision) bool { return other.Digest == r.Digest })
	if err := c.write(); err != nil {
		return err
	}
	c.bundles[b.Digest()] = b
	switch {
	case c.unlisted && owner == "acme":
	case at < 0:
		c.revisions[owner] = append(c.revisions[owner], r)
	case c.overwrites:
		c.revisions[owner][at] = r
	}
	return nil
}

func (c *clerk) Revisions(_ context.Context, owner string) ([]tenants.Revision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.revisions[owner])
	slices.SortFunc(all, func(a, b tenants.Revision) int {
		if c.oldestFirst {
			a, b = b, a
		}
		return b.Time.Compare(a.Time)
	})
	return all, nil
}

// activation is an owner's last. c.mu is held.
func (c *clerk) activation(owner string) (tenants.Activation, error) {
	a, ok := c.active[owner]
	if tenants.ValidID(owner) {
		t, there := c.records[owner]
		if !there && !c.emptyActive {
			return tenants.Activation{}, tenants.ErrNotFound
		}
		a.Version = t.Version
		return a, nil
	}
	if !ok && !c.emptyActive {
		return tenants.Activation{}, tenants.ErrNotFound
	}
	return a, nil
}

func (c *clerk) Active(_ context.Context, owner string) (tenants.Activation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.activation(owner)
}

func (c *clerk) Activate(_ context.Context, owner string, a tenants.Activation) (tenants.Activation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, err := c.activation(owner)
	if err != nil && (tenants.ValidID(owner) || !tenants.ValidOwner(owner)) {
		return tenants.Activation{}, err
	}
	if before.Version != a.Version && !c.lastWins {
		if c.conflictWrites {
			c.audit[owner] = append(c.audit[owner], a)
		}
		return tenants.Activation{}, c.conflict("owner", before)
	}
	if !c.anyRevision && !slices.ContainsFunc(c.revisions[owner], func(r tenants.Revision) bool { return r.Digest == a.To }) {
		return tenants.Activation{}, tenants.ErrNotFound
	}
	if !c.trustsFrom {
		a.From = before.To
	}
	if a.Time.IsZero() {
		a.Time = time.Now()
	}
	if err := c.write(); err != nil {
		return tenants.Activation{}, err
	}
	asked := a
	a.Version = c.next(kindOf(owner)+owner, a.Version)
	c.active[owner] = a
	if t, ok := c.records[owner]; ok {
		t.Revision, t.Version = a.To, a.Version
		c.records[owner] = t
	}
	if c.twoWrites {
		if err := c.write(); err != nil {
			return tenants.Activation{}, err
		}
	}
	if !c.noAudit {
		c.audit[owner] = append(c.audit[owner], a)
	}
	if c.oldVersion {
		return asked, nil
	}
	return a, nil
}

func kindOf(owner string) string {
	if tenants.ValidID(owner) {
		return "tenant "
	}
	return ""
}

func (c *clerk) Activations(_ context.Context, owner string) ([]tenants.Activation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.audit[owner])
	if !c.oldestFirst {
		slices.Reverse(all)
	}
	return all, nil
}
