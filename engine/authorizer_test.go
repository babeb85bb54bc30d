package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

// verdicts runs a table of scenes.
type verdicts []struct {
	name string
	edit func(*scene)
	want string
}

func (tests verdicts) run(t *testing.T) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			tt.edit(s)
			if got, out := s.ask(t, s.authorizer(t)); got != tt.want {
				t.Errorf("got %q (%+v), want %q", got, out.Record.Error, tt.want)
			}
		})
	}
}

func host(values ...string) func(*scene) {
	return func(s *scene) { s.req.Headers["host"] = values }
}

func authorization(values ...string) func(*scene) {
	return func(s *scene) { s.req.Headers["authorization"] = values }
}

func anonymous(s *scene) {
	t := s.tenants["acme"]
	t.Identity.Anonymous = true
	s.tenants["acme"] = t
	delete(s.req.Headers, "authorization")
}

func TestTenantResolution(t *testing.T) {
	t.Parallel()
	by := func(selectors ...string) func(*scene) {
		return func(s *scene) { s.api.Tenant = sources(selectors...) }
	}
	claim := func(name string, value any) func(*scene) {
		return func(s *scene) { s.claims[aliceToken][name] = value }
	}
	tests := []struct {
		name  string
		edits []func(*scene)
		// want is the verdict and, behind @, the tenant.
		want string
	}{
		{"host", nil, "allow @acme"},
		{"host with a port", []func(*scene){host("api.acme.example:443")}, "allow @acme"},
		{"host in capitals", []func(*scene){host("API.Acme.Example")}, "allow @acme"},
		{"host with a trailing dot", []func(*scene){host("api.acme.example.")}, "allow @acme"},
		{"host with all of them", []func(*scene){host("API.ACME.EXAMPLE.:8443")}, "allow @acme"},
		{"host of another tenant", []func(*scene){host("api.globex.example")}, "allow @globex"},
		{"host within another name", []func(*scene){host("api.acme.example.evil.example")}, "deny all tenant_unknown"},
		{"host unknown", []func(*scene){host("nobody.example")}, "deny all tenant_unknown"},
		{"host empty", []func(*scene){host("")}, "deny all tenant_unknown"},
		{"host absent", []func(*scene){host()}, "deny all tenant_unknown"},
		{"host that its tenant's record does not have", []func(*scene){func(s *scene) { s.moving = true }}, "trouble store"},
		{"host twice", []func(*scene){host("api.acme.example", "api.acme.example")}, "unauthorized request_doubtful"},
		{"header twice", []func(*scene){by("header:x-tenant"), func(s *scene) { s.req.Headers["x-tenant"] = []string{"acme", "globex"} }}, "unauthorized request_doubtful"},
		{"header joined by a comma", []func(*scene){by("header:x-tenant"), func(s *scene) { s.req.Headers["x-tenant"] = []string{"acme,globex"} }}, "unauthorized request_doubtful"},
		{"header", []func(*scene){by("header:x-tenant"), func(s *scene) { s.req.Headers["x-tenant"] = []string{"globex"} }}, "allow @globex"},
		{"values are compared exactly", []func(*scene){by("header:x-tenant"), func(s *scene) { s.req.Headers["x-tenant"] = []string{"Globex"} }}, "deny all tenant_unknown"},
		{"query", []func(*scene){by("query:tenant"), func(s *scene) { s.req.Query["tenant"] = []string{"acme"} }}, "allow @acme"},
		{"query twice", []func(*scene){by("query:tenant"), func(s *scene) { s.req.Query["tenant"] = []string{"acme", "acme"} }}, "unauthorized request_doubtful"},
		{"path", []func(*scene){by("path:0"), func(s *scene) { s.req.Segments = []string{"acme", "orders"} }}, "allow @acme"},
		{"path too short", []func(*scene){by("path:1")}, "deny all tenant_unknown"},
		{"stage variable", []func(*scene){by("stage:tenant"), func(s *scene) { s.req.StageVariables = map[string]string{"tenant": "acme"} }}, "allow @acme"},
		{"API key id", []func(*scene){by("api_key"), func(s *scene) { s.req.APIKeyID = "acme" }}, "allow @acme"},
		{"issuer", []func(*scene){by("issuer")}, "allow @acme"},
		{"issuer not a string", []func(*scene){by("issuer"), claim("iss", 7)}, "deny all tenant_unknown"},
		{"claim", []func(*scene){by("claim:tenant_id")}, "allow @acme"},
		{"host and claim agree", []func(*scene){by("host", "claim:tenant_id")}, "allow @acme"},
		{"claim without a host", []func(*scene){by("host", "claim:tenant_id"), host("nobody.example")}, "allow @acme"},
		{"host without a claim", []func(*scene){by("host", "claim:other")}, "allow @acme"},
		{"host and claim conflict", []func(*scene){by("host", "claim:tenant_id"), host("api.globex.example")}, "deny all tenant_conflict"},
		{"claim and host conflict", []func(*scene){by("claim:tenant_id", "host"), host("api.globex.example")}, "deny all tenant_conflict"},
		{"the third conflicts", []func(*scene){by("host", "claim:tenant_id", "header:x-tenant"), func(s *scene) { s.req.Headers["x-tenant"] = []string{"globex"} }}, "deny all tenant_conflict"},
		{"a claim that names nobody", []func(*scene){by("host", "claim:tenant_id"), claim("tenant_id", "nobody")}, "deny all tenant_conflict"},
		{"a claim that names nobody, first", []func(*scene){by("claim:tenant_id", "host"), claim("tenant_id", "nobody")}, "deny all tenant_conflict"},
		{"only a claim that names nobody", []func(*scene){by("claim:tenant_id"), claim("tenant_id", "nobody")}, "deny all tenant_unknown"},
		{"a header that names nobody", []func(*scene){by("host", "header:x-tenant"), func(s *scene) { s.req.Headers["x-tenant"] = []string{"nobody"} }}, "allow @acme"},
		{"claim of an unreadable token", []func(*scene){by("claim:tenant_id"), authorization("Bearer opaque")}, "unauthorized credential_malformed"},
		{"claim without a token", []func(*scene){by("claim:tenant_id"), authorization()}, "unauthorized credential_absent"},
		{"issuer of an unreadable token", []func(*scene){by("issuer"), authorization("Bearer opaque")}, "unauthorized credential_malformed"},
		{"an unreadable token needs no reading", []func(*scene){by("host"), authorization("Bearer opaque")}, "unauthorized signature_invalid @acme"},
		{"selected and not registered", []func(*scene){func(s *scene) { delete(s.tenants, "acme") }}, "deny all tenant_unknown"},
		{"no selectors at all", []func(*scene){by()}, "deny all tenant_unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			for _, edit := range tt.edits {
				edit(s)
			}
			got, out := s.ask(t, s.authorizer(t))
			if in := out.Record.Input; in.Tenant != "" {
				got += " @" + in.Tenant
			}
			if got != tt.want {
				t.Errorf("got %q (%+v), want %q", got, out.Record.Error, tt.want)
			}
			if len(s.inputs) > 0 && "@"+s.inputs[0].Tenant.ID != tt.want[strings.Index(tt.want, "@"):] {
				t.Errorf("the rules saw the tenant %q", s.inputs[0].Tenant.ID)
			}
		})
	}
}

func TestCredential(t *testing.T) {
	t.Parallel()
	from := func(where string, edit func(*scene)) func(*scene) {
		return func(s *scene) {
			s.api.Credential = source(where)
			edit(s)
		}
	}
	verdicts{
		{"bearer", func(*scene) {}, "allow"},
		{"bare", authorization(aliceToken), "allow"},
		{"lower-case bearer", authorization("bearer " + aliceToken), "unauthorized credential_malformed"},
		{"two spaces", authorization("Bearer  " + aliceToken), "unauthorized credential_malformed"},
		{"a space behind", authorization("Bearer " + aliceToken + " "), "unauthorized credential_malformed"},
		{"a tab", authorization("Bearer\t" + aliceToken), "unauthorized credential_malformed"},
		{"a line break", authorization("Bearer " + aliceToken + "\n"), "unauthorized credential_malformed"},
		{"bearer twice", authorization("Bearer Bearer " + aliceToken), "unauthorized credential_malformed"},
		{"basic", authorization("Basic " + canary), "unauthorized credential_malformed"},
		{"two joined by a comma", authorization("Bearer " + aliceToken + ", Bearer " + aliceToken), "unauthorized credential_not_single"},
		{"two joined without a space", authorization(aliceToken + "," + aliceToken), "unauthorized credential_not_single"},
		{"two headers", authorization("Bearer "+aliceToken, "Bearer "+aliceToken), "unauthorized credential_not_single"},
		{"two headers, one empty", authorization("Bearer "+aliceToken, ""), "unauthorized credential_not_single"},
		{"no header", authorization(), "unauthorized credential_absent"},
		{"an empty header", authorization(""), "unauthorized credential_absent"},
		{"bearer and nothing", authorization("Bearer "), "unauthorized credential_absent"},
		{"only in a cookie", func(s *scene) {
			authorization()(s)
			s.req.Cookies = []string{"authorization=" + aliceToken}
		}, "unauthorized credential_absent"},
		{"only in the query", func(s *scene) {
			authorization()(s)
			s.req.Query["authorization"] = []string{aliceToken}
		}, "unauthorized credential_absent"},
		{"query", from("query:token", func(s *scene) { s.req.Query["token"] = []string{aliceToken} }), "allow"},
		{"query twice", from("query:token", func(s *scene) { s.req.Query["token"] = []string{aliceToken, aliceToken} }), "unauthorized credential_not_single"},
		{"query, with a header beside it", from("query:token", func(*scene) {}), "unauthorized credential_absent"},
		{"cookie", from("cookie:session", func(s *scene) { s.req.Cookies = []string{"a=b", "session=" + aliceToken} }), "allow"},
		{"cookie twice", from("cookie:session", func(s *scene) { s.req.Cookies = []string{"session=" + aliceToken, "session=" + aliceToken} }), "unauthorized credential_not_single"},
		{"cookie of another name", from("cookie:session", func(s *scene) { s.req.Cookies = []string{"xsession=" + aliceToken} }), "unauthorized credential_absent"},
		{"TOKEN event", func(s *scene) {
			s.req.Shape, s.req.Token = engine.ShapeToken, "Bearer "+aliceToken
			s.req.Headers = map[string][]string{"host": {"api.acme.example"}}
		}, "allow"},
		{"TOKEN event without a token", func(s *scene) { s.req.Shape = engine.ShapeToken }, "unauthorized credential_absent"},
		{"TOKEN event with two", func(s *scene) { s.req.Shape, s.req.Token = engine.ShapeToken, aliceToken+","+aliceToken }, "unauthorized credential_not_single"},
		{"not proven", authorization("Bearer other"), "unauthorized signature_invalid"},
		{"doubtful request", func(s *scene) { s.req.Doubtful = "x-amzn-remapped-host is there" }, "unauthorized request_doubtful"},
		{"identity source repeated", func(s *scene) {
			cached(s)
			s.api.Cache.Identity = append(s.api.Cache.Identity, source("header:x-plan"))
			s.req.Headers["x-plan"] = []string{"gold", "gold"}
		}, "unauthorized request_doubtful"},
	}.run(t)
}

func TestDecidedNos(t *testing.T) {
	t.Parallel()
	forbidden := func(edits ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.api.Unauthenticated = 403
			for _, edit := range edits {
				edit(s)
			}
		}
	}
	status := func(status tenants.Status) func(*scene) {
		return func(s *scene) {
			t := s.tenants["acme"]
			t.Status = status
			s.tenants["acme"] = t
		}
	}
	verdicts{
		{"the rules deny", func(s *scene) { s.decision = engine.Decision{Reasons: []string{"no"}} }, "deny"},
		{"the zero decision", func(s *scene) { s.decision = engine.Decision{} }, "deny"},
		{"ambiguous", func(s *scene) { s.req.Ambiguous = "a dot segment" }, "deny path_ambiguous"},
		{"suspended", status(tenants.Suspended), "deny all tenant_suspended"},
		{"no status", status(""), "deny all tenant_suspended"},
		{"suspended goes before a bad token", func(s *scene) {
			status(tenants.Suspended)(s)
			authorization("Bearer other")(s)
		}, "deny all tenant_suspended"},
		{"403: absent", forbidden(authorization()), "deny credential_absent"},
		{"403: bad", forbidden(authorization("Bearer other")), "deny signature_invalid"},
		{"403: malformed", forbidden(authorization("Basic " + canary)), "deny credential_malformed"},
		{"403: unreadable where it names the tenant", forbidden(authorization("Bearer opaque"), func(s *scene) { s.api.Tenant = sources("claim:tenant_id") }), "deny credential_malformed"},
		{"403 with a cache: bad, for the whole key", forbidden(cached, authorization("Bearer other")), "deny all signature_invalid"},
		{"403: twice stays 401", forbidden(authorization(aliceToken, aliceToken)), "unauthorized credential_not_single"},
		{"403: doubtful stays 401", forbidden(func(s *scene) { s.req.Doubtful = "remapped" }), "unauthorized request_doubtful"},
		{"403: repeated tenant header stays 401", forbidden(host("a", "b")), "unauthorized request_doubtful"},
		{"403: trouble stays trouble", forbidden(func(s *scene) { s.fail["Verify"] = broken }), "trouble identity"},
		{"anonymous", anonymous, "allow"},
		{"anonymous with a bad token", func(s *scene) {
			anonymous(s)
			authorization("Bearer other")(s)
		}, "unauthorized signature_invalid"},
	}.run(t)
}

// An anonymous caller reaches the rules as nobody.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	s := newScene()
	anonymous(s)
	_, out := s.ask(t, s.authorizer(t))
	want := engine.Identity{Kind: engine.Anonymous, Scopes: []string{}, Claims: map[string]any{}}
	if diff := cmp.Diff(want, out.Input.Identity); diff != "" {
		t.Error(diff)
	}
	if r := replied(t, out); r.PrincipalID != "anonymous" || r.Context["principalId"] != "anonymous" {
		t.Errorf("reply %+v", r)
	}
	if s.calls["Verify"] != 0 {
		t.Error("nobody's token was verified")
	}
}

var errBroken = errors.New("broken")

func broken() error { return errBroken }

func TestTrouble(t *testing.T) {
	t.Parallel()
	notFound := func() error { return tenants.ErrNotFound }
	failing := func(method string, fail func() error, edits ...func(*scene)) func(*scene) {
		return func(s *scene) {
			for _, edit := range edits {
				edit(s)
			}
			s.fail[method] = fail
		}
	}
	verdicts{
		{"event", failing("Decode", broken), "trouble event"},
		{"registry", failing("API", broken), "trouble store"},
		{"selector", failing("Select", broken), "trouble store"},
		{"tenant", failing("Tenant", broken), "trouble store"},
		{"platform", failing("Platform", broken), "trouble store"},
		{"no platform", failing("Platform", notFound), "trouble store"},
		{"provider", failing("Verify", broken), "trouble identity"},
		{"bundle", failing("Load", broken), "trouble policy"},
		{"no bundle", failing("Load", notFound), "trouble policy"},
		{"evaluation", failing("Decide", broken), "trouble evaluation"},
		{"partial evaluation", failing("Permissions", broken, cached), "trouble evaluation"},
		{"document", failing("Cover", broken, cached), "trouble evaluation"},
		{"reply", failing("Encode", broken), "trouble reply"},
		{"a stage's own code", failing("Load", func() error { return engine.Troublef("no_room", "broken") }), "trouble no_room"},
		{"API not registered", func(s *scene) { s.req.API.ID = "other" }, "trouble api_unregistered"},
		{"the zero request", func(s *scene) { s.req = engine.Request{} }, "trouble api_unregistered"},
		{"API of another kind", func(s *scene) { s.req.API.Kind = tenants.HTTP }, "trouble api_kind"},
		{"no revision", func(s *scene) {
			t := s.tenants["acme"]
			t.Revision = ""
			s.tenants["acme"] = t
		}, "trouble no_revision"},
		{"no document", func(s *scene) {
			cached(s)
			s.allowed = nil
			s.decision = engine.Decision{}
		}, "deny"},
	}.run(t)
}

// AGW-05: a panic in any stage is trouble, tells nothing of what it was about, and
// the environment goes on.
func TestPanicIsTrouble(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"Decode", "API", "Peek", "Select", "Tenant", "Verify", "Platform", "Load", "Decide", "Permissions", "Cover", "Encode"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			cached(s)
			s.api.Tenant = sources("host", "claim:tenant_id")
			a := s.authorizer(t)
			s.fail[stage] = func() error { panic(fmt.Errorf("%s of %s", canary, stage)) }
			if got, _ := s.ask(t, a); got != "trouble panic" || s.calls[stage] != 1 {
				t.Errorf("got %q after %d calls, want trouble panic", got, s.calls[stage])
			}
			delete(s.fail, stage)
			if got, _ := s.ask(t, a); got != "allow" {
				t.Errorf("the next event: %q, want allow", got)
			}
		})
	}
}

// The input has no credential, wherever it was.
func TestInputHasNoCredential(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"header:authorization", "query:token", "cookie:session"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			s.api.Credential = source(where)
			s.req.Headers["authorization"] = nil
			switch s.api.Credential.Kind {
			case "header":
				s.req.Headers["authorization"] = []string{aliceToken}
			case "query":
				s.req.Query["token"] = []string{aliceToken}
			case "cookie":
				s.req.Cookies = []string{"theme=dark", "session=" + aliceToken}
			}
			got, _ := s.ask(t, s.authorizer(t))
			if got != "allow" {
				t.Fatal(got)
			}
			if text := fmt.Sprintf("%+v", s.inputs[0]); strings.Contains(text, aliceToken) || !strings.Contains(text, canary+"-header") {
				t.Errorf("input %s", text)
			}
		})
	}
}

func TestReplyContext(t *testing.T) {
	t.Parallel()
	s := newScene()
	s.decision = engine.Decision{
		Allow: true, PrincipalID: "the rules' own", UsageKey: "key",
		Context: map[string]any{"tenantId": "globex", "principalId": "root", "decisionId": "forged", "revision": "forged", "plan": "gold"},
	}
	_, out := s.ask(t, s.authorizer(t))
	want := said{Allow: true, PrincipalID: "the rules' own", UsageKey: "key", Context: map[string]any{
		"tenantId": "acme", "principalId": "the rules' own", "decisionId": "id-1", "revision": "sha256:acme", "plan": "gold",
	}}
	if diff := cmp.Diff(want, replied(t, out)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := newScene().authorizer(t).Validate(); err != nil {
		t.Error(err)
	}
	for name, unset := range map[string]func(*engine.Authorizer){
		"Gateway": func(a *engine.Authorizer) { a.Gateway = nil }, "Store": func(a *engine.Authorizer) { a.Store = nil },
		"Identity": func(a *engine.Authorizer) { a.Identity = nil }, "Policies": func(a *engine.Authorizer) { a.Policies = nil },
		"Log": func(a *engine.Authorizer) { a.Log = nil }, "Now": func(a *engine.Authorizer) { a.Now = nil },
		"NewID": func(a *engine.Authorizer) { a.NewID = nil },
	} {
		a := newScene().authorizer(t)
		unset(a)
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
