package assemble_test

import (
	"os"
	"regexp"
	"testing"
	"testing/fstest"

	"regent/cmd/internal/assemble"
	"regent/engine"
	"regent/engine/rules/sandbox"
	"regent/tenants/dir"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func TestAuthorizer(t *testing.T) {
	t.Parallel()
	store, err := dir.Load(fstest.MapFS{"regent.yaml": {Data: []byte(
		"apis:\n  - {id: a1b2c3, kind: rest, credential: \"header:authorization\", tenant: [host], cache: {ttl: 0s}}\n",
	)}}, "workspace")
	if err != nil {
		t.Fatal(err)
	}
	log := func(engine.Record) {}
	tests := []struct {
		name  string
		parts assemble.Parts
		ok    bool
	}{
		{"complete", assemble.Parts{Store: store, Log: log}, true},
		{"in the process", assemble.Parts{Store: store, Log: log, InProcess: true}, true},
		{"no store", assemble.Parts{Log: log}, false},
		{"no log", assemble.Parts{Store: store}, false},
		{"nothing", assemble.Parts{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, err := assemble.Authorizer(tt.parts)
			if (err == nil) != tt.ok || (a != nil) != tt.ok {
				t.Fatalf("got %v, %v; want ok %t", a, err, tt.ok)
			}
			if tt.ok && (len(a.Salt) != 32 || a.Now == nil) {
				t.Errorf("a salt of %d bytes; a clock: %t", len(a.Salt), a.Now != nil)
			}
			if tt.ok {
				if err := assemble.Ready(t.Context(), a); err != nil {
					t.Error(err)
				}
				assemble.Close(a)
			}
		})
	}
}

// TestPolicies: what is asked without an authorizer is what an authorizer asks.
func TestPolicies(t *testing.T) {
	t.Parallel()
	store, err := dir.Load(fstest.MapFS{"regent.yaml": {Data: []byte(
		"apis:\n  - {id: a1b2c3, kind: rest, credential: \"header:authorization\", tenant: [host], cache: {ttl: 0s}}\n",
	)}}, "workspace")
	if err != nil {
		t.Fatal(err)
	}
	for _, inProcess := range []bool{false, true} {
		policies, err := assemble.Policies(assemble.Parts{Store: store, InProcess: inProcess})
		if err != nil {
			t.Fatal(err)
		}
		if _, pool := policies.(*sandbox.Pool); pool == inProcess {
			t.Errorf("in the process %t: got %T", inProcess, policies)
		}
		assemble.End(policies)
		assemble.End(policies) // again
	}
	if _, err := assemble.Policies(assemble.Parts{}); err == nil {
		t.Error("a store is not asked for")
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	uuid4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 100 {
		id := assemble.NewID()
		if !uuid4.MatchString(id) || seen[id] {
			t.Fatalf("%q is not a new UUID of version 4", id)
		}
		seen[id] = true
	}
}
