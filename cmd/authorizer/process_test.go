package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/lambdaapi"
	"regent/engine"
)

const (
	issuer   = "https://idp.acme.example"
	audience = "https://api.acme.example"
)

// Canaries: what a request carries and no log may show.
const (
	canaryClaim   = "canary-claim-4711"
	canaryHeader  = "canary-header-4712"
	canaryQuery   = "canary-query-4713"
	canarySubject = "canary-subject-4714"
)

// bootstrap builds the function the way it is deployed, for this machine.
func bootstrap(t testing.TB) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.Command("make", "bootstrap", "GOARCH="+runtime.GOARCH, "OUT="+out)
	cmd.Dir = "../.."
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
	}
	return out
}

// workspace copies testdata/workspace and adds the tenants: acme and calm with the key
// set inline, slow with one that its provider never delivers, and a suspended one.
func workspace(t testing.TB, is *devissuer.Issuer, slowKeys string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/workspace")); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []struct{ id, status, issuer, jwks string }{
		{"acme", "active", issuer, string(is.JWKS())},
		{"calm", "active", "https://idp.calm.example", string(is.JWKS())},
		{"gone", "suspended", "https://idp.gone.example", string(is.JWKS())},
		{"slow", "active", "https://idp.slow.example", slowKeys},
	} {
		writeTenant(t, root, tenant.id, tenant.status, keyProvider(tenant.issuer, tenant.jwks))
	}
	return root
}

// keyProvider is a provider of tenant.yaml with a key set or its URL.
func keyProvider(issuer, jwks string) string {
	return fmt.Sprintf("{issuer: %s, audiences: [%s], algorithms: [ES256], jwks: %s}", issuer, audience, jwks)
}

// writeTenant adds a tenant with one provider and acme's rules to a workspace.
func writeTenant(t testing.TB, root, id, status, provider string) {
	t.Helper()
	text := fmt.Sprintf("id: %[1]s\nstatus: %[2]s\nselectors: {hosts: [api.%[1]s.example]}\nidentity:\n  providers:\n    - %[3]s\n", id, status, provider)
	dir := filepath.Join(root, "tenants", id)
	if err := os.CopyFS(filepath.Join(dir, "policy"), os.DirFS("testdata/workspace/tenants/acme/policy")); err != nil && id != "acme" {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tenant.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mint returns a token of a viewer.
func mint(t testing.TB, is *devissuer.Issuer, iss string, expires time.Time) string {
	t.Helper()
	token, err := is.Mint(devissuer.Claims{
		Issuer: iss, Subject: canarySubject, Audience: []string{audience},
		IssuedAt: expires.Add(-time.Hour), Expires: expires,
		Extra: map[string]any{"roles": []string{"viewer"}, "email": canaryClaim},
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// event is a REST REQUEST event; token "" leaves the header out.
func event(host, api, method, path, token string) []byte {
	headers := map[string]string{"Host": host, "X-Private": canaryHeader}
	multi := map[string][]string{"Host": {host}, "X-Private": {canaryHeader}}
	if token != "" {
		headers["Authorization"] = "Bearer " + token
		multi["Authorization"] = []string{"Bearer " + token}
	}
	e, err := json.Marshal(map[string]any{
		"type":       "REQUEST",
		"methodArn":  fmt.Sprintf("arn:aws:execute-api:eu-west-1:123456789012:%s/prod/%s%s", api, method, path),
		"resource":   path,
		"path":       path,
		"httpMethod": method,
		"headers":    headers, "multiValueHeaders": multi,
		"queryStringParameters":           map[string]string{"q": canaryQuery},
		"multiValueQueryStringParameters": map[string][]string{"q": {canaryQuery}},
		"pathParameters":                  map[string]string{}, "stageVariables": map[string]string{},
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": api, "stage": "prod", "requestId": "request-1",
			"httpMethod": method, "resourcePath": path, "path": "/prod" + path,
			"identity": map[string]any{"sourceIp": "203.0.113.7"},
		},
	})
	if err != nil {
		panic(err)
	}
	return e
}

// policyReply is the part of a reply that the test looks at.
type policyReply struct {
	PrincipalID    string `json:"principalId"`
	PolicyDocument struct {
		Statement []struct {
			Effect   string
			Resource any
		}
	} `json:"policyDocument"`
	Context map[string]any `json:"context"`
}

// TestProcess is about the deployed binary, so it builds that once.
func TestProcess(t *testing.T) {
	t.Parallel()
	path := bootstrap(t)
	t.Run("Events", func(t *testing.T) { testEvents(t, path) })
	t.Run("AfterAFreeze", func(t *testing.T) { testAfterAFreeze(t, path) })
	t.Run("Secrets", func(t *testing.T) { testSecrets(t, path) })
	t.Run("Terminated", func(t *testing.T) { testTerminated(t, path) })
	t.Run("Table", func(t *testing.T) { testTable(t, path) })
	t.Run("RefusesToStart", func(t *testing.T) { testRefusesToStart(t, path) })
}

func testEvents(t *testing.T, path string) {
	t.Parallel()
	is, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)

	f, err := lambdaapi.Start(lambdaapi.Config{
		Path: path,
		Dir:  workspace(t, is, hanging.URL+"/keys"),
		Env:  []string{"REGENT_STORE=dir:.", "REGENT_LOG_LEVEL=debug", "REGENT_ALLOW_PRIVATE_PROVIDERS=true", "REGENT_EVAL_TIMEOUT=2s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)

	now := time.Now()
	good := mint(t, is, issuer, now.Add(time.Hour))
	forged := mint(t, stranger, issuer, now.Add(time.Hour))
	expired := mint(t, is, issuer, now.Add(-time.Hour))
	slow := mint(t, is, "https://idp.slow.example", now.Add(time.Hour))
	const host = "api.acme.example"
	tests := []struct {
		name    string
		event   []byte
		within  time.Duration
		effect  string // of the reply's only statement
		message string // of the error, where there is one; a prefix
		outcome string // in the log
		code    string
	}{
		{name: "allowed", event: event(host, "a1b2c3", "GET", "/orders/17", good), effect: "Allow", outcome: "allow", code: "policy"},
		{name: "denied", event: event(host, "a1b2c3", "POST", "/orders", good), effect: "Deny", outcome: "deny", code: "policy"},
		{name: "suspended", event: event("api.gone.example", "a1b2c3", "GET", "/orders/17", good), effect: "Deny", outcome: "deny", code: "tenant_suspended"},
		{name: "unknown tenant", event: event("api.nobody.example", "a1b2c3", "GET", "/orders/17", good), effect: "Deny", outcome: "deny", code: "tenant_unknown"},
		{name: "no token", event: event(host, "a1b2c3", "GET", "/orders/17", ""), message: "Unauthorized", outcome: "unauthorized", code: "credential_absent"},
		{name: "forged token", event: event(host, "a1b2c3", "GET", "/orders/17", forged), message: "Unauthorized", outcome: "unauthorized"},
		{name: "expired token", event: event(host, "a1b2c3", "GET", "/orders/17", expired), message: "Unauthorized", outcome: "unauthorized"},
		{name: "unregistered API", event: event(host, "zzzzzz", "GET", "/orders/17", good), message: "trouble: api_unregistered", outcome: "trouble", code: "api_unregistered"},
		{name: "error in a rule", event: event(host, "a1b2c3", "GET", "/boom", good), message: "trouble: ", outcome: "trouble"},
		{name: "no event at all", event: []byte(`["` + canaryHeader + `"`), message: "trouble: ", outcome: "trouble"},
		{name: "100 ms left and a provider that hangs", event: event("api.slow.example", "a1b2c3", "GET", "/orders/17", slow),
			within: 100 * time.Millisecond, message: "trouble: ", outcome: "trouble"},
		{name: "allowed as before", event: event(host, "a1b2c3", "GET", "/orders/17", good), effect: "Allow", outcome: "allow", code: "policy"},
	}
	for i, tt := range tests {
		// One after the other: the log has them in order.
		t.Run(tt.name, func(t *testing.T) {
			if tt.within == 0 {
				tt.within = 10 * time.Second
			}
			reply, err := f.InvokeBy(t.Context(), tt.event, time.Now().Add(tt.within))
			if err != nil {
				t.Fatal(err)
			}
			checkReply(t, reply, tt.effect, tt.message)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			lines, err := f.AwaitLines(ctx, i+1)
			if err != nil {
				t.Fatal(err)
			}
			checkRecord(t, lines[i], tt.outcome, tt.code)
		})
	}

	f.Close()
	if got := strings.Count(f.Stdout(), "\n"); got != len(tests) {
		t.Errorf("%d lines on standard output, want one for each of the %d events:\n%s", got, len(tests), f.Stdout())
	}
	for line := range strings.Lines(f.Stderr()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a message is not JSON: %s", line)
		}
	}
	checkSecrets(t, map[string]string{"standard output": f.Stdout(), "standard error": f.Stderr()}, good, forged, expired, slow)
}

func checkReply(t *testing.T, reply lambdaapi.Reply, effect, message string) {
	t.Helper()
	if message != "" {
		switch {
		case reply.Error == nil:
			t.Errorf("got %s, want the error %q", reply.Payload, message)
		case message == "Unauthorized" && reply.Error.Message != message:
			t.Errorf("got the error %q, want exactly %q", reply.Error.Message, message)
		case !strings.HasPrefix(reply.Error.Message, message):
			t.Errorf("got the error %q, want %q", reply.Error.Message, message)
		}
		return
	}
	if reply.Error != nil {
		t.Fatalf("got the error %v, want %s", reply.Error, effect)
	}
	var got policyReply
	if err := json.Unmarshal(reply.Payload, &got); err != nil {
		t.Fatal(err)
	}
	statements := got.PolicyDocument.Statement
	if len(statements) != 1 || statements[0].Effect != effect {
		t.Errorf("got the statements %+v, want one %s", statements, effect)
	}
	if got.PrincipalID == "" {
		t.Error("the reply has no principalId")
	}
	if _, ok := got.Context["decisionId"]; !ok {
		t.Errorf("the context %v has no decisionId", got.Context)
	}
}

func checkRecord(t *testing.T, line, outcome, code string) {
	t.Helper()
	var got engine.Record
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in the decision log: %s", err, line)
	}
	if got.Result.Outcome != outcome || code != "" && got.Result.Code != code {
		t.Errorf("logged as %+v, want outcome %s and code %q", got.Result, outcome, code)
	}
	if got.DecisionID == "" || got.Labels["id"] == "" || got.Timestamp.IsZero() {
		t.Errorf("the entry is not complete: %s", line)
	}
}

func testAfterAFreeze(t *testing.T, path string) {
	t.Parallel()
	is, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	f, err := lambdaapi.Start(lambdaapi.Config{
		Path: path, Dir: workspace(t, is, string(is.JWKS())), Env: []string{"REGENT_STORE=dir:."},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	get := event("api.acme.example", "a1b2c3", "GET", "/orders/17", mint(t, is, issuer, time.Now().Add(time.Hour)))
	// The first freeze is while the child starts, or right after.
	freeze(t, f)
	for range 3 {
		reply, err := f.InvokeBy(t.Context(), get, time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		checkReply(t, reply, "Allow", "")
		if n := freeze(t, f); n != 1 {
			t.Errorf("%d children were frozen, want the one in which rules are evaluated", n)
		}
	}
	f.Close()
	for line := range strings.Lines(f.Stderr()) {
		if !strings.Contains(line, `"msg":"ready"`) {
			t.Errorf("something happened to the child: %s", line)
		}
	}
}

// freeze freezes the function for longer than an evaluation may take, holds that its
// children stand still with it, and returns how many there are.
func freeze(t *testing.T, f *lambdaapi.Function) int {
	t.Helper()
	if err := f.Freeze(); err != nil {
		t.Fatal(err)
	}
	children := f.Children()
	time.Sleep(200 * time.Millisecond) // nothing goes on meanwhile but the clocks
	for _, p := range children {
		if state := p.State(); state != 'T' {
			t.Errorf("a frozen function's child is in the state %q", state)
		}
	}
	if err := f.Thaw(); err != nil {
		t.Fatal(err)
	}
	return len(children)
}

func testRefusesToStart(t *testing.T, path string) {
	t.Parallel()
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"no store", nil, "REGENT_STORE is not set: set it to dir:PATH"},
		{"unknown store", []string{"REGENT_STORE=s3:regent"}, "not a store that this build knows"},
		{"no region", []string{"REGENT_STORE=dynamodb:regent", "AWS_REGION="}, "no AWS region is set, so it is not known where the table regent is: set AWS_REGION"},
		{"a ladder upside down", []string{"REGENT_STORE=dynamodb:regent", "REGENT_REFRESH=2m", "REGENT_MUST_REFRESH=1m"}, "is less than the 2m0s of REGENT_REFRESH"},
		{"misspelt setting", []string{"REGENT_STORE=dir:.", "REGENT_LOGLEVEL=debug"}, "did you mean REGENT_LOG_LEVEL?"},
		{"no workspace", []string{"REGENT_STORE=dir:nowhere"}, "there is no workspace at nowhere"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := lambdaapi.Start(lambdaapi.Config{Path: path, Dir: t.TempDir(), Env: tt.env})
			if err == nil {
				f.Close()
				t.Fatal("the function started")
			}
			for _, want := range []string{"exit status 1", tt.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}
