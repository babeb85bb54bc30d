package dir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"regent/tenants"
	"regent/tenants/dir"
)

// live is a small workspace that is being watched.
type live struct {
	t      *testing.T
	path   string
	store  *dir.Store
	events chan dir.Event
}

// watch writes a workspace with the tenant acme and watches it until the test ends.
func watch(t *testing.T) *live {
	t.Helper()
	l := &live{t: t, path: filepath.Join(t.TempDir(), "workspace"), events: make(chan dir.Event, 100)}
	l.save("regent.yaml", "apis: []\n")
	l.tenant("acme", 0)
	l.store = open(t, l.path)
	l.start()
	return l
}

func (l *live) start() {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan error, 1)
	go func() { done <- l.store.Watch(ctx, func(e dir.Event) { l.events <- e }) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("watch: %v", err)
		}
	})
}

func (l *live) save(name, content string) { write(l.t, filepath.Join(l.path, name), content) }

// tenant writes a tenant whose plan and rules both carry a number.
func (l *live) tenant(id string, n int) {
	l.save("tenants/"+id+"/tenant.yaml", tenantText(id, n))
	l.save("tenants/"+id+"/policy/authz.rego", rules(n))
}

func tenantText(id string, n int) string {
	return fmt.Sprintf("id: %s\nstatus: active\nattributes: {plan: %q}\nidentity: {anonymous: true}\n", id, fmt.Sprint(n))
}

func rules(n int) string { return fmt.Sprintf("package authz\n\nversion := %d\n", n) }

// until waits for the event that is the one expected. Events before it are of
// saves that were seen half done.
func (l *live) until(what string, is func(dir.Event) bool) dir.Event {
	l.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-l.events:
			if is(e) {
				return e
			}
		case <-timeout:
			l.t.Fatalf("no event: %s", what)
		}
	}
}

func plan(s *dir.Snapshot, id string) string {
	tenant, err := s.Tenant(context.Background(), id)
	if err != nil {
		return ""
	}
	return tenant.Attributes["plan"].(string)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	plans := func(id, want string) func(dir.Event) bool {
		return func(e dir.Event) bool { return e.Err == nil && plan(e.Snapshot, id) == want }
	}
	has := func(id, name, want string) func(dir.Event) bool {
		return func(e dir.Event) bool {
			b, err := e.Snapshot.TenantBundle(id)
			if e.Err != nil || err != nil {
				return false
			}
			for _, f := range b.Files() {
				if f.Path == name {
					return string(f.Content) == want
				}
			}
			return false
		}
	}
	replace := func(l *live, name, content string) {
		temporary := filepath.Join(l.path, filepath.Dir(name), ".saving")
		write(l.t, temporary, content)
		rename(l.t, temporary, filepath.Join(l.path, name))
	}
	tests := []struct {
		name string
		do   func(l *live)
		want func(dir.Event) bool
	}{
		{"a file written in place", func(l *live) { l.save("tenants/acme/tenant.yaml", tenantText("acme", 1)) }, plans("acme", "1")},
		{"a file replaced by renaming", func(l *live) { replace(l, "tenants/acme/tenant.yaml", tenantText("acme", 2)) }, plans("acme", "2")},
		{"a file moved away and written anew", func(l *live) {
			name := filepath.Join(l.path, "tenants/acme/tenant.yaml")
			rename(l.t, name, name+"~")
			write(l.t, name, tenantText("acme", 3))
		}, plans("acme", "3")},
		{"rules in a directory that is new", func(l *live) { l.save("tenants/acme/policy/deep/er/x.rego", rules(4)) }, has("acme", "deep/er/x.rego", rules(4))},
		{"then saved again", func(l *live) { l.save("tenants/acme/policy/deep/er/x.rego", rules(5)) }, has("acme", "deep/er/x.rego", rules(5))},
		{"a tenant that is new", func(l *live) { l.tenant("bolt", 6) }, plans("bolt", "6")},
		{"then saved again", func(l *live) { replace(l, "tenants/bolt/tenant.yaml", tenantText("bolt", 7)) }, plans("bolt", "7")},
		{"a tenant removed", func(l *live) { remove(l.t, filepath.Join(l.path, "tenants/bolt")) }, plans("bolt", "")},
		{"the tenants replaced as a directory", func(l *live) {
			rename(l.t, filepath.Join(l.path, "tenants"), l.path+".old-tenants")
			l.tenant("acme", 8)
		}, plans("acme", "8")},
		{"then saved again", func(l *live) { l.save("tenants/acme/policy/authz.rego", rules(9)) }, has("acme", "authz.rego", rules(9))},
		{"the first guardrail", func(l *live) { l.save("platform/guard.rego", "package platform\n") }, func(e dir.Event) bool {
			return e.Err == nil && len(e.Snapshot.PlatformBundle().Files()) == 1
		}},
		{"the workspace replaced as a whole", func(l *live) {
			other := &live{t: l.t, path: l.path + ".new"}
			other.save("regent.yaml", "apis: []\n")
			other.tenant("acme", 10)
			rename(l.t, l.path, l.path+".old")
			rename(l.t, other.path, l.path)
		}, plans("acme", "10")},
		{"then saved again", func(l *live) { l.save("tenants/acme/tenant.yaml", tenantText("acme", 11)) }, plans("acme", "11")},
		{"an API with a document in a directory to come", func(l *live) {
			l.save("regent.yaml", "apis: [{id: a1b2c3, kind: rest, credential: 'header:x', tenant: [host], routes: docs/api/openapi.yaml}]\n")
		}, func(e dir.Event) bool {
			return e.Err != nil && strings.Contains(e.Err.Error(), "docs/api/openapi.yaml")
		}},
		{"the document", func(l *live) {
			l.save("docs/api/openapi.yaml", "openapi: 3.0.1\ninfo: {title: x, version: '1'}\npaths: {/a: {get: {responses: {}}}}\n")
		}, func(e dir.Event) bool { return e.Err == nil && len(e.Snapshot.APIs()[0].Routes) == 1 }},
	}
	l := watch(t)
	for _, tt := range tests { // one after the other: each builds on those before it
		tt.do(l)
		e := l.until(tt.name, tt.want)
		if l.store.Snapshot() != e.Snapshot {
			t.Errorf("%s: the snapshot reported is not in force", tt.name)
		}
	}
}

func TestBrokenSaveKeepsTheLastGoodState(t *testing.T) {
	t.Parallel()
	l := watch(t)
	good := l.store.Snapshot()
	tests := []struct {
		name, file, content, want string
	}{
		{"unknown key", "tenants/acme/tenant.yaml", tenantText("acme", 1) + "selector: x\n", `tenants/acme/tenant.yaml:5:1: unknown key "selector"; did you mean "selectors"?`},
		{"not YAML", "tenants/acme/tenant.yaml", "id: [", "tenants/acme/tenant.yaml:2:1: not YAML: did not find expected node content"},
		{"another tenant's error", "tenants/bolt/policy/authz.rego", rules(1), "there is no such file"},
	}
	for _, tt := range tests {
		l.save(tt.file, tt.content)
		e := l.until(tt.name, func(e dir.Event) bool { return e.Err != nil && strings.Contains(e.Err.Error(), tt.want) })
		var errs dir.Errors
		if !errors.As(e.Err, &errs) {
			t.Errorf("%s: error is a %T, want dir.Errors", tt.name, e.Err)
		}
		if e.Snapshot != good || l.store.Snapshot() != good {
			t.Errorf("%s: the last good snapshot is not in force", tt.name)
		}
		if err := l.store.Reload(); err == nil || l.store.Snapshot() != good {
			t.Errorf("%s: Reload error %v", tt.name, err)
		}
	}
	remove(t, filepath.Join(l.path, "tenants/bolt"))
	l.tenant("acme", 2)
	l.until("repaired", func(e dir.Event) bool { return e.Err == nil && plan(e.Snapshot, "acme") == "2" })
	remove(t, l.path)
	e := l.until("workspace gone", func(e dir.Event) bool {
		return e.Err != nil && strings.Contains(e.Err.Error(), "there is no workspace")
	})
	if plan(e.Snapshot, "acme") != "2" {
		t.Error("the workspace is gone and so is the last good snapshot")
	}
	l.save("regent.yaml", "apis: []\n")
	l.tenant("acme", 3)
	l.until("workspace back", func(e dir.Event) bool { return e.Err == nil && plan(e.Snapshot, "acme") == "3" })
}

// What changed between Open and Watch counts.
func TestWatchSeesWhatChangedBefore(t *testing.T) {
	t.Parallel()
	l := &live{t: t, path: t.TempDir(), events: make(chan dir.Event, 100)}
	l.save("regent.yaml", "apis: []\n")
	l.tenant("acme", 0)
	l.store = open(t, l.path)
	l.save("tenants/acme/tenant.yaml", tenantText("acme", 1))
	l.start()
	l.until("saved before", func(e dir.Event) bool { return plan(e.Snapshot, "acme") == "1" })
}

func TestCheckKeepsTheLastGoodState(t *testing.T) {
	t.Parallel()
	l := &live{t: t, path: t.TempDir()}
	l.save("regent.yaml", "apis: []\n")
	l.tenant("acme", 0)
	l.store = open(t, l.path)
	refusal := errors.New("does not compile")
	l.store.Check = func(s *dir.Snapshot) error {
		if plan(s, "acme") == "1" {
			return refusal
		}
		return nil
	}
	good := l.store.Snapshot()
	l.tenant("acme", 1)
	if err := l.store.Reload(); !errors.Is(err, refusal) || l.store.Snapshot() != good {
		t.Errorf("Reload: %v, and the snapshot has plan %s", err, plan(l.store.Snapshot(), "acme"))
	}
	l.tenant("acme", 2)
	if err := l.store.Reload(); err != nil || plan(l.store.Snapshot(), "acme") != "2" {
		t.Errorf("Reload: %v", err)
	}
}

// Readers never see the record of one save with the rules of another, and a tenant
// that was read just before a swap still finds its bundle.
func TestReadersSeeWholeSnapshots(t *testing.T) {
	t.Parallel()
	l := &live{t: t, path: t.TempDir()}
	l.save("regent.yaml", "apis: []\n")
	l.tenant("acme", 0)
	l.store = open(t, l.path)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				s := l.store.Snapshot()
				b, err := s.TenantBundle("acme")
				if err != nil || string(b.Files()[0].Content) != "package authz\n\nversion := "+plan(s, "acme")+"\n" {
					t.Errorf("plan %s with rules %s, error %v", plan(s, "acme"), b.Files()[0].Content, err)
					return
				}
			}
		})
	}
	for n := 1; n <= 50; n++ {
		before, err := l.store.Tenant(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		l.tenant("acme", n)
		if err := l.store.Reload(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.store.Bundle(ctx, before.Revision); err != nil {
			t.Errorf("the bundle of the tenant as it was read before the swap: %v", err)
		}
	}
	cancel()
	group.Wait()
	if got := plan(l.store.Snapshot(), "acme"); got != "50" {
		t.Errorf("the last snapshot has plan %s", got)
	}
	if _, err := l.store.Bundle(t.Context(), tenants.Digest("sha256:0")); !errors.Is(err, tenants.ErrNotFound) {
		t.Errorf("a bundle that never was: %v", err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
