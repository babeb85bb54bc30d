package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/lambdaapi"
	"regent/engine/rules/sandbox"
)

// Canaries in the function's environment, and in what a provider answers.
const (
	canaryKeyID         = "AKIACANARY4715"
	canarySecretKey     = "canary-aws-secret-key-4716"
	canarySessionToken  = "canary-aws-session-token-4717"
	canaryClientSecret  = "canary-client-secret-4718"
	canaryOpaque        = "canary-opaque-token-4719"
	canaryAnswer        = "canary-answer-4720"
	canaryMisplaced     = "canary-misplaced-secret-4721"
	canaryTenantSetting = "canary-of-another-variable-4722"
)

// canaryEnvironment is what a function's environment has of secrets.
func canaryEnvironment() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + canaryKeyID, "AWS_SECRET_ACCESS_KEY=" + canarySecretKey, "AWS_SESSION_TOKEN=" + canarySessionToken,
	}
}

// canaries are all of them, but for the subject, which replies have to name.
func canaries() []string {
	return []string{
		canaryClaim, canaryHeader, canaryQuery, canaryKeyID, canarySecretKey, canarySessionToken,
		canaryClientSecret, canaryOpaque, canaryAnswer, canaryMisplaced, canaryTenantSetting,
	}
}

// checkSecrets holds that no canary, no part of a token and nothing of another secret is
// in a text. The texts are by name.
func checkSecrets(t *testing.T, texts map[string]string, tokens ...string) {
	t.Helper()
	secrets := canaries()
	for _, token := range tokens {
		secrets = append(secrets, strings.Split(token, ".")...)
	}
	for name, text := range texts {
		found := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return !strings.Contains(text, s) })
		for _, secret := range found {
			t.Errorf("%s has the secret %q in it", name, secret)
		}
		if name != "replies" && strings.Contains(text, canarySubject) {
			t.Errorf("%s has the subject in it", name)
		}
	}
}

// testSecrets holds that no way in which an event can go wrong tells a secret (OPS-04).
func testSecrets(t *testing.T, path string) {
	t.Parallel()
	is, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewServer(http.HandlerFunc(indiscreet))
	t.Cleanup(provider.Close)
	root := workspace(t, is, string(is.JWKS()))
	writeTenant(t, root, "failing", "active", keyProvider("https://idp.failing.example", string(is.JWKS())))
	writeFailing(t, root)
	env := append(canaryEnvironment(), "REGENT_STORE=dir:.", "REGENT_LOG_LEVEL=debug", "REGENT_ALLOW_PRIVATE_PROVIDERS=true",
		"MALFORMED_SECRET="+canaryMisplaced+" \t", "OTHER_SECRET="+canaryTenantSetting)
	tests := failures()
	for _, tt := range tests {
		if id := tt.tenant; id != "failing" {
			writeTenant(t, root, id, "active", fmt.Sprintf("{introspection: %s/%s, client_id: regent, auth_method: %s, client_secret: env:%s_SECRET}",
				provider.URL, id, cmp.Or(tt.method, "client_secret_basic"), strings.ToUpper(id)))
			if id != "malformed" && id != "unset" {
				env = append(env, strings.ToUpper(id)+"_SECRET="+canaryClientSecret)
			}
		}
	}
	f, err := lambdaapi.Start(lambdaapi.Config{Path: path, Dir: root, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)

	token := mint(t, is, "https://idp.failing.example", time.Now().Add(time.Hour))
	var replies strings.Builder
	ask := func(tt failure) string {
		credential := canaryOpaque
		if tt.tenant == "failing" {
			credential = token
		}
		reply, err := f.InvokeBy(t.Context(), event("api."+tt.tenant+".example", "a1b2c3", "GET", tt.path(), credential), time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatalf("%s: %v", tt.tenant, err)
		}
		text := fmt.Sprintf("%s %v\n", reply.Payload, reply.Error)
		replies.WriteString(text)
		return text
	}
	for _, tt := range tests {
		ask(tt)
	}
	// Three times will do, where the machine has nothing else to do.
	for end := time.Now().Add(patience); !strings.Contains(ask(tests[len(tests)-1]), sandbox.CodeParked) && time.Now().Before(end); {
	}
	f.Close()

	for i, r := range records(t, f.Stdout())[:len(tests)] {
		if got := r.Result.Outcome + " " + r.Result.Code; got != tests[i].want {
			t.Errorf("%s %s: %s %+v, want %s", tests[i].tenant, tests[i].path(), got, r.Error, tests[i].want)
		}
	}
	if !strings.Contains(f.Stderr(), "a revision is parked") {
		t.Errorf("nothing was parked: %s", f.Stderr())
	}
	checkSecrets(t, map[string]string{"standard output": f.Stdout(), "standard error": f.Stderr(), "replies": replies.String()}, token)
}

// failure is a way in which an event goes wrong.
type failure struct {
	tenant string // also the way in which its provider answers
	method string // of authentication, if not the usual one
	last   string // of the path's segments; the rules of tenant failing fail for it
	want   string // outcome and code
}

func (f failure) path() string { return "/orders/" + cmp.Or(f.last, "17") }

func failures() []failure {
	return []failure{
		{tenant: "active", want: "allow policy"},
		{tenant: "inactive", want: "unauthorized token_inactive"},
		{tenant: "refusing", want: "trouble provider"},
		{tenant: "posting", method: "client_secret_post", want: "trouble provider"},
		{tenant: "garbled", want: "trouble provider"},
		{tenant: "phrasing", want: "trouble provider"},
		{tenant: "closing", want: "trouble provider"},
		{tenant: "unset", want: "trouble provider"},
		{tenant: "malformed", want: "trouble provider"},
		{tenant: "failing", last: "number", want: "trouble evaluation"},
		{tenant: "failing", last: "time", want: "trouble evaluation"},
		{tenant: "failing", last: "json", want: "trouble evaluation"},
		{tenant: "failing", last: "contract", want: "trouble evaluation"},
		{tenant: "failing", last: "loop", want: "trouble evaluation"},
		{tenant: "failing", last: "burn", want: "trouble evaluation"},
	}
}

// writeFailing writes rules that fail over what the caller says.
func writeFailing(t *testing.T, root string) {
	t.Helper()
	text := "package authz\n\nlist := numbers.range(1, 1000)\n\nsaid := input.identity.claims.email\n\n" +
		"allow if {\n\tinput.segments[1] == \"number\"\n\tto_number(said) == 1\n}\n\n" +
		"allow if {\n\tinput.segments[1] == \"time\"\n\ttime.parse_rfc3339_ns(said) == 1\n}\n\n" +
		"allow if {\n\tinput.segments[1] == \"json\"\n\tjson.unmarshal(said) == 1\n}\n\n" +
		"allow if {\n\tinput.segments[1] == \"loop\"\n\tsome a in list\n\tsome b in list\n\tsome c in list\n\ta + b + c == -1\n}\n\n" +
		"context := {\"said\": [said]} if input.segments[1] == \"contract\"\n\n" +
		strings.Replace(bomb(t, "b11_compr_func_dag"), "allow if a40 == b40", "allow if {\n\tinput.segments[1] == \"burn\"\n\ta40 == b40\n}", 1)
	if err := os.WriteFile(filepath.Join(root, "tenants/failing/policy/authz.rego"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// indiscreet is an identity provider that repeats everything that it is told.
func indiscreet(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	id, secret, _ := r.BasicAuth()
	everything := fmt.Sprint(canaryAnswer, r.Header, string(body), id, secret)
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/active":
		_, _ = fmt.Fprintf(w, `{"active": true, "sub": %q, "email": %q, "roles": ["viewer"], "exp": %d}`, canarySubject, canaryClaim, time.Now().Add(time.Hour).Unix())
	case "/inactive":
		_, _ = fmt.Fprintf(w, `{"active": false, "error": %q}`, everything)
	case "/garbled":
		_, _ = fmt.Fprintf(w, `{"active": %s`, everything)
	case "/phrasing":
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 401 %s %s %s\r\nContent-Length: 0\r\n\r\n", canaryAnswer, secret, body)
			_ = c.Close()
		}
	case "/closing":
		panic(http.ErrAbortHandler)
	default:
		w.Header().Set("WWW-Authenticate", canaryAnswer)
		http.Error(w, everything, http.StatusUnauthorized)
	}
}
