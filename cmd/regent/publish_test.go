package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"regent/tenants"
	"regent/tenants/dir"
)

// smallShop is a workspace that is judged fast.
func smallShop() map[string]string {
	tenant := "status: active\nidentity: {anonymous: true}\nattributes: {plan: gold}\n"
	rules := "package authz\n\nimport data.lib.words\n\nallow if { words.plain(input.method); input.route == \"/orders\" }\n"
	return map[string]string{
		"regent.yaml": `apis:
  - id: a1b2c3
    kind: rest
    credential: header:authorization
    tenant: [host]
    cache: {ttl: 300s, identity: [header:authorization, header:host]}
    routes: [GET /orders, POST /orders, "GET /orders/{id}", GET /reports]
`,
		"lib/words.rego":                         "package lib.words\n\nplain(method) if method == \"GET\"\n",
		"platform/guardrails.rego":               "package platform\n\ndeny contains \"no\" if input.identity.subject == \"mallory\"\n",
		"tenants/acme/tenant.yaml":               "id: acme\nselectors: {hosts: [acme.localhost]}\n" + tenant,
		"tenants/acme/callers.yaml":              "callers: [{name: clerk, subject: carol}]\n",
		"tenants/acme/policy/authz.rego":         rules,
		"tenants/acme/policy/authz_test.rego":    "package authz_test\n\nimport data.authz\n\ntest_get if authz.allow with input as {\"method\": \"GET\", \"route\": \"/orders\"}\n",
		"tenants/globex/tenant.yaml":             "id: globex\nselectors: {hosts: [globex.localhost]}\n" + tenant,
		"tenants/globex/policy/authz.rego":       rules,
		"tenants/globex/policy/limits/data.yaml": "orders: 10\n",
	}
}

// smallWorkspace writes smallShop to a directory.
func smallWorkspace(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for name, text := range smallShop() {
		file := filepath.Join(path, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// register puts a workspace's APIs and tenants into a registry.
func register(t *testing.T, path string, reg tenants.Registry) {
	t.Helper()
	ws, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range ws.Snapshot().APIs() {
		if _, err := reg.PutAPI(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range ws.Snapshot().Tenants() {
		one.Version, one.Revision = 0, ""
		if _, err := reg.PutTenant(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
}

// shop makes a workspace and a registry that has its APIs and tenants, but no revision.
func shop(t *testing.T) (string, *memory) {
	t.Helper()
	path, reg := smallWorkspace(t), newMemory()
	register(t, path, reg)
	return path, reg
}

// edit appends a line to a file of a workspace.
func edit(t *testing.T, path, file, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(path, file), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// call runs a verb on a registry, without a terminal.
func call(t *testing.T, json bool, verb func(*cli) error) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := &cli{stdin: strings.NewReader("y\n"), out: newWriter(&out), err: newWriter(&errs), json: json}
	status = c.report(verb(c))
	return status, out.String(), errs.String()
}

// publishing is the flags of somebody who publishes a workspace.
func publishing(path, author string) proposalFlags {
	return proposalFlags{from: path, author: author, stage: defaultStage, yes: true}
}

// mustPublish publishes the platform or a tenant.
func mustPublish(t *testing.T, reg tenants.Registry, path, owner, author string) {
	t.Helper()
	status, stdout, stderr := call(t, false, func(c *cli) error {
		if owner == tenants.PlatformOwner {
			return c.publishPlatform(t.Context(), reg, publishing(path, author))
		}
		return c.publish(t.Context(), reg, owner, publishing(path, author))
	})
	if status != exitOK {
		t.Fatalf("publish %s: status %d\n%s%s", owner, status, stdout, stderr)
	}
}

func active(t *testing.T, reg *memory, owner string) tenants.Activation {
	t.Helper()
	reg.mu.Lock()
	defer reg.mu.Unlock()
	a, err := reg.active(owner)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const harmless = `allow if { input.method == "GET"; input.route == "/orders/{id}"; input.params.id == "acme" }`

// TestPublishInterrupted stops a publication before and after each call of the store:
// the tenant is on a whole revision each time, and doing the same again finishes it.
func TestPublishInterrupted(t *testing.T) {
	t.Parallel()
	path, reg := shop(t)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	var methods []string
	reg.before = func(method string) error {
		methods = append(methods, method)
		return nil
	}
	edit(t, path, "tenants/acme/policy/authz.rego", harmless)
	mustPublish(t, reg, path, "acme", "alice")
	reg.before = nil
	if !slices.Contains(methods, "PutRevision") || !slices.Contains(methods, "Activate") {
		t.Fatalf("publishing calls %q", methods)
	}
	gone := errors.New("the connection is gone")
	for i, method := range methods {
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%s %d %s", when, i, method), func(t *testing.T) {
				was := active(t, reg, "acme").To
				edit(t, path, "tenants/acme/policy/authz.rego", fmt.Sprintf("# %s %d", when, i))
				calls := 0
				stop := func(string) error {
					if calls++; calls > i {
						return gone
					}
					return nil
				}
				if when == "before" {
					reg.before = stop
				} else {
					reg.after = stop
				}
				status, stdout, stderr := call(t, false, func(c *cli) error {
					return c.publish(t.Context(), reg, "acme", publishing(path, "alice"))
				})
				reg.before, reg.after = nil, nil
				now := active(t, reg, "acme").To
				if _, err := reg.Bundle(t.Context(), now); err != nil {
					t.Fatalf("what is in force is not stored: %v", err)
				}
				if status != exitTrouble && now == was {
					t.Fatalf("status %d although nothing came into force\n%s%s", status, stdout, stderr)
				}
				if strings.Contains(stdout, "is in force") && now == was {
					t.Fatalf("it says so, and it is not\n%s%s", stdout, stderr)
				}
				// The same again.
				mustPublish(t, reg, path, "acme", "alice")
				a := active(t, reg, "acme")
				_, b, err := policyFrom(path, "acme")
				if err != nil || a.To != b.Digest() || a.From != was {
					t.Fatalf("from %s to %s in force, want from %s to %s (%v)", a.From, a.To, was, b.Digest(), err)
				}
			})
		}
	}
}

// TestPublishTogether lets many publish at once, each something else: one of those who
// began at the same state wins, and everybody else is told who.
func TestPublishTogether(t *testing.T) {
	t.Parallel()
	path, reg := shop(t)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	const publishers = 4
	// Nobody activates before everybody has read.
	var ready sync.WaitGroup
	ready.Add(publishers)
	reg.before = func(method string) error {
		if method == "Activate" {
			ready.Done()
			ready.Wait()
		}
		return nil
	}
	paths, errs := make([]string, publishers), make([]string, publishers)
	statuses := make([]int, publishers)
	for i := range publishers {
		paths[i] = filepath.Join(t.TempDir(), "shop")
		if err := os.CopyFS(paths[i], os.DirFS(path)); err != nil {
			t.Fatal(err)
		}
		edit(t, paths[i], "tenants/acme/policy/authz.rego", fmt.Sprintf("# by publisher %d", i))
	}
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			statuses[i], _, errs[i] = call(t, false, func(c *cli) error {
				return c.publish(t.Context(), reg, "acme", publishing(paths[i], fmt.Sprintf("publisher %d", i)))
			})
		})
	}
	wg.Wait()
	reg.before = nil
	winner := active(t, reg, "acme")
	won := 0
	for i, status := range statuses {
		if status == exitOK {
			won++
			if want := fmt.Sprintf("publisher %d", i); winner.Author != want {
				t.Errorf("%s won and %s is in force", want, winner.Author)
			}
			continue
		}
		if status != exitTrouble || !strings.Contains(errs[i], winner.Author+" was first, with revision "+winner.To.Short()) {
			t.Errorf("publisher %d: status %d:\n%s", i, status, errs[i])
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
	// Running again is safe.
	for i := range publishers {
		mustPublish(t, reg, paths[i], "acme", "somebody")
	}
}

// TestPublishSameTogether: with the same content both end well.
func TestPublishSameTogether(t *testing.T) {
	t.Parallel()
	path, reg := shop(t)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	once := false
	reg.before = func(method string) error {
		if method == "Activate" && !once {
			once = true
			mustPublish(t, reg, path, "acme", "bob")
		}
		return nil
	}
	status, stdout, stderr := call(t, true, func(c *cli) error {
		return c.publish(t.Context(), reg, "acme", publishing(path, "alice"))
	})
	var out publication
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || status != exitOK || out.State != stateUnchanged || out.InForce.Author != "bob" {
		t.Fatalf("status %d, %v\n%s%s", status, err, stdout, stderr)
	}
}

// TestPublishRecordChanged: a change of the tenant's record counts too.
func TestPublishRecordChanged(t *testing.T) {
	t.Parallel()
	path, reg := shop(t)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	was := active(t, reg, "acme").To
	edit(t, path, "tenants/acme/policy/authz.rego", harmless)
	reg.before = func(method string) error {
		if method == "PutRevision" {
			record := reg.records["acme"]
			record.Attributes = map[string]any{"plan": "free"}
			_, err := reg.PutTenant(context.Background(), record)
			return err
		}
		return nil
	}
	status, stdout, stderr := call(t, true, func(c *cli) error {
		return c.publish(t.Context(), reg, "acme", publishing(path, "alice"))
	})
	if status != exitTrouble || !strings.Contains(stdout, `"state": "conflict"`) || !strings.Contains(stderr, "was changed by") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if now := active(t, reg, "acme").To; now != was {
		t.Errorf("%s in force, want %s", now, was)
	}
}

const guardrail = `deny contains "closed" if input.tenant.attributes.closed`

// TestPlatformMovedMeanwhile: a tenant's revision was checked under a platform, and it
// comes into force under that one only.
func TestPlatformMovedMeanwhile(t *testing.T) {
	t.Parallel()
	path, reg := shop(t)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	was := active(t, reg, "acme").To
	edit(t, path, "tenants/acme/policy/authz.rego", harmless)
	_, b, err := policyFrom(path, "acme")
	if err != nil {
		t.Fatal(err)
	}
	moved := false
	reg.after = func(method string) error {
		if method == "PutRevision" && !moved {
			moved = true
			edit(t, path, "platform/guardrails.rego", guardrail)
			mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
		}
		return nil
	}
	status, stdout, stderr := call(t, false, func(c *cli) error {
		return c.publish(t.Context(), reg, "acme", publishing(path, "alice"))
	})
	reg.after = nil
	if status != exitTrouble || !strings.Contains(stderr, "the platform was changed meanwhile") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if now := active(t, reg, "acme").To; now != was {
		t.Errorf("%s in force, want %s", now, was)
	}
	mustPublish(t, reg, path, "acme", "alice")
	if now := active(t, reg, "acme").To; now != b.Digest() {
		t.Errorf("%s in force, want %s", now, b.Digest())
	}
}

// TestAPIMovedMeanwhile: so it is with the APIs, and for the platform too.
func TestAPIMovedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"acme", tenants.PlatformOwner} {
		path, reg := shop(t)
		mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
		mustPublish(t, reg, path, "acme", "alice")
		was := active(t, reg, owner).To
		edit(t, path, "tenants/acme/policy/authz.rego", harmless)
		edit(t, path, "platform/guardrails.rego", guardrail)
		reg.after = func(method string) error {
			if method == "PutRevision" {
				api := reg.apis["a1b2c3"]
				api.Cache.TTL = 0
				_, err := reg.PutAPI(context.Background(), api)
				return err
			}
			return nil
		}
		status, stdout, stderr := call(t, true, func(c *cli) error {
			if owner == tenants.PlatformOwner {
				return c.publishPlatform(t.Context(), reg, publishing(path, "ops"))
			}
			return c.publish(t.Context(), reg, owner, publishing(path, "alice"))
		})
		if status != exitTrouble || !strings.Contains(stderr, "the APIs were changed meanwhile") || !strings.Contains(stdout, `"state": "conflict"`) {
			t.Errorf("%s: status %d\n%s%s", owner, status, stdout, stderr)
		}
		if now := active(t, reg, owner).To; now != was {
			t.Errorf("%s: %s in force, want %s", owner, now, was)
		}
	}
}

// TestPlatformOfMany: of many tenants, people see those that are not well.
func TestPlatformOfMany(t *testing.T) {
	t.Parallel()
	const more = 40
	path, reg := shop(t)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	mustPublish(t, reg, path, "globex", "bob")
	for i := range more {
		one := reg.records["globex"]
		one.ID = fmt.Sprintf("tenant-%02d", i)
		reg.records[one.ID] = one
	}
	edit(t, path, "platform/guardrails.rego", guardrail)
	status, stdout, stderr := call(t, false, func(c *cli) error {
		return c.publishPlatform(t.Context(), reg, publishing(path, "ops"))
	})
	if status != exitOK || strings.Contains(stdout, "tenant-07") || !strings.Contains(stdout, fmt.Sprintf("%d tenants, 1 API: all is well", more+2)) {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	// One needs a helper that is not there.
	broken := bundleOf(t, "authz.rego", "package authz\n\nallow if data.lib.words.gone(1)\n")
	reg.bundles[broken.Digest()] = broken
	one := reg.records["tenant-07"]
	one.Revision, one.Version = broken.Digest(), one.Version+1
	reg.records["tenant-07"] = one
	was := active(t, reg, tenants.PlatformOwner).To
	edit(t, path, "platform/guardrails.rego", "# another")
	status, stdout, stderr = call(t, false, func(c *cli) error {
		return c.publishPlatform(t.Context(), reg, publishing(path, "ops"))
	})
	want := "tenants/tenant-07/policy/authz.rego:3:10: undefined function data.lib.words.gone"
	if status != exitNo || !strings.Contains(stdout, want) || strings.Contains(stdout, "tenant-08") || active(t, reg, tenants.PlatformOwner).To != was {
		t.Fatalf("status %d, no %q\n%s%s", status, want, stdout, stderr)
	}
	status, stdout, _ = call(t, true, func(c *cli) error {
		return c.publishPlatform(t.Context(), reg, publishing(path, "ops"))
	})
	var out publication
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || status != exitNo || len(out.Check.Parts) != more+3 || out.State != stateRefused {
		t.Fatalf("status %d, %v\n%s", status, err, stdout)
	}
	if !slices.IsSortedFunc(out.Check.Parts[1:], func(a, b part) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("not in the order of names: %v", out.Check.Parts)
	}
}

// TestPlatformAndTenantAtOnce: a helper goes in the very moment in which a tenant's
// revision that needs it comes into force. Whoever looks last, says so.
func TestPlatformAndTenantAtOnce(t *testing.T) {
	t.Parallel()
	path, reg := shop(t)
	edit(t, path, "lib/words.rego", "polite(_) := true")
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	old := filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(old, os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	edit(t, path, "tenants/acme/policy/authz.rego", `allow if { words.polite(input.route); input.route == "/reports" }`)
	text, err := os.ReadFile(filepath.Join(old, "lib/words.rego"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "lib/words.rego"), bytes.ReplaceAll(text, []byte("polite(_) := true"), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	began := false
	reg.before = func(method string) error {
		if method == "Activate" && !began {
			began = true // the platform's; its last look at the tenants is behind it
			mustPublish(t, reg, path, "acme", "alice")
		}
		return nil
	}
	status, stdout, stderr := call(t, false, func(c *cli) error {
		return c.publishPlatform(t.Context(), reg, publishing(old, "ops"))
	})
	reg.before = nil
	if status != exitNo || !strings.Contains(stderr, "came into force at the same time does not go with it") || !strings.Contains(stdout, "tenants/acme/policy/authz.rego:") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}
