package iam_test

import (
	"fmt"
	"testing"

	"regent/engine/iam"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	type list = iam.Strings
	allow := func(resources ...string) iam.Statement {
		return iam.Statement{Effect: iam.Allow, Action: list{iam.Invoke}, Resource: resources}
	}
	deny := func(resources ...string) iam.Statement {
		return iam.Statement{Effect: iam.Deny, Action: list{iam.Invoke}, Resource: resources}
	}
	condition := map[string]map[string]list{"Bool": {"aws:SecureTransport": {"true"}}}
	tests := []struct {
		name       string
		statements []iam.Statement
		resource   string // default "api/prod/GET/a"
		action     string // default Invoke
		want       iam.Verdict
	}{
		{name: "no statement", want: iam.ImplicitDeny},
		{name: "allow", statements: []iam.Statement{allow("api/prod/GET/a")}, want: iam.Allowed},
		{name: "second resource", statements: []iam.Statement{allow("b", "api/prod/GET/*")}, want: iam.Allowed},
		{name: "other resource", statements: []iam.Statement{allow("api/prod/GET/b")}, want: iam.ImplicitDeny},
		{name: "resource case", statements: []iam.Statement{allow("api/prod/get/a")}, want: iam.ImplicitDeny},
		{name: "deny", statements: []iam.Statement{deny("*")}, want: iam.ExplicitDeny},
		{name: "deny wins after", statements: []iam.Statement{allow("*"), deny("*/GET/a")}, want: iam.ExplicitDeny},
		{name: "deny wins before", statements: []iam.Statement{deny("*/GET/a"), allow("*")}, want: iam.ExplicitDeny},
		{name: "deny of something else", statements: []iam.Statement{deny("*/GET/b"), allow("*")}, want: iam.Allowed},
		{name: "star as action", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"*"}, Resource: list{"*"}}}, want: iam.Allowed},
		{name: "action pattern", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"execute-api:*"}, Resource: list{"*"}}}, want: iam.Allowed},
		{name: "action case", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"EXECUTE-API:invoke"}, Resource: list{"*"}}}, want: iam.Allowed},
		{name: "other action", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"execute-api:ManageConnections"}, Resource: list{"*"}}}, want: iam.ImplicitDeny},
		{name: "NotAction names it", statements: []iam.Statement{{Effect: iam.Deny, NotAction: list{"execute-api:invoke"}, Resource: list{"*"}}}, want: iam.ImplicitDeny},
		{name: "NotAction names another", statements: []iam.Statement{{Effect: iam.Deny, NotAction: list{"x:y"}, Resource: list{"*"}}}, want: iam.ExplicitDeny},
		{name: "NotResource names it", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}, NotResource: list{"*/GET/*"}}}, want: iam.Allowed},
		{name: "NotResource names another", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}, NotResource: list{"*/POST/*"}}}, want: iam.ExplicitDeny},
		{name: "allow by NotResource", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"*"}, NotResource: list{"*/admin/*"}}}, want: iam.Allowed},

		{name: "allow with a condition", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"*"}, Resource: list{"*"}, Condition: condition}}, want: iam.ImplicitDeny},
		{name: "deny with a condition", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}, Resource: list{"*"}, Condition: condition}}, want: iam.ExplicitDeny},
		{name: "conditional deny of something else", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}, Resource: list{"b"}, Condition: condition}}, want: iam.Allowed},

		{name: "allow without resource", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"*"}}}, want: iam.ImplicitDeny},
		{name: "allow without action", statements: []iam.Statement{{Effect: iam.Allow, Resource: list{"*"}}}, want: iam.ImplicitDeny},
		{name: "allow with both resources", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"*"}, Resource: list{"*"}, NotResource: list{"b"}}}, want: iam.ImplicitDeny},
		{name: "deny without resource", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}}}, want: iam.ExplicitDeny},
		{name: "deny with both resources", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}, Resource: list{"b"}, NotResource: list{"*"}}}, want: iam.ExplicitDeny},
		{name: "zero statement", statements: []iam.Statement{allow("*"), {}}, want: iam.ExplicitDeny},
		{name: "unknown effect", statements: []iam.Statement{allow("*"), {Effect: "allow", Action: list{"*"}, Resource: list{"*"}}}, want: iam.ExplicitDeny},

		{name: "allow with a variable", statements: []iam.Statement{allow("api/${aws:x}/*", "*/${*}")}, resource: "api/${aws:x}/y", want: iam.ImplicitDeny},
		{name: "a variable beside a plain pattern", statements: []iam.Statement{allow("${aws:x}", "*")}, want: iam.Allowed},
		{name: "deny with a variable", statements: []iam.Statement{allow("*"), deny("${aws:x}")}, want: iam.ExplicitDeny},
		{name: "allow by NotResource with a variable", statements: []iam.Statement{{Effect: iam.Allow, Action: list{"*"}, NotResource: list{"${aws:x}"}}}, want: iam.ImplicitDeny},
		{name: "deny by NotResource with a variable", statements: []iam.Statement{allow("*"), {Effect: iam.Deny, Action: list{"*"}, NotResource: list{"${aws:x}"}}}, want: iam.ExplicitDeny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			action, resource := tt.action, tt.resource
			if action == "" {
				action = iam.Invoke
			}
			if resource == "" {
				resource = "api/prod/GET/a"
			}
			doc := iam.Document{Version: iam.Version, Statement: tt.statements}
			if got := doc.Evaluate(action, resource); got != tt.want {
				t.Errorf("Evaluate = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestZeroVerdictDenies(t *testing.T) {
	t.Parallel()
	var v iam.Verdict
	if v == iam.Allowed || v.String() != "implicit deny" {
		t.Errorf("the zero verdict is %s", v)
	}
}

// BenchmarkEvaluate judges one request by the document of an API with 50 routes.
func BenchmarkEvaluate(b *testing.B) {
	const stage = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/"
	doc := iam.Document{Version: iam.Version, Statement: []iam.Statement{
		{Effect: iam.Allow, Action: iam.Strings{iam.Invoke}},
		{Effect: iam.Deny, Action: iam.Strings{iam.Invoke}, Resource: iam.Strings{"*//*", "*/../*", "*/./*", "*%2f*", "*%2F*"}},
	}}
	for i := range 25 {
		doc.Statement[0].Resource = append(doc.Statement[0].Resource,
			fmt.Sprintf("%sGET/things%d", stage, i), fmt.Sprintf("%sGET/things%d/*", stage, i))
	}
	for _, bb := range []struct {
		name, resource string
		want           iam.Verdict
	}{
		{"first", stage + "GET/things0", iam.Allowed},
		{"last", stage + "GET/things24/17", iam.Allowed},
		{"none", stage + "GET/other/17", iam.ImplicitDeny},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := doc.Evaluate(iam.Invoke, bb.resource); got != bb.want {
					b.Fatalf("Evaluate = %s, want %s", got, bb.want)
				}
			}
		})
	}
}
