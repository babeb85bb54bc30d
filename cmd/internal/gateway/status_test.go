package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/gateway"
	"regent/tenants"
)

// TestStatus holds the status mapping: what the client gets for each way in which a
// request can end without reaching the backend.
func TestStatus(t *testing.T) {
	t.Parallel()
	const (
		unauthorized = `{"message":"Unauthorized"}`
		forbidden    = `{"message":"Forbidden"}`
		explicit     = `{"Message":"User is not authorized to access this resource with an explicit deny"}`
		implicit     = `{"Message":"User is not authorized to access this resource"}`
		null         = `{"message":null}`
		internal     = `{"message":"Internal Server Error"}`
	)
	rest := api(tenants.REST, time.Minute, "GET /orders")
	http := api(tenants.HTTP, time.Minute, "GET /orders")
	simple := http
	simple.Simple = true
	simple.Cache.Identity = append(simple.Cache.Identity, tenants.Source{Kind: "context", Name: "routeKey"})
	socket := api(tenants.WebSocket, 0)
	doc := func(policy string) string { return `{"principalId":"alice","policyDocument":` + policy + `}` }
	const emptyDoc = `{"Version":"2012-10-17","Statement":[]}`

	tests := []struct {
		name      string
		api       tenants.API
		reply     string
		err       error
		request   string // "" is GET /orders
		noToken   bool
		status    int
		body      string
		errorType string
		outcome   gateway.Outcome
		calls     int
	}{
		{name: "rest no token", api: rest, noToken: true, status: 401, body: unauthorized, errorType: "UnauthorizedException", outcome: gateway.SourceMissing},
		{name: "http no token", api: http, noToken: true, status: 401, body: unauthorized, outcome: gateway.SourceMissing},
		{name: "rest unauthorized", api: rest, err: errUnauthorized, status: 401, body: unauthorized, errorType: "UnauthorizedException", outcome: gateway.Unauthorized, calls: 1},
		{name: "http unauthorized", api: http, err: errUnauthorized, status: 401, body: unauthorized, outcome: gateway.Unauthorized, calls: 1},
		{name: "rest wrapped unauthorized", api: rest, err: fmt.Errorf("no: %w", errUnauthorized), status: 500, body: null, outcome: gateway.AuthorizerFailed, calls: 1},
		{name: "rest unauthorized in lower case", api: rest, err: errors.New("unauthorized"), status: 500, body: null, outcome: gateway.AuthorizerFailed, calls: 1},
		{name: "rest error", api: rest, err: errors.New("store: down"), status: 500, body: null, outcome: gateway.AuthorizerFailed, calls: 1},
		{name: "http error", api: http, err: errors.New("store: down"), status: 500, body: internal, outcome: gateway.AuthorizerFailed, calls: 1},
		{name: "rest explicit deny", api: rest, reply: policy(nil, []string{"GET/orders"}), status: 403, body: explicit, errorType: "AccessDeniedException", outcome: gateway.ExplicitDeny, calls: 1},
		{name: "rest deny wins", api: rest, reply: policy([]string{"*"}, []string{"GET/*"}), status: 403, body: explicit, errorType: "AccessDeniedException", outcome: gateway.ExplicitDeny, calls: 1},
		{name: "rest silent policy", api: rest, reply: policy([]string{"GET/other"}, nil), status: 403, body: implicit, errorType: "AccessDeniedException", outcome: gateway.ImplicitDeny, calls: 1},
		{name: "rest empty policy", api: rest, reply: doc(emptyDoc), status: 403, body: implicit, errorType: "AccessDeniedException", outcome: gateway.ImplicitDeny, calls: 1},
		{name: "http explicit deny", api: http, reply: policy(nil, []string{"*"}), status: 403, body: forbidden, outcome: gateway.ExplicitDeny, calls: 1},
		{name: "http silent policy", api: http, reply: policy([]string{"GET/other"}, nil), status: 403, body: forbidden, outcome: gateway.ImplicitDeny, calls: 1},
		{name: "simple no", api: simple, reply: `{"isAuthorized":false}`, status: 403, body: forbidden, outcome: gateway.ExplicitDeny, calls: 1},

		{name: "rest no principal", api: rest, reply: `{"policyDocument":` + emptyDoc + `}`, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest empty principal", api: rest, reply: `{"principalId":"","policyDocument":` + emptyDoc + `}`, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest principal in another case", api: rest, reply: `{"PrincipalId":"alice","policyDocument":` + emptyDoc + `}`, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest no policy", api: rest, reply: `{"principalId":"alice"}`, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest null policy", api: rest, reply: doc("null"), status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest policy of nothing known", api: rest, reply: doc(`{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`), status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest nested context", api: rest, reply: strings.Replace(allowAll, `"tenantId":"acme"`, `"tenant":{"id":"acme"}`, 1), status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest context list", api: rest, reply: strings.Replace(allowAll, `"tenantId":"acme"`, `"tenants":["acme"]`, 1), status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest context is no object", api: rest, reply: `{"principalId":"alice","context":"acme","policyDocument":` + emptyDoc + `}`, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest simple response", api: rest, reply: `{"isAuthorized":true}`, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest empty reply", api: rest, reply: " ", status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest null reply", api: rest, reply: "null", status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "rest two replies", api: rest, reply: allowAll + allowAll, status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "http no policy", api: http, reply: `{"principalId":"alice"}`, status: 500, body: internal, outcome: gateway.ReplyMalformed, calls: 1},
		{name: "http simple response where policies are set", api: http, reply: `{"isAuthorized":true}`, status: 500, body: internal, outcome: gateway.ReplyMalformed, calls: 1},
		{name: "policy where simple responses are set", api: simple, reply: allowAll, status: 500, body: internal, outcome: gateway.ReplyMalformed, calls: 1},
		{name: "simple true as text", api: simple, reply: `{"isAuthorized":"true"}`, status: 500, body: internal, outcome: gateway.ReplyMalformed, calls: 1},
		{name: "simple one", api: simple, reply: `{"isAuthorized":1}`, status: 500, body: internal, outcome: gateway.ReplyMalformed, calls: 1},
		{name: "simple null", api: simple, reply: `{"isAuthorized":null}`, status: 500, body: internal, outcome: gateway.ReplyMalformed, calls: 1},
		{name: "websocket reply over 8 KB", api: socket, reply: allowAll + strings.Repeat(" ", 8192), request: "GET /", status: 500, body: null, errorType: "AuthorizerConfigurationException", outcome: gateway.ReplyMalformed, calls: 1},
		{name: "websocket deny", api: socket, reply: policy(nil, []string{"$connect"}), request: "GET /", status: 403, body: explicit, errorType: "AccessDeniedException", outcome: gateway.ExplicitDeny, calls: 1},
		{name: "websocket unauthorized", api: socket, err: errUnauthorized, request: "GET /", status: 401, body: unauthorized, errorType: "UnauthorizedException", outcome: gateway.Unauthorized, calls: 1},

		{name: "rest no such path", api: rest, request: "GET /nothing", status: 403, body: `{"message":"Missing Authentication Token"}`, errorType: "MissingAuthenticationTokenException", outcome: gateway.NoRoute},
		{name: "rest no such method", api: rest, request: "POST /orders", status: 403, body: `{"message":"Missing Authentication Token"}`, errorType: "MissingAuthenticationTokenException", outcome: gateway.NoRoute},
		{name: "http no such path", api: http, request: "GET /nothing", status: 404, body: `{"message":"Not Found"}`, outcome: gateway.NoRoute},
		{name: "websocket elsewhere", api: socket, request: "GET /orders", status: 403, body: `{"message":"Missing Authentication Token"}`, errorType: "MissingAuthenticationTokenException", outcome: gateway.NoRoute},
		{name: "websocket post", api: socket, request: "POST /", status: 426, body: `{"message":"Upgrade Required"}`, outcome: gateway.UpgradeRequired},
		{name: "rest long path", api: api(tenants.REST, 0), request: "GET /" + strings.Repeat("x", 1600), status: 414, body: `{"message":"Request-URI Too Long"}`, outcome: gateway.ARNTooLong},
		{name: "rest long headers", api: rest, request: "GET /orders?" + strings.Repeat("x", 10240), status: 431, body: `{"message":"HTTP header is larger than 10240 bytes."}`, outcome: gateway.HeadersTooLarge},
		{name: "http long headers", api: http, request: "GET /orders?" + strings.Repeat("x", 10240), status: 431, body: `{"message":"Request Header Fields Too Large"}`, outcome: gateway.HeadersTooLarge},
		{name: "http path that is not UTF-8", api: api(tenants.HTTP, 0), request: "GET /%ff", status: 400, body: `{"message":"Bad Request"}`, outcome: gateway.BadRequest},
		{name: "rest target that is no path", api: api(tenants.REST, 0), request: "OPTIONS *", status: 400, body: `{"message":"Bad Request"}`, errorType: "BadRequestException", outcome: gateway.BadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, tt.api, gateway.Options{})
			if tt.reply != "" || tt.err != nil {
				r.authorizer.set(tt.reply, tt.err)
			}
			if tt.request == "" {
				tt.request = "GET /orders"
			}
			lines := []string{tt.request, "Connection: Upgrade", "Upgrade: websocket"}
			if !tt.noToken {
				lines = append(lines, "Authorization: t1")
			}
			w := r.send(t, lines...)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if got := w.Header().Get("X-Amzn-Errortype"); got != tt.errorType {
				t.Errorf("x-amzn-ErrorType %q, want %q", got, tt.errorType)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if got := r.authorizer.invocations(); got != tt.calls {
				t.Errorf("%d invocations, want %d", got, tt.calls)
			}
			trace := r.last()
			if trace.Outcome != tt.outcome || trace.Status != tt.status {
				t.Errorf("trace says %q (%s) with %d, want %q with %d", trace.Outcome, trace.Why, trace.Status, tt.outcome, tt.status)
			}
			asked := map[int]gateway.Authorizer{0: gateway.NotAsked, 1: gateway.Invoked}[tt.calls]
			if trace.Authorizer != asked {
				t.Errorf("trace says the authorizer was %s, want %s", trace.Authorizer, asked)
			}
		})
	}
}

// TestEcho holds what a backend gets to know of the authorizer: text on REST and
// WebSocket APIs, JSON under lambda on HTTP APIs.
func TestEcho(t *testing.T) {
	t.Parallel()
	simple := api(tenants.HTTP, 0)
	simple.Simple = true
	tests := []struct {
		name, reply, request string
		api                  tenants.API
		stage                string
		want                 string
	}{
		{"rest", allowAll, "GET /orders/17", api(tenants.REST, 0, "ANY /orders/{id}"), "", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "local",
			"method": "GET", "path": "/orders/17", "route": "ANY /orders/{id}",
			"authorizer": {"tenantId": "acme", "level": "3", "admin": "false", "principalId": "alice", "integrationLatency": 0}}`},
		{"http", allowAll, "GET /orders/17", api(tenants.HTTP, 0), "", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "local",
			"method": "GET", "path": "/orders/17", "route": "$default",
			"authorizer": {"lambda": {"tenantId": "acme", "level": 3, "admin": false}}}`},
		{"http default stage", strings.ReplaceAll(allowAll, "/local/", "/$default/"), "GET /", api(tenants.HTTP, 0), "$default", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "$default",
			"method": "GET", "path": "/", "route": "$default",
			"authorizer": {"lambda": {"tenantId": "acme", "level": 3, "admin": false}}}`},
		{"http nested context", strings.Replace(allowAll, `"level":3`, `"level":{"is":[3,null]}`, 1), "GET /", api(tenants.HTTP, 0), "", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "local",
			"method": "GET", "path": "/", "route": "$default",
			"authorizer": {"lambda": {"tenantId": "acme", "level": {"is": [3, null]}, "admin": false}}}`},
		{"simple without context", `{"isAuthorized": true}`, "GET /", simple, "", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "local",
			"method": "GET", "path": "/", "route": "$default", "authorizer": {"lambda": null}}`},
		{"rest null in context", strings.Replace(allowAll, `"level":3`, `"level":null`, 1), "GET /", api(tenants.REST, 0), "", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "local",
			"method": "GET", "path": "/", "route": "ANY /",
			"authorizer": {"tenantId": "acme", "level": null, "admin": "false", "principalId": "alice", "integrationLatency": 0}}`},
		{"websocket", policy([]string{"$connect"}, nil), "GET /", api(tenants.WebSocket, 0), "", `{
			"message": "The authorizer allowed this request.", "api": "a1b2c3", "stage": "local",
			"method": "GET", "path": "/", "route": "$connect",
			"authorizer": {"tenantId": "acme", "level": "3", "admin": "false", "principalId": "alice", "integrationLatency": 0}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, tt.api, gateway.Options{Stage: tt.stage})
			r.authorizer.set(tt.reply, nil)
			w := r.send(t, tt.request, "Connection: Upgrade", "Upgrade: websocket")
			if w.Code != 200 {
				t.Fatalf("%d %s (%s)", w.Code, w.Body, r.last().Why)
			}
			if diff := cmp.Diff(decode(t, tt.want), decode(t, w.Body.String())); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// TestAuthorizerThatMisbehaves holds that a panic and a missed deadline are errors, and
// that a client that goes away does not stop an invocation.
func TestAuthorizerThatMisbehaves(t *testing.T) {
	t.Parallel()
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, api(tenants.REST, 0), gateway.Options{
			Authorize: func(context.Context, []byte) ([]byte, error) { panic("secret") },
		})
		if w := r.send(t, "GET /"); w.Code != 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if trace := r.last(); trace.Outcome != gateway.AuthorizerFailed || strings.Contains(trace.Why, "secret") {
			t.Errorf("trace says %s: %s", trace.Outcome, trace.Why)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, api(tenants.REST, time.Minute), gateway.Options{
			AuthorizerTimeout: time.Nanosecond,
			// It waits for its deadline and then answers all the same.
			Authorize: func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return []byte(allowAll), nil },
		})
		if w := r.send(t, "GET /", "Authorization: t1"); w.Code != 500 || r.last().Why != "no answer within 1ns" {
			t.Errorf("%d %s: %s", w.Code, w.Body, r.last().Why)
		}
	})
	t.Run("client gone", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, api(tenants.REST, 0), gateway.Options{
			Authorize: func(ctx context.Context, _ []byte) ([]byte, error) { return []byte(allowAll), ctx.Err() },
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req := parse(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").WithContext(ctx)
		r.ServeHTTP(discard{}, req)
		if trace := r.last(); trace.Outcome != gateway.Allowed {
			t.Errorf("trace says %s: %s", trace.Outcome, trace.Why)
		}
	})
}
