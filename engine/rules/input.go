package rules

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
)

// value builds the input document as Rego values, without a detour through JSON.
func value(in engine.Input) (ast.Value, error) {
	attributes, err := object("tenant.attributes", in.Tenant.Attributes)
	if err != nil {
		return nil, err
	}
	claims, err := object("identity.claims", in.Identity.Claims)
	if err != nil {
		return nil, err
	}
	query := ast.NewObject()
	for name, values := range in.Query {
		query.Insert(ast.InternedTerm(name), stringArray(values))
	}
	pairs := [][2]*ast.Term{
		pair("tenant", ast.ObjectTerm(
			pair("id", ast.StringTerm(in.Tenant.ID)),
			pair("attributes", attributes),
		)),
		pair("identity", ast.ObjectTerm(
			pair("kind", ast.InternedTerm(string(in.Identity.Kind))),
			pair("subject", ast.StringTerm(in.Identity.Subject)),
			pair("issuer", ast.StringTerm(in.Identity.Issuer)),
			pair("scopes", stringArray(in.Identity.Scopes)),
			pair("claims", claims),
		)),
		pair("api", ast.ObjectTerm(
			pair("kind", ast.InternedTerm(string(in.API.Kind))),
			pair("id", ast.StringTerm(in.API.ID)),
			pair("stage", ast.StringTerm(in.API.Stage)),
			pair("account", ast.StringTerm(in.API.Account)),
			pair("region", ast.StringTerm(in.API.Region)),
		)),
		pair("method", ast.InternedTerm(in.Method)),
		pair("path", ast.StringTerm(in.Path)),
		pair("segments", stringArray(in.Segments)),
		pair("params", stringObject(in.Params)),
		pair("query", ast.NewTerm(query)),
		pair("headers", stringObject(in.Headers)),
		pair("source_ip", ast.StringTerm(in.SourceIP)),
	}
	if in.Route != "" {
		pairs = append(pairs, pair("route", ast.StringTerm(in.Route)))
	}
	return ast.NewObject(pairs...), nil
}

func pair(key string, v *ast.Term) [2]*ast.Term { return [2]*ast.Term{ast.InternedTerm(key), v} }

func object(name string, m map[string]any) (*ast.Term, error) {
	v, err := ast.InterfaceToValue(m)
	if err != nil {
		return nil, fmt.Errorf("input.%s: %w", name, err)
	}
	if _, ok := v.(ast.Object); !ok {
		v = ast.NewObject()
	}
	return ast.NewTerm(v), nil
}

func stringArray(values []string) *ast.Term {
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = ast.StringTerm(v)
	}
	return ast.ArrayTerm(terms...)
}

func stringObject(m map[string]string) *ast.Term {
	o := ast.NewObjectWithCapacity(len(m))
	for k, v := range m {
		o.Insert(ast.InternedTerm(k), ast.StringTerm(v))
	}
	return ast.NewTerm(o)
}
