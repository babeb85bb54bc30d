package tenants_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"regent/tenants"
)

func ExampleParseRoute() {
	route, err := tenants.ParseRoute("GET /orders/{id}")
	fmt.Println(route.Method, route.Path, err)
	_, err = tenants.ParseRoute("GET /orders/{id+}/items")
	fmt.Println(err)
	// Output:
	// GET /orders/{id} <nil>
	// "GET /orders/{id+}/items": {id+} must be the last segment
}

func ExampleParseSource() {
	source, err := tenants.ParseSource("header:Authorization")
	fmt.Println(source, err)
	_, err = tenants.ParseSource("cookie")
	fmt.Println(err)
	// Output:
	// header:authorization <nil>
	// "cookie": cookie needs a name, such as cookie:NAME
}

func TestParseSource(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want tenants.Source // the zero value where the source is refused
	}{
		{"header:authorization", tenants.Source{Kind: "header", Name: "authorization"}},
		{"header:X-Tenant", tenants.Source{Kind: "header", Name: "x-tenant"}},
		{"query:Token", tenants.Source{Kind: "query", Name: "Token"}},
		{"query:a:b", tenants.Source{Kind: "query", Name: "a:b"}},
		{"cookie:Session", tenants.Source{Kind: "cookie", Name: "Session"}},
		{"claim:https://acme.example/tenant", tenants.Source{Kind: "claim", Name: "https://acme.example/tenant"}},
		{"stage:tenant", tenants.Source{Kind: "stage", Name: "tenant"}},
		{"context:routeKey", tenants.Source{Kind: "context", Name: "routeKey"}},
		{"path:0", tenants.Source{Kind: "path", Name: "0"}},
		{"path:12", tenants.Source{Kind: "path", Name: "12"}},
		{"host", tenants.Source{Kind: "host"}},
		{"issuer", tenants.Source{Kind: "issuer"}},
		{"api_key", tenants.Source{Kind: "api_key"}},
		{"", tenants.Source{}},
		{"header", tenants.Source{}},
		{"header:", tenants.Source{}},
		{"Header:x", tenants.Source{}},
		{"claim:", tenants.Source{}},
		{"host:x", tenants.Source{}},
		{"host:", tenants.Source{}},
		{"api_key:x", tenants.Source{}},
		{"path", tenants.Source{}},
		{"path:-1", tenants.Source{}},
		{"path:+1", tenants.Source{}},
		{"path:01", tenants.Source{}},
		{"path:x", tenants.Source{}},
		{"body:x", tenants.Source{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tenants.ParseSource(tt.name)
			if got != tt.want || (err != nil) != (tt.want == tenants.Source{}) {
				t.Fatalf("ParseSource(%q) = %+v, %v; want %+v", tt.name, got, err, tt.want)
			}
			if err != nil {
				return
			}
			if again, err := tenants.ParseSource(got.String()); err != nil || again != got {
				t.Errorf("%q reads back as %+v, %v", got, again, err)
			}
		})
	}
}

func TestParseRoute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want string // part of the error; empty where the route is fine
	}{
		{"GET /", ""},
		{"ANY /{proxy+}", ""},
		{"DELETE /orders/{id}", ""},
		{"POST /a/{b}/c/{d+}", ""},
		{"GET /a/", ""},
		{"GET /a.b/c-d_e:f~", ""},
		{"$default", ""},
		{"", "is not a route"},
		{"GET", "is not a route"},
		{"get /a", "is not a route"},
		{"TRACE /a", "is not a route"},
		{"* /a", "is not a route"},
		{"GET a", "must start with /"},
		{"GET  /a", "must start with /"},
		{"GET $default", "must start with /"},
		{"GET //", "empty segment"},
		{"GET /a//b", "empty segment"},
		{"GET /./a", "neither a word"},
		{"GET /a/..", "neither a word"},
		{"GET /a*", "neither a word"},
		{"GET /a?x=1", "neither a word"},
		{"GET /a b", "neither a word"},
		{"GET /a\nb", "control character"},
		{"GET /a\x00", "control character"},
		{"GET /\xff", "control character"},
		{"GET /a{b}", "neither a word"},
		{"GET /a}", "neither a word"},
		{"GET /{", "is not {name}"},
		{"GET /{}", "is not {name}"},
		{"GET /{+}", "is not {name}"},
		{"GET /{a}b", "is not {name}"},
		{"GET /{a++}", "is not {name}"},
		{"GET /{a\n}", "control character"},
		{"GET /{{a}}", "is not {name}"},
		{"GET /{a+}/b", "last segment"},
		{"GET /{a+}/", "last segment"},
		{"GET /{a}/{a}", "there twice"},
		{"GET /{a}/{a+}", "there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tenants.ParseRoute(tt.name)
			switch {
			case tt.want == "" && (err != nil || got.String() != tt.name):
				t.Errorf("ParseRoute(%q) = %q, %v", tt.name, got, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || got != tenants.Route{}):
				t.Errorf("ParseRoute(%q) = %q, %v; want an error with %q", tt.name, got, err, tt.want)
			}
		})
	}
}

// Whatever is read as a route is written as it was, and has the form that
// everybody who handles templates relies on.
func FuzzParseRoute(f *testing.F) {
	for _, seed := range []string{"GET /orders/{id}", "ANY /{proxy+}", "$default", "GET /", "GET /a/", "GET /{a}/{b}", "PUT /a//b", "GET /{", "GET /\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		route, err := tenants.ParseRoute(s)
		if err != nil {
			if route != (tenants.Route{}) {
				t.Errorf("%q: %+v beside the error %v", s, route, err)
			}
			return
		}
		if route.String() != s {
			t.Errorf("%q is written as %q", s, route)
		}
		text, err := route.MarshalText()
		var again tenants.Route
		if err != nil || again.UnmarshalText(text) != nil || again != route {
			t.Errorf("%q reads back as %q", s, again)
		}
		if !utf8.ValidString(s) || strings.ContainsAny(route.Path, "*?\x00\n") || strings.Contains(route.Path, "//") {
			t.Errorf("%q is a route", s)
		}
	})
}
