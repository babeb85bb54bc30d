package engine_test

import (
	"context"
	"fmt"
	"testing/fstest"
	"time"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/tenants/dir"
)

// shop is a workspace of one API and one tenant, which lets everybody read its
// catalogue.
func shop() fstest.MapFS {
	return fstest.MapFS{
		"regent.yaml": {Data: []byte(`
apis:
  - id: a1b2c3
    kind: rest
    credential: header:authorization
    tenant: [host]
    cache: {ttl: 0s}
`)},
		"tenants/acme/tenant.yaml": {Data: []byte(`
id: acme
status: active
selectors: {hosts: [api.acme.example]}
identity: {anonymous: true}
`)},
		"tenants/acme/policy/authz.rego": {Data: []byte(`package authz

allow if {
	input.method == "GET"
	input.segments[0] == "catalog"
}

deny contains "the catalogue is written elsewhere" if input.method != "GET"
`)},
	}
}

// event is what API Gateway sends to the authorizer of a REST API.
func event(method, path string) []byte {
	return fmt.Appendf(nil, `{
		"type": "REQUEST",
		"methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/%[1]s%[2]s",
		"resource": "%[2]s",
		"path": "%[2]s",
		"httpMethod": "%[1]s",
		"headers": {"Host": "api.acme.example"},
		"requestContext": {"accountId": "123456789012", "apiId": "a1b2c3", "stage": "prod"}
	}`, method, path)
}

// From the bytes of an event to the bytes of the reply, with the decision log on the
// way.
func ExampleAuthorizer_Authorize() {
	store, err := dir.Load(shop(), "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	policies, err := rules.New(rules.Config{Store: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	a := &engine.Authorizer{
		Gateway:  apigw.Gateway{},
		Store:    store,
		Identity: identity.New(identity.Config{}),
		Policies: policies,
		Log: func(r engine.Record) {
			fmt.Println(r.Result.Outcome, r.Result.Code, r.Result.Reasons)
		},
		Now:   time.Now,
		NewID: func() string { return "5c0e" }, // unique, outside of examples
		Salt:  []byte("a secret of the log's own"),
	}
	if err := a.Validate(); err != nil {
		fmt.Println(err)
		return
	}

	reply, err := a.Authorize(context.Background(), event("GET", "/catalog"))
	fmt.Printf("%s %v\n\n", reply, err)

	reply, err = a.Authorize(context.Background(), event("PUT", "/catalog"))
	fmt.Printf("%s %v\n\n", reply, err)

	// An event that cannot be read is trouble: API Gateway answers 500 and does not
	// cache it.
	reply, err = a.Authorize(context.Background(), []byte(`{"type": "TOKEN"}`))
	fmt.Printf("%q %v\n", reply, err)

	// Output:
	// allow policy []
	// {"principalId":"anonymous","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["execute-api:Invoke"],"Resource":["arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/catalog"]}]},"context":{"decisionId":"5c0e","principalId":"anonymous","revision":"sha256:c5542cce3d3b7aa0dc08f6edaff1733a2510af322c02a8f93f19cb71e98a591e","tenantId":"acme"}} <nil>
	//
	// deny policy [the catalogue is written elsewhere]
	// {"principalId":"anonymous","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["execute-api:Invoke"],"Resource":["arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/PUT/catalog"]}]},"context":{"decisionId":"5c0e","principalId":"anonymous","revision":"sha256:c5542cce3d3b7aa0dc08f6edaff1733a2510af322c02a8f93f19cb71e98a591e","tenantId":"acme"}} <nil>
	//
	// trouble event []
	// "" event: rest-token event without methodArn (routeArn in HTTP 2.0)
}

// Explain also tells what the rules were asked with.
func ExampleAuthorizer_Explain() {
	store, err := dir.Load(shop(), "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	policies, err := rules.New(rules.Config{Store: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	a := &engine.Authorizer{
		Gateway: apigw.Gateway{}, Store: store, Identity: identity.New(identity.Config{}), Policies: policies,
		Log: func(engine.Record) {}, Now: time.Now, NewID: func() string { return "5c0e" },
	}
	out := a.Explain(context.Background(), event("GET", "/catalog/shoes"))
	fmt.Println(out.Record.Result.Outcome, out.Input.Tenant.ID, out.Input.Identity.Kind, out.Input.Segments)

	// An ambiguous path is a decided no, and the rules are not asked.
	out = a.Explain(context.Background(), event("GET", "/catalog//shoes"))
	fmt.Println(out.Record.Result.Outcome, out.Record.Result.Code, out.Input == nil)

	// Output:
	// allow acme anonymous [catalog shoes]
	// deny path_ambiguous true
}
