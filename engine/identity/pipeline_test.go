package identity

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/apigw"
	"regent/tenants"
)

// one is a store with one API and one tenant, valid or not: the cases have providers
// that no workspace could have. Its bundles are never asked for.
type one struct {
	tenants.Store
	tenant tenants.Tenant
}

func (one) API(context.Context, string) (tenants.API, error) {
	return tenants.API{
		ID: "a1b2c3", Kind: tenants.REST, Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Tenant: []tenants.Source{{Kind: "host"}}, Unauthenticated: 401,
	}, nil
}

func (one) Select(context.Context, tenants.SelectorKind, string) (string, error) { return "acme", nil }

func (s one) Tenant(context.Context, string) (tenants.Tenant, error) { return s.tenant, nil }

func (one) Platform(context.Context) (tenants.Digest, error) { return "platform", nil }

// open rules allow whoever gets as far as them.
type open struct{ engine.Policy }

func (o open) Load(context.Context, string, tenants.Digest, tenants.Digest) (engine.Policy, error) {
	return o, nil
}

func (open) Decide(context.Context, engine.Input, time.Time) (engine.Decision, error) {
	return engine.Decision{Allow: true}, nil
}

// answered sends a request with these Authorization headers through the whole pipeline.
func answered(t *testing.T, v *Verifier, tenant tenants.Tenant, authorization ...string) engine.Outcome {
	t.Helper()
	tenant.Revision = "sha256:revision"
	headers := map[string][]string{"Host": {"api.acme.example"}}
	if authorization != nil {
		headers["Authorization"] = authorization
	}
	tenant.Selectors.Hosts = []string{"api.acme.example"} // by which it is found
	event := must(json.Marshal(members{
		"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/orders",
		"resource": "/orders", "path": "/orders", "httpMethod": "GET", "multiValueHeaders": headers,
		"requestContext": members{
			"resourcePath": "/orders", "httpMethod": "GET", "path": "/prod/orders", "requestId": "r",
			"identity":  members{"sourceIp": "203.0.113.7"},
			"accountId": "123456789012", "stage": "prod", "apiId": "a1b2c3",
		},
	}))
	var logged []engine.Record
	a := &engine.Authorizer{
		Gateway: apigw.Gateway{}, Store: one{tenant: tenant}, Identity: v, Policies: open{},
		Log: func(r engine.Record) { logged = append(logged, r) },
		Now: func() time.Time { return now }, NewID: func() string { return "id" }, Salt: []byte("salt"),
	}
	out := a.Explain(t.Context(), event)
	if len(logged) != 1 {
		t.Errorf("%d decision-log entries", len(logged))
	}
	return out
}

// checkUnauthorized holds a 401 to what holds for every one: the caller gets the same
// bytes, the log gets the reason, and neither gets the token.
func checkUnauthorized(t *testing.T, out engine.Outcome, tokens ...string) (reason string) {
	t.Helper()
	var unauthorized *engine.Unauthorized
	if !errors.As(out.Err, &unauthorized) || out.Err.Error() != "Unauthorized" || out.Reply != nil {
		t.Fatalf("the caller gets %v and %q", out.Err, out.Reply)
	}
	r := out.Record
	if r.Result.Outcome != "unauthorized" || r.Result.Code == "" || r.Error == nil || r.Error.Code != r.Result.Code || r.Error.Message == "" {
		t.Errorf("the log has no reason: %+v, %+v", r.Result, r.Error)
	}
	line := string(must(json.Marshal(r)))
	for _, token := range tokens {
		for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return strings.ContainsRune(".=, &", r) }) {
			if len(part) >= 8 && strings.Contains(line, part) {
				t.Errorf("the log has a part of the token in it: %s", line)
			}
		}
	}
	return r.Result.Code
}

// TestUnauthorized sends every bad token of the case files, and what they have no
// word for, through the whole pipeline. Each code there is must come up.
func TestUnauthorized(t *testing.T) { // AGW-10
	t.Parallel()
	missing := codes(t)
	check := func(t *testing.T, v *Verifier, tenant tenants.Tenant, authorization ...string) string {
		t.Helper()
		code := checkUnauthorized(t, answered(t, v, tenant, authorization...), authorization...)
		delete(missing, code)
		return code
	}
	for _, tt := range loadCases(t, "jwt.yaml", func(c jwtCase) string { return c.Name }) {
		tenant, token := tenantOf(tt.provider()), tt.token(t)
		switch {
		case tt.Want == "ok", tt.Want == CodeProvider:
			out := answered(t, offline(t, Config{}), tenant, token)
			if ok := out.Err == nil; ok != (tt.Want == "ok") {
				t.Errorf("%s: %v", tt.Name, out.Err)
			}
		case strings.HasPrefix(token, "Bearer "): // a prefix that the pipeline takes off
		case strings.ContainsAny(token, ", \t\r\n"):
			check(t, offline(t, Config{}), tenant, token) // the pipeline has its own word for these
		default:
			if got := check(t, offline(t, Config{}), tenant, token); got != tt.Want {
				t.Errorf("%s: the log says %q, want %q", tt.Name, got, tt.Want)
			}
		}
	}
	s := newIDP(t)
	s.json("/introspect", `{"active":false}`)
	for want, try := range map[string]func() string{
		engine.CodeCredentialAbsent:    func() string { return check(t, offline(t, Config{}), tenantOf(provider())) },
		engine.CodeCredentialMalformed: func() string { return check(t, offline(t, Config{}), tenantOf(provider()), "Basic dXNlcjpwYXNzd29yZA") },
		engine.CodeCredentialNotSingle: func() string {
			return check(t, offline(t, Config{}), tenantOf(provider()), minted{}.token(), minted{}.token())
		},
		CodeTokenTooLong: func() string {
			return check(t, offline(t, Config{}), tenantOf(provider()), strings.Repeat("a", maxToken+1))
		},
		CodeTokenLifetime: func() string {
			return check(t, offline(t, Config{MaxLifetime: time.Minute}), tenantOf(provider()), minted{}.token())
		},
		CodeTokenInactive: func() string { return check(t, asking(), tenantOf(endpoint(s)), opaque) },
	} {
		if got := try(); got != want {
			t.Errorf("the log says %q, want %q", got, want)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no case has these codes: %v", slices.Sorted(maps.Keys(missing)))
	}
}

// codes are the constants of codes.go but the one of trouble.
func codes(t *testing.T) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(gotoken.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && spec.Names[0].Name != "CodeProvider" {
			found[must(strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value))] = true
		}
		return true
	})
	if len(found) < 10 {
		t.Fatalf("only %d codes in codes.go", len(found))
	}
	return found
}

// TestSpellingsOfHeader has the forms of the Authorization header.
func TestSpellingsOfHeader(t *testing.T) { // JWT-30
	t.Parallel()
	token := minted{}.token()
	for _, tt := range []struct {
		name          string
		authorization []string
		want          string
	}{
		{"token alone", []string{token}, ""},
		{"Bearer and token", []string{"Bearer " + token}, ""},
		{"bearer in lower case", []string{"bearer " + token}, engine.CodeCredentialMalformed},
		{"two spaces", []string{"Bearer  " + token}, engine.CodeCredentialMalformed},
		{"two tokens in one header", []string{"Bearer " + token + ", Bearer " + token}, engine.CodeCredentialNotSingle},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, engine.CodeCredentialNotSingle},
		{"Basic", []string{"Basic " + token}, engine.CodeCredentialMalformed},
		{"Bearer alone", []string{"Bearer "}, engine.CodeCredentialAbsent},
		{"no header", nil, engine.CodeCredentialAbsent},
	} {
		out := answered(t, offline(t, Config{}), tenantOf(provider()), tt.authorization...)
		if tt.want == "" {
			if out.Err != nil {
				t.Errorf("%s: %v", tt.name, out.Record.Error)
			}
		} else if got := checkUnauthorized(t, out, tt.authorization...); got != tt.want {
			t.Errorf("%s: the log says %q, want %q", tt.name, got, tt.want)
		}
	}
}
