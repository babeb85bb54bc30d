package rules

import (
	"testing"

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
			p.prepared.prepare(p)
			got, err := p.prepared.specialise(t.Context(), p.prepared.program(p, values, engine.Known{}), true)
			if err != nil || got != tt.want {
				t.Errorf("specialised %t, %v; want %t", got, err, tt.want)
			}
		})
	}
}
