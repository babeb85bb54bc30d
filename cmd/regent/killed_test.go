package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

// published is a table with a platform and acme's first revision, and a proxy before it.
func published(t *testing.T) (path, table string, reg *dynamo.Store, proxy *dynamotest.Proxy) {
	t.Helper()
	endpoint := dynamotest.Endpoint(t)
	path, table = smallWorkspace(t), dynamotest.Table(t)
	reg = dynamotest.OpenAt(t, endpoint, dynamo.Options{Table: table, Administer: true})
	register(t, path, reg)
	mustPublish(t, reg, path, tenants.PlatformOwner, "ops")
	mustPublish(t, reg, path, "acme", "alice")
	return path, table, reg, dynamotest.NewProxy(t, endpoint)
}

// publisher is regent publish as a process of its own, at an endpoint.
func publisher(t *testing.T, endpoint, table, path, author string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	// TestMain goes by the name that it is called by.
	cmd := &exec.Cmd{
		Path: self, Args: []string{"regent", "publish", "acme", "--yes", "--from", path, "--author", author, "--store", "dynamodb:" + table},
		Env: append(dynamotest.Environment(endpoint), "REGENT_EVAL_TIMEOUT=5s"), Stdout: &out, Stderr: &out,
	}
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, &out
}

// stop lets one kind of request be done, and holds its answer back: reached is closed
// when it has been done, and the answer comes when release is closed.
func stop(f dynamotest.Fault) (fault dynamotest.Fault, reached, release chan struct{}) {
	reached, release = make(chan struct{}), make(chan struct{})
	f.Kind, f.Count = dynamotest.Edited, 1
	f.Edit = func(map[string]any) {
		close(reached)
		<-release
	}
	return f, reached, release
}

// TestPublishKilled kills a publishing process behind each of its writes. The tenant is
// on a whole revision each time, and doing the same again finishes it, once.
func TestPublishKilled(t *testing.T) {
	t.Parallel()
	path, table, reg, proxy := published(t)
	before, err := reg.Active(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	const most = 20
	for writes := 0; ; writes++ {
		if writes == most {
			t.Fatalf("no end after %d writes", most)
		}
		edit(t, path, "tenants/acme/policy/authz.rego", fmt.Sprintf("# kill %d", writes))
		_, b, err := policyFrom(path, "acme")
		if err != nil {
			t.Fatal(err)
		}
		fault, reached, release := stop(dynamotest.Fault{Operation: dynamotest.Writes, After: writes})
		proxy.Add(fault)
		cmd, out := publisher(t, proxy.URL, table, path, "alice")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		through := false
		select {
		case <-reached:
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
		case err := <-ended:
			if through = true; err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		case <-time.After(atMost):
			t.Fatalf("neither killed nor done:\n%s", out)
		}
		close(release)
		proxy.Clear()
		now, err := reg.Active(t.Context(), "acme")
		if err != nil || now.To != before.To && now.To != b.Digest() {
			t.Fatalf("killed behind write %d: %s in force (%v)", writes+1, now.To, err)
		}
		if _, err := reg.Bundle(t.Context(), now.To); err != nil {
			t.Fatalf("killed behind write %d: what is in force is not whole: %v", writes+1, err)
		}
		if !through {
			again, out := publisher(t, proxy.URL, table, path, "alice")
			if err := again.Run(); err != nil {
				t.Fatalf("again after write %d: %v\n%s", writes+1, err, out)
			}
		}
		before = once(t, reg, before, b.Digest())
		if through {
			if writes < 4 { // content, revision, record, audit
				t.Errorf("it was through after %d writes", writes)
			}
			return
		}
	}
}

// once checks that a revision came into force by one activation, which is recorded.
func once(t *testing.T, reg tenants.Registry, before tenants.Activation, to tenants.Digest) tenants.Activation {
	t.Helper()
	now, err := reg.Active(t.Context(), "acme")
	if err != nil || now.To != to || now.From != before.To || now.Version != before.Version+1 {
		t.Fatalf("in force is %+v (%v), want %s after %+v", now, err, to, before)
	}
	log, err := reg.Activations(t.Context(), "acme")
	if err != nil || len(log) == 0 || log[0].To != to || log[0].Version != now.Version {
		t.Fatalf("the last record is %+v (%v), want that of %+v", log, err, now)
	}
	return now
}

// TestPublishLost: whoever is overtaken by another process is told by whom.
func TestPublishLost(t *testing.T) {
	t.Parallel()
	path, table, reg, proxy := published(t)
	slow := t.TempDir()
	if err := os.CopyFS(slow, os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	edit(t, slow, "tenants/acme/policy/authz.rego", "# slow")
	edit(t, path, "tenants/acme/policy/authz.rego", "# fast")
	fault, reached, release := stop(dynamotest.Fault{Operation: "PutItem", Contains: "REVISION#"})
	proxy.Add(fault)
	second, out := publisher(t, proxy.URL, table, slow, "sloth")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(atMost):
		t.Fatalf("nothing is stored:\n%s", out)
	}
	mustPublish(t, reg, path, "acme", "hare")
	close(release)
	var exit *exec.ExitError
	if err := second.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitTrouble {
		t.Fatalf("%v\n%s", err, out)
	}
	now, err := reg.Active(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	want := "hare was first, with revision " + now.To.Short()
	if now.Author != "hare" || !strings.Contains(out.String(), want) {
		t.Errorf("%s is in force, no %q in\n%s", now.Author, want, out)
	}
	// Running it again is safe.
	again, out := publisher(t, proxy.URL, table, slow, "sloth")
	if err := again.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if a, err := reg.Active(t.Context(), "acme"); err != nil || a.Author != "sloth" || a.From != now.To {
		t.Errorf("in force is %+v (%v)", a, err)
	}
}
