package rules_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// ordinary is a policy as people write them, with what it has to decide.
type ordinary struct {
	name   string
	bundle tenants.Bundle
	cases  []struct {
		Input json.RawMessage
		Allow bool
	}
}

func readOrdinary(tb testing.TB) []ordinary {
	tb.Helper()
	files, err := filepath.Glob("testdata/ordinary/*.txtar")
	if err != nil || len(files) < 15 {
		tb.Fatalf("%d policies: %v", len(files), err)
	}
	var list []ordinary
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		o := ordinary{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
		var own []tenants.File
		for _, f := range archive.Files {
			if path, ok := strings.CutPrefix(f.Name, "policy/"); ok {
				own = append(own, tenants.File{Path: path, Content: f.Data})
			} else if err := json.Unmarshal(f.Data, &o.cases); err != nil {
				tb.Fatalf("%s: %s: %v", file, f.Name, err)
			}
		}
		if len(o.cases) < 2 {
			tb.Fatalf("%s: %d cases", file, len(o.cases))
		}
		o.bundle = mustBundle(tb, own)
		list = append(list, o)
	}
	return list
}

// TestOrdinaryPolicies holds that limits, capabilities and guards leave alone what
// people write: among them OPA's own examples of authorizing API calls.
func TestOrdinaryPolicies(t *testing.T) {
	t.Parallel()
	for _, o := range readOrdinary(t) {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			policy, err := rules.Compile(t.Context(), mustBundle(t, nil), o.bundle, rules.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range o.cases {
				got, err := policy.Decide(t.Context(), laidOver(t, c.Input), now)
				if err != nil || got.Allow != c.Allow {
					t.Errorf("%s: %+v, %v: %s, want %t", c.Input, got, err, messageOf(err), c.Allow)
				}
			}
		})
	}
}

// laidOver is the base input with what is given in the place of its own.
func laidOver(tb testing.TB, overlay []byte) engine.Input {
	tb.Helper()
	in := baseInput()
	d := json.NewDecoder(bytes.NewReader(overlay))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		tb.Fatal(err)
	}
	return in
}
