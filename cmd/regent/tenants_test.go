package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/tenants"
	"regent/tenants/dir"
	"regent/tenants/dynamo/dynamotest"
)

// tenantYAMLOf is a tenant whose tokens only its own claim keeps apart from others'.
func tenantYAMLOf(id, claim string) string {
	return "id: " + id + "\nstatus: active\nidentity:\n  providers:\n    - issuer: https://idp.example\n      audiences: [shared]\n      algorithms: [ES256]\n      jwks: discovery\n      claims: {org: " + claim + "}\n"
}

func readTenant(t *testing.T, text string) dir.TenantFile {
	t.Helper()
	file, err := dir.ReadTenant("tenant.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Two tenants that are each fine, and not beside each other, put at the same time: the
// store judges neither, so whoever looks afterwards says it.
func TestPutTenantsTogether(t *testing.T) {
	t.Parallel()
	reg := newMemory()
	var once bool
	reg.before = func(method string) error {
		if method != "PutTenant" || once {
			return nil
		}
		once = true
		_, err := quiet().putTenant(t.Context(), reg, readTenant(t, tenantYAMLOf("twin", "one")), true)
		return err
	}
	change, err := quiet().putTenant(t.Context(), reg, readTenant(t, tenantYAMLOf("acme", "one")), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(change.Clashes) != 1 || !strings.Contains(change.Clashes[0], `"twin"`) || !strings.Contains(change.Clashes[0], "identity.providers[0]") {
		t.Errorf("clashes %q, want one with twin", change.Clashes)
	}
	alone, err := quiet().putTenant(t.Context(), reg, readTenant(t, tenantYAMLOf("globex", "two")), true)
	if err != nil || len(alone.Clashes) > 0 {
		t.Errorf("a third: %q, %v", alone.Clashes, err)
	}
}

// A record that somebody changed after it was read is not overwritten.
func TestPutTenantOvertaken(t *testing.T) {
	t.Parallel()
	reg := newMemory()
	put := func(text string) error {
		_, err := quiet().putTenant(t.Context(), reg, readTenant(t, text), true)
		return err
	}
	if err := put(tenantYAMLOf("acme", "one")); err != nil {
		t.Fatal(err)
	}
	var once bool
	reg.before = func(method string) error {
		if method != "PutTenant" || once {
			return nil
		}
		once = true
		return put(tenantYAMLOf("acme", "theirs"))
	}
	var f *failure
	if err := put(tenantYAMLOf("acme", "ours")); !errors.Is(err, tenants.ErrConflict) || !errors.As(err, &f) || len(f.hints) == 0 {
		t.Errorf("got %v, want a conflict with a hint", err)
	}
	if got := reg.records["acme"].Identity.Providers[0].Claims["org"]; got != "theirs" {
		t.Errorf("claims say %v, want theirs", got)
	}
	reg.before = func(method string) error {
		if method != "PutTenant" || !once {
			return nil
		}
		once = false
		return put(tenantYAMLOf("acme", "theirs again"))
	}
	if _, err := setStatus(t.Context(), reg, "acme", tenants.Suspended); !errors.Is(err, tenants.ErrConflict) {
		t.Errorf("suspend: got %v, want a conflict", err)
	}
}

func TestCompareRecords(t *testing.T) {
	t.Parallel()
	old := tenants.Tenant{ID: "acme", Status: tenants.Active, Attributes: map[string]any{"plan": "gold", "gone": 1.0}, Version: 1}
	now := tenants.Tenant{ID: "acme", Status: tenants.Suspended, Attributes: map[string]any{"plan": "gold", "limits": map[string]any{"rps": 5.0}}, Version: 1}
	want := []fieldChange{
		{"attributes.gone", 1.0, nil},
		{"attributes.limits.rps", nil, 5.0},
		{"status", "active", "suspended"},
	}
	if diff := cmp.Diff(want, compareRecords(old, now)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := compareRecords(old, old); got != nil {
		t.Errorf("the same differs in %v", got)
	}
}

// What a function noted about a revision that had to be killed is shown with the tenant.
func TestParkedIsShown(t *testing.T) {
	t.Parallel()
	store := dynamotest.Open(t)
	if err := bring(t, store, placeFiles(t, odd())); err != nil {
		t.Fatal(err)
	}
	acme, err := store.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := store.Park(t.Context(), "acme", tenants.Parked{Revision: acme.Revision, Since: now, Until: now.Add(time.Hour), Reason: "deadline"}); err != nil {
		t.Fatal(err)
	}
	d, err := detail(t.Context(), store, "acme")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := quiet()
	c.out = newWriter(&out)
	if err := c.showTenant(d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# version 2\n", "# revision " + string(acme.Revision) + ", in force since ", " by tester: a test\n",
		"# revision " + acme.Revision.Short() + " is parked until ", ": deadline\n", "\nid: acme\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if len(d.Parked) != 1 || d.Activation == nil || d.Activation.Author != "tester" {
		t.Errorf("got %+v", d)
	}
}

// A move that fails is undone, and what was there is there again.
func TestMovesAreUndone(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	name := func(s string) string { return filepath.Join(path, s) }
	if err := os.WriteFile(name("a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	var m moves
	if err := m.move(name("a"), name("b"), false); err != nil {
		t.Fatal(err)
	}
	if err := m.move(name("none"), name("c"), true); err != nil {
		t.Errorf("what may miss: %v", err)
	}
	if err := m.move(name("none"), name("c"), false); err == nil {
		t.Error("what may not miss is no error")
	}
	if err := m.undo(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "a"}, content(t, path)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An export that fails leaves the directory as it was: here the table's tenant clashes
// with another, which no workspace may.
func TestExportFailsWhole(t *testing.T) {
	t.Parallel()
	reg := newMemory()
	if err := bring(t, reg, placeFiles(t, odd())); err != nil {
		t.Fatal(err)
	}
	path := placeFiles(t, odd())
	before := content(t, path)
	for id := range reg.records {
		r := readTenant(t, tenantYAMLOf(id, "same")).Tenant
		r.Revision, r.Version = reg.records[id].Revision, reg.records[id].Version
		reg.records[id] = r
	}
	var errs dir.Errors
	if err := quiet().exportWorkspace(t.Context(), reg, path, true); !errors.As(err, &errs) {
		t.Errorf("got %v, want the errors of the workspace", err)
	}
	if diff := cmp.Diff(before, content(t, path)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

// Bundles with files that no workspace has cannot be exported, and are not exported as
// something else.
func TestExportRefusesWhatNoWorkspaceSays(t *testing.T) {
	t.Parallel()
	b, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte("package authz\n")}, {Path: "notes.txt", Content: []byte("?")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"acme", tenants.PlatformOwner} {
		reg := newMemory()
		if err := bring(t, reg, placeFiles(t, odd())); err != nil {
			t.Fatal(err)
		}
		if err := reg.PutRevision(t.Context(), owner, b, tenants.Revision{Digest: b.Digest()}); err != nil {
			t.Fatal(err)
		}
		if _, err := reg.Activate(t.Context(), owner, tenants.Activation{To: b.Digest(), Version: active(t, reg, owner).Version}); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "to")
		if err := quiet().exportWorkspace(t.Context(), reg, to, false); err == nil || !strings.Contains(err.Error(), "would not say the same") {
			t.Errorf("%s: got %v", owner, err)
		}
		if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v, %v", owner, left, err)
		}
	}
}
