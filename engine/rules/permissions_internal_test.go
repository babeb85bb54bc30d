package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

// Ordinary rules are specialised, which is what makes complete policies quick; where
// that could lose an error, they are not.
func TestSpecialised(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rules string
		want        bool
	}{
		{"permissions in data", rbac[len("package authz"):], true},
		{"a helper of the request", "allow if reads\n\nreads if input.method == \"GET\"", true},
		{"a function of the path", "allow if under(input.path, \"/orders\")\n\nunder(p, base) if startswith(p, concat(\"\", [base, \"/\"]))", true},
		{"negation", "allow if not input.segments[0] == \"admin\"", true},
		{"a table", "allow if data.roles[input.params.id]", true},
		{"deny with a message", "allow := true\n\ndeny contains sprintf(\"%s\", [input.method]) if input.method == \"PUT\"", true},
		{"what the key does not have", "allow if input.query.debug", true},
		{"a function that could fail", "allow if to_number(input.params.id) > 1", false},
		{"one that could fail beside what is false", "allow if {\n\tto_number(input.params.id) > 1\n\tinput.identity.claims.nobody\n}\n\nallow if input.method == \"GET\"", false},
		{"two values", "allow if level == 1\n\nlevel := 1 if input.method == \"GET\"\n\nlevel := 2 if input.segments[0] == \"a\"", false},
		{"with", "allow if probe with input.method as \"GET\"\n\nprobe if input.method == \"GET\"", false},
		{"allow that may be false", "allow := false if input.method == \"GET\"", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			platform, err := tenants.NewBundle(nil)
			if err != nil {
				t.Fatal(err)
			}
			tenant, err := tenants.NewBundle([]tenants.File{
				{Path: "authz.rego", Content: []byte("package authz\n\n" + tt.rules + "\n")},
				{Path: "data.json", Content: []byte(smallData)},
			})
			if err != nil {
				t.Fatal(err)
			}
			p, err := Compile(t.Context(), platform, tenant, Options{})
			if err != nil {
				t.Fatal(err)
			}
			values, err := knownInput(request())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.prepared.prepare(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			got, err := p.prepared.specialise(t.Context(), p.prepared.program(p, values, engine.Known{}), true)
			if err != nil || got != tt.want {
				t.Errorf("specialised %t, %v; want %t", got, err, tt.want)
			}
		})
	}
}

// short is a context that ends after so many looks at it.
type short struct {
	context.Context
	looks *int
}

func (c short) Err() error {
	if *c.looks--; *c.looks < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Preparing goes on where there was no time left, and comes to what it comes to at once.
func TestPrepareGoesOn(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("package authz\n\nallow if r0\n")
	for i := range 60 {
		fmt.Fprintf(&b, "\nr%d if {\n\tcount(input.segments) > %d\n\tr%d\n}\n\nc%d := [x | some x in data.roles; x != c%d]\n", i, i, i+1, i, i+1)
	}
	b.WriteString("\nr60 if to_number(input.params.id) > 1\n\nc60 := 1\n")
	compiled := func() *Policy {
		platform, err := tenants.NewBundle(nil)
		if err != nil {
			t.Fatal(err)
		}
		tenant, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte(b.String())}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(t.Context(), platform, tenant, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	atOnce, bitByBit := compiled(), compiled()
	if err := atOnce.prepared.prepare(t.Context(), atOnce); err != nil {
		t.Fatal(err)
	}
	calls := 1
	for ; ; calls++ {
		looks := 40
		err := bitByBit.prepared.prepare(short{t.Context(), &looks}, bitByBit)
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) || calls > 1000 {
			t.Fatalf("call %d: %v", calls, err)
		}
	}
	if calls < 3 {
		t.Errorf("%d calls: the time was not short", calls)
	}
	if diff := cmp.Diff(findings(t, atOnce), findings(t, bitByBit)); diff != "" {
		t.Errorf("in %d calls (-at once +bit by bit):\n%s", calls, diff)
	}
}

// findings are what preparing found out of each rule, and what comes of it.
func findings(t *testing.T, p *Policy) map[string]string {
	t.Helper()
	found := map[string]string{}
	for ref, rules := range p.prepared.byRef {
		for _, r := range rules {
			found[ref] += fmt.Sprintf("harmless %t\n", p.prepared.verdicts.harmless[r])
		}
	}
	perms, err := p.Permissions(t.Context(), engine.Known{Input: request()}, []tenants.Route{{Method: "GET", Path: "/{a}/{b+}"}}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	found[""] = fmt.Sprint(perms)
	return found
}
