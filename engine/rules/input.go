package rules

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
)

// value builds the input document as Rego values, without a detour through JSON.
func value(in engine.Input) (ast.Value, error) {
	var s slab
	whole := make([][2]*ast.Term, 0, 11)
	who, err := s.who(in)
	if err != nil {
		return nil, err
	}
	whole = append(append(whole, who[:]...),
		s.pair("method", in.Method),
		s.pair("path", in.Path),
		[2]*ast.Term{word("segments"), s.array(in.Segments)},
		[2]*ast.Term{word("params"), s.object(in.Params)},
		[2]*ast.Term{word("query"), s.lists(in.Query)},
		[2]*ast.Term{word("headers"), s.object(in.Headers)},
		s.pair("source_ip", in.SourceIP),
	)
	if in.Route != "" {
		whole = append(whole, s.pair("route", in.Route))
	}
	return ast.NewObject(whole...), nil
}

// knownParts are the parts of the input that every cache key fixes.
var knownParts = []string{"tenant", "identity", "api"}

// who builds the known parts, in their order.
func (s *slab) who(in engine.Input) ([3][2]*ast.Term, error) {
	attributes, err := document("tenant.attributes", in.Tenant.Attributes)
	if err != nil {
		return [3][2]*ast.Term{}, err
	}
	claims, err := document("identity.claims", in.Identity.Claims)
	if err != nil {
		return [3][2]*ast.Term{}, err
	}
	tenant := ast.NewObject(s.pair("id", in.Tenant.ID), [2]*ast.Term{word("attributes"), s.term(attributes)})
	identity := ast.NewObject(
		s.pair("kind", string(in.Identity.Kind)),
		s.pair("subject", in.Identity.Subject),
		s.pair("issuer", in.Identity.Issuer),
		[2]*ast.Term{word("scopes"), s.array(in.Identity.Scopes)},
		[2]*ast.Term{word("claims"), s.term(claims)},
	)
	api := ast.NewObject(
		s.pair("kind", string(in.API.Kind)),
		s.pair("id", in.API.ID),
		s.pair("stage", in.API.Stage),
		s.pair("account", in.API.Account),
		s.pair("region", in.API.Region),
	)
	return [3][2]*ast.Term{
		{word("tenant"), s.term(tenant)},
		{word("identity"), s.term(identity)},
		{word("api"), s.term(api)},
	}, nil
}

// knownInput builds the parts of the input document that no cache key leaves open.
func knownInput(in engine.Input) (map[string]ast.Value, error) {
	var s slab
	who, err := s.who(in)
	if err != nil {
		return nil, err
	}
	values := make(map[string]ast.Value, len(who))
	for i, name := range knownParts {
		values[name] = who[i][1].Value
	}
	return values, nil
}

func document(name string, m map[string]any) (ast.Value, error) {
	v, err := ast.InterfaceToValue(m)
	if err != nil {
		return nil, fmt.Errorf("input.%s: %w", name, err)
	}
	if _, ok := v.(ast.Object); !ok {
		v = ast.NewObject()
	}
	return v, nil
}

// slab hands out terms, of which it makes several at once. The zero value is ready.
type slab struct{ free []ast.Term }

// slabSize is about what a request needs.
const slabSize = 48

func (s *slab) term(v ast.Value) *ast.Term {
	if len(s.free) == 0 {
		s.free = make([]ast.Term, slabSize)
	}
	t := &s.free[0]
	s.free = s.free[1:]
	t.Value = v
	return t
}

// text is a string's term. Words that requests often have are made once for all.
func (s *slab) text(v string) *ast.Term {
	if t, ok := common[v]; ok {
		return t
	}
	return s.term(ast.String(v))
}

func (s *slab) pair(name, v string) [2]*ast.Term { return [2]*ast.Term{word(name), s.text(v)} }

func (s *slab) array(values []string) *ast.Term {
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = s.text(v)
	}
	return s.term(ast.NewArray(terms...))
}

func (s *slab) object(m map[string]string) *ast.Term {
	pairs := make([][2]*ast.Term, 0, len(m))
	for name, v := range m {
		pairs = append(pairs, [2]*ast.Term{s.text(name), s.text(v)})
	}
	return s.term(ast.NewObject(pairs...))
}

func (s *slab) lists(m map[string][]string) *ast.Term {
	pairs := make([][2]*ast.Term, 0, len(m))
	for name, vs := range m {
		pairs = append(pairs, [2]*ast.Term{s.text(name), s.array(vs)})
	}
	return s.term(ast.NewObject(pairs...))
}

// word is the term of a member's name.
func word(name string) *ast.Term {
	if t, ok := common[name]; ok {
		return t
	}
	return ast.StringTerm(name)
}

// common are terms that no one changes, of words that requests often have.
var common = terms(
	"tenant", "identity", "api", "method", "path", "segments", "params", "query", "headers", "source_ip", "route",
	"id", "attributes", "kind", "subject", "issuer", "scopes", "claims", "stage", "account", "region",
	string(engine.JWT), string(engine.Opaque), string(engine.Anonymous), "rest", "http", "websocket",
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "$connect", "/", "*/*", "443", "https", "prod",
	"accept", "accept-encoding", "accept-language", "cache-control", "content-length", "content-type", "cookie", "host", "origin",
	"referer", "user-agent", "via", "x-amz-cf-id", "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto",
	"cloudfront-forwarded-proto", "cloudfront-is-desktop-viewer", "cloudfront-is-mobile-viewer", "cloudfront-is-smarttv-viewer",
	"cloudfront-is-tablet-viewer", "cloudfront-viewer-asn", "cloudfront-viewer-country", "", "true", "false",
)

func terms(words ...string) map[string]*ast.Term {
	m := make(map[string]*ast.Term, len(words))
	for _, w := range words {
		m[w] = ast.StringTerm(w)
	}
	return m
}
