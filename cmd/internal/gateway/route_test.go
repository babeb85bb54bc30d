package gateway_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/tenants"
)

// TestRouting plays testdata/routing.txt and reads route and parameters from the event
// that the authorizer gets.
func TestRouting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/routing.txt")
	if err != nil {
		t.Fatal(err)
	}
	var kind tenants.APIKind
	var routes []string
	cases := 0
	for n, line := range strings.Split(string(text), "\n") {
		request, want, isCase := strings.Cut(line, " -> ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "api "):
			kind, routes = tenants.APIKind(line[len("api "):]), nil
		case strings.HasPrefix(line, "route "):
			routes = append(routes, line[len("route "):])
		case isCase:
			cases++
			name := fmt.Sprintf("line %d %s", n+1, request)
			a := api(kind, 0, routes...)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if got := routed(t, a, request); got != want {
					t.Errorf("%s is routed to %q, want %q", request, got, want)
				}
			})
			// The order in which routes are listed has no meaning.
			slices.Reverse(a.Routes)
			t.Run(name+" reversed", func(t *testing.T) {
				t.Parallel()
				if got := routed(t, a, request); got != want {
					t.Errorf("%s is routed to %q, want %q", request, got, want)
				}
			})
		default:
			t.Fatalf("line %d: %q is nothing", n+1, line)
		}
	}
	if cases == 0 {
		t.Fatal("no cases")
	}
}

// routed describes the route of a request as routing.txt does.
func routed(t *testing.T, a tenants.API, request string) string {
	t.Helper()
	o := gateway.Options{}
	r := newRig(t, a, o)
	// What the policy says of paths that are strange is not the question here.
	r.authorizer.set(policy(nil, []string{"*"}), nil)
	r.send(t, request)
	trace := r.last()
	if trace.Outcome == gateway.NoRoute {
		return "none"
	}
	var event struct {
		RouteKey       string
		Resource       string
		PathParameters map[string]string
	}
	if r.authorizer.invocations() != 1 {
		t.Fatalf("not invoked: %s (%s)", trace.Outcome, trace.Why)
	}
	if err := json.Unmarshal(r.authorizer.events[0], &event); err != nil {
		t.Fatal(err)
	}
	if a.Kind == tenants.HTTP && event.RouteKey != trace.Route {
		t.Errorf("routeKey %q, trace has %q", event.RouteKey, trace.Route)
	}
	if _, path, _ := strings.Cut(trace.Route, " "); a.Kind == tenants.REST && event.Resource != path {
		t.Errorf("resource %q, trace has %q", event.Resource, trace.Route)
	}
	var params []string
	for _, name := range slices.Sorted(maps.Keys(event.PathParameters)) {
		params = append(params, name+"="+event.PathParameters[name])
	}
	return strings.TrimSpace(trace.Route + " " + strings.Join(params, ","))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	rest, http := api(tenants.REST, 0), api(tenants.HTTP, 0)
	with := func(a tenants.API, change func(*tenants.API)) tenants.API { change(&a); return a }
	tests := []struct {
		name string
		api  tenants.API
		o    gateway.Options
		want string
	}{
		{"API that does not validate", with(rest, func(a *tenants.API) { a.Tenant = nil }), gateway.Options{}, "tenant: required"},
		{"cache without the credential", with(rest, func(a *tenants.API) { a.Cache.TTL = 60e9 }), gateway.Options{}, "add header:authorization"},
		{"default stage on REST", rest, gateway.Options{Stage: "$default"}, `"$default" is not a stage of a rest API`},
		{"stage with a slash", http, gateway.Options{Stage: "a/b"}, `"a/b" is not a stage`},
		{"account", rest, gateway.Options{Account: "me"}, `"me" is not an AWS account`},
		{"region", rest, gateway.Options{Region: "*"}, `"*" is not an AWS region`},
		{"HTTP payload on REST", rest, gateway.Options{Shape: engine.ShapeHTTP2}, "rest APIs have no http-2.0 events"},
		{"TOKEN payload on HTTP", http, gateway.Options{Shape: engine.ShapeToken}, "http APIs have no rest-token events"},
		{"TOKEN payload from a query", with(rest, func(a *tenants.API) { a.Credential.Kind = "query" }), gateway.Options{Shape: engine.ShapeToken}, "takes its token from a header"},
		{"simple with format 1.0", with(http, func(a *tenants.API) { a.Simple = true }), gateway.Options{Shape: engine.ShapeHTTP1}, "format 2.0 only"},
		{"negative cache", rest, gateway.Options{CacheEntries: -1}, "negative limit"},
		{"upstream that is no URL", with(rest, func(a *tenants.API) { a.Upstream = "127.0.0.1:9000" }), gateway.Options{}, "upstream: "},
		{"upstream with a password", with(rest, func(a *tenants.API) { a.Upstream = "http://u:hunter2@a" }), gateway.Options{}, "upstream: "},
		{"$default on REST", api(tenants.REST, 0, "$default"), gateway.Options{}, "only HTTP APIs have the route $default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.o.Authorize = (&authorizer{}).Authorize
			h, err := gateway.New(tt.api, tt.o)
			if err == nil || h != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New() = %v; want error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the password in it: %v", err)
			}
		})
	}
	t.Run("no authorizer", func(t *testing.T) {
		t.Parallel()
		if _, err := gateway.New(rest, gateway.Options{}); err == nil || !strings.Contains(err.Error(), "Authorize is not set") {
			t.Errorf("New() = %v", err)
		}
	})
}
