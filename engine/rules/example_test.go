package rules_test

import (
	"context"
	"fmt"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// A tenant's bundle is compiled once, under the platform's, and then asked about one
// input after the other.
func ExampleCompile() {
	platform, err := tenants.NewBundle([]tenants.File{{Path: "platform/guardrails.rego", Content: []byte(`package platform

deny contains "the tenant is read-only" if {
	input.tenant.attributes.read_only
	input.method != "GET"
}
`)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	tenant, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte(`package authz

allow if input.segments == ["users", input.identity.subject]
`)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	policy, err := rules.Compile(ctx, platform, tenant, rules.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, method := range []string{"GET", "DELETE"} {
		d, err := policy.Decide(ctx, engine.Input{
			Tenant:   engine.InputTenant{ID: "acme", Attributes: map[string]any{"read_only": true}},
			Identity: engine.Identity{Kind: engine.JWT, Subject: "alice"},
			Method:   method,
			Path:     "/users/alice",
			Segments: []string{"users", "alice"},
		}, time.Now())
		fmt.Println(method, d.Allow, d.Reasons, err)
	}
	// Output:
	// GET true [] <nil>
	// DELETE false [the tenant is read-only] <nil>
}

// What a bundle may not do is said with a file and a line, all at once.
func ExampleProblems() {
	tenant, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte(`package authz

allow if not data.platform.deny

allow if data[input.method]
`)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = rules.Compile(context.Background(), tenants.Bundle{}, tenant, rules.Options{})
	fmt.Println(err)
	// Output:
	// authz.rego:3:14: data.platform may not be read: rules read data.lib and the tenant's own data
	// authz.rego:5:10: data[input.method] may be any document: name it, as data.NAME
}
