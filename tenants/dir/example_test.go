package dir_test

import (
	"fmt"
	"testing/fstest"

	"regent/tenants/dir"
)

func ExampleLoad() {
	workspace := fstest.MapFS{
		"regent.yaml": {Data: []byte(`apis:
  - id: a1b2c3
    kind: rest
    credential: header:authorization
    tenant: [host]
    routes: ["GET /orders/{id}"]
`)},
		"tenants/acme/tenant.yaml": {Data: []byte(`id: acme
status: active
selectors: {hosts: [api.acme.example]}
identity: {anonymous: true}
`)},
		"tenants/acme/policy/authz.rego": {Data: []byte("package authz\n")},
	}
	snapshot, err := dir.Load(workspace, "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range snapshot.Tenants() {
		fmt.Println(t.ID, t.Status, t.Revision.Short())
	}
	// Output: acme active bc158ff24673
}

func ExampleLoad_errors() {
	_, err := dir.Load(fstest.MapFS{
		"regent.yaml":                    {Data: []byte("apis: []\napi: []\n")},
		"tenants/acme/tenant.yaml":       {Data: []byte("id: acme\nstatus: active\nidentity: {anonymous: true}\nattributes: gold\n")},
		"tenants/acme/policy/authz.rego": {Data: []byte("package authz\n")},
	}, "example")
	fmt.Println(err)
	// Output:
	// regent.yaml:2:1: unknown key "api"; did you mean "apis"?
	// tenants/acme/tenant.yaml:4:13: attributes: want a mapping, this is the string "gold"
}
