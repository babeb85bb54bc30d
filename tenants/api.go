package tenants

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// APIKind is the kind of API Gateway API.
type APIKind string

// The kinds of API that have Lambda authorizers.
const (
	REST      APIKind = "rest"
	HTTP      APIKind = "http"
	WebSocket APIKind = "websocket"
)

// API is a registered API Gateway API: where the credential is, how the tenant is
// recognised, and what its authorizer's cache keys on.
type API struct {
	// ID is the API's id, as in its ARNs: a1b2c3.
	ID   string  `json:"id"`
	Kind APIKind `json:"kind"`
	// Credential is where callers put their token: header:, query: or cookie:.
	Credential Source `json:"credential"`
	// Tenant lists how the tenant is recognised, in order.
	Tenant []Source `json:"tenant"`
	// Unauthenticated is the status for a credential that is absent or bad: 401, or
	// 403 for those who do not want authorizer errors counted. Zero means 401.
	Unauthenticated int `json:"unauthenticated,omitempty"`
	// Simple is set for HTTP APIs whose authorizer has simple responses enabled.
	Simple bool `json:"simple,omitempty"`
	// Cache mirrors the API Gateway authorizer's own settings.
	Cache Cache `json:"cache"`
	// Routes are the API's routes; empty if unknown.
	Routes []Route `json:"routes,omitempty"`
	// Upstream is where `regent serve` sends allowed requests.
	Upstream string `json:"upstream,omitempty"`
	// Version counts changes of the record, for conditional writes; 0 in a workspace.
	Version int64 `json:"version,omitempty"`
}

// Cache is how API Gateway caches the authorizer's replies.
type Cache struct {
	// TTL is the authorizer's authorizerResultTtlInSeconds; zero is off.
	TTL time.Duration `json:"ttl,omitempty"`
	// Identity are the authorizer's identity sources, which form the cache key.
	Identity []Source `json:"identity,omitempty"`
}

// MaxTTL is API Gateway's own limit.
const MaxTTL = time.Hour

// Source names a place in a request: "header:authorization", "host", "path:0".
type Source struct {
	// Kind is header, query, cookie, stage, context, claim, path, host, issuer or api_key.
	Kind string
	// Name is what follows the colon; header names are lower-case. Empty for host,
	// issuer and api_key.
	Name string
}

// ParseSource reads KIND or KIND:NAME.
func ParseSource(s string) (Source, error) {
	kind, name, named := strings.Cut(s, ":")
	switch kind {
	case "host", "issuer", "api_key":
		if named {
			return Source{}, fmt.Errorf("%q: %s takes no name", s, kind)
		}
	case "header":
		name = strings.ToLower(name)
	case "query", "cookie", "stage", "context", "claim":
	case "path":
		if n, err := strconv.Atoi(name); err != nil || n < 0 || strconv.Itoa(n) != name {
			return Source{}, fmt.Errorf("%q: path takes the number of a segment, from 0", s)
		}
	default:
		return Source{}, fmt.Errorf("%q: unknown kind %q", s, kind)
	}
	if kind != "host" && kind != "issuer" && kind != "api_key" && name == "" {
		return Source{}, fmt.Errorf("%q: %s needs a name, such as %s:NAME", s, kind, kind)
	}
	return Source{Kind: kind, Name: name}, nil
}

// String returns the form that ParseSource reads.
func (s Source) String() string {
	if s.Name == "" {
		return s.Kind
	}
	return s.Kind + ":" + s.Name
}

// MarshalText makes sources strings in JSON and YAML.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Source) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSource(string(b))
	return err
}

// Route is "METHOD /template" as API Gateway writes it: GET /orders/{id},
// ANY /{proxy+}, or $default on an HTTP API.
type Route struct {
	// Method is an HTTP method in capitals, or ANY.
	Method string
	// Path is the template: / and segments, {name}, and {name+} at the end; or
	// DefaultRoute.
	Path string
}

// AnyMethod is API Gateway's word for every method, DefaultRoute its word for the
// route of an HTTP API that takes what no other does.
const (
	AnyMethod    = "ANY"
	DefaultRoute = "$default"
)

// Methods returns the methods that an API Gateway route can have.
func Methods() []string {
	return []string{
		http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
		http.MethodPatch, http.MethodPost, http.MethodPut,
	}
}

// ParseRoute reads "METHOD /template" or "$default".
func ParseRoute(s string) (Route, error) {
	if s == DefaultRoute {
		return Route{Method: AnyMethod, Path: DefaultRoute}, nil
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return Route{}, fmt.Errorf("%q: a control character, or not UTF-8", s)
	}
	method, path, ok := strings.Cut(s, " ")
	if !ok || (method != AnyMethod && !slices.Contains(Methods(), method)) {
		return Route{}, fmt.Errorf("%q is not a route: want METHOD /template, with METHOD one of ANY, %s", s, strings.Join(Methods(), ", "))
	}
	if !strings.HasPrefix(path, "/") {
		return Route{}, fmt.Errorf("%q: the template must start with /", s)
	}
	segments := strings.Split(path[1:], "/")
	names := map[string]bool{}
	for i, seg := range segments {
		last := i == len(segments)-1
		if seg == "" && !last {
			return Route{}, fmt.Errorf("%q: empty segment", s)
		}
		inner, isParam := strings.CutPrefix(seg, "{")
		if !isParam {
			if strings.ContainsAny(seg, "{}*? \t") || seg == "." || seg == ".." {
				return Route{}, fmt.Errorf("%q: segment %q is neither a word nor {name}", s, seg)
			}
			continue
		}
		name, closed := strings.CutSuffix(inner, "}")
		greedy := strings.HasSuffix(name, "+")
		name = strings.TrimSuffix(name, "+")
		if !closed || name == "" || strings.ContainsAny(name, "{}+*? \t") {
			return Route{}, fmt.Errorf("%q: segment %q is not {name} or {name+}", s, seg)
		}
		if greedy && !last {
			return Route{}, fmt.Errorf("%q: {%s+} must be the last segment", s, name)
		}
		if names[name] {
			return Route{}, fmt.Errorf("%q: parameter %q is there twice", s, name)
		}
		names[name] = true
	}
	return Route{Method: method, Path: path}, nil
}

// String returns the form that ParseRoute reads.
func (r Route) String() string {
	if r.Path == DefaultRoute {
		return DefaultRoute
	}
	return r.Method + " " + r.Path
}

// MarshalText makes routes strings in JSON and YAML.
func (r Route) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Route) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRoute(string(b))
	return err
}

// Validate reports everything that is wrong with the registration, each as a
// *FieldError, joined. Settings under which a cached reply could serve another
// caller or another tenant are among it.
func (a API) Validate() error {
	var p problems
	if a.ID == "" || strings.ContainsAny(a.ID, "/:*? #") {
		p.add("id", "%q is not an API id as its ARNs have it, such as a1b2c3", a.ID)
	}
	if a.Kind != REST && a.Kind != HTTP && a.Kind != WebSocket {
		p.add("kind", "%q is not a kind: rest, http or websocket", a.Kind)
	}
	if !slices.Contains([]string{"header", "query", "cookie"}, a.Credential.Kind) {
		p.add("credential", "required: where callers put their token, as header:NAME, query:NAME or cookie:NAME")
	}
	if a.Credential == (Source{"header", "cookie"}) {
		p.add("credential", "a whole cookie header is no token: name the cookie, as cookie:NAME")
	}
	if len(a.Tenant) == 0 {
		p.add("tenant", "required: how the tenant is recognised, such as [host]")
	}
	for i, s := range a.Tenant {
		if !slices.Contains([]string{"host", "issuer", "header", "query", "claim", "path", "stage", "api_key"}, s.Kind) {
			p.add(index("tenant", i), "%q is not a tenant selector: host, issuer, header:NAME, query:NAME, claim:NAME, path:N, stage:NAME or api_key", s)
		}
	}
	if a.Unauthenticated != 0 && a.Unauthenticated != 401 && a.Unauthenticated != 403 {
		p.add("unauthenticated", "%d is neither 401 nor 403", a.Unauthenticated)
	}
	if a.Simple && a.Kind != HTTP {
		p.add("simple", "only HTTP APIs have simple responses")
	}
	if a.Upstream != "" {
		validateURL("upstream", a.Upstream, &p)
	}
	a.validateCache(&p)
	return p.err()
}

func (a API) validateCache(p *problems) {
	contexts := []string{"httpMethod", "resourcePath", "path", "routeKey", "sourceIp"}
	for i, s := range a.Cache.Identity {
		at := index("cache.identity", i)
		switch s.Kind {
		case "header", "query", "stage":
		case "context":
			if !slices.Contains(contexts, s.Name) {
				p.add(at, "%q is not supported: context: takes %s", s, strings.Join(contexts, ", "))
			}
		default:
			p.add(at, "%q is not an identity source: header:NAME, query:NAME, stage:NAME or context:NAME", s)
		}
	}
	if a.Cache.TTL < 0 || a.Cache.TTL > MaxTTL || a.Cache.TTL%time.Second != 0 {
		p.add("cache.ttl", "%s is not a whole number of seconds from 0s to %s", a.Cache.TTL, MaxTTL)
	}
	if a.Cache.TTL <= 0 {
		return
	}
	if a.Kind == WebSocket {
		p.add("cache.ttl", "API Gateway does not cache WebSocket authorizers: use 0s")
		return
	}
	if s, ok := a.missing(a.Credential); !ok {
		p.add("cache.identity", "the credential %s is not part of the cache key, so one caller's reply would serve another: add %s", a.Credential, s)
	}
	for i, sel := range a.Tenant {
		if s, ok := a.missing(sel); !ok {
			p.add(index("tenant", i), "%s is not part of the cache key, so one tenant's reply could serve another: add %s to cache.identity, or set cache.ttl to 0s", sel, s)
		}
	}
	if a.Simple && !slices.Contains(a.Cache.Identity, Source{"context", "routeKey"}) {
		p.add("cache.identity", "a simple response is one verdict for every route with the same key: add context:routeKey, use IAM policies (simple: false), or set cache.ttl to 0s")
	}
}

// missing tells whether the cache key fixes a credential or a tenant selector,
// and if not, which identity source would. A credential that is itself said to be
// in a token is reported elsewhere, and nothing more is known.
func (a API) missing(s Source) (need Source, fixed bool) {
	switch s.Kind {
	case "host":
		need = Source{"header", "host"}
	case "issuer", "claim":
		if a.Credential.Kind == "issuer" || a.Credential.Kind == "claim" {
			return s, true
		}
		return a.missing(a.Credential)
	case "cookie":
		need = Source{"header", "cookie"}
	case "path":
		need = Source{"context", "path"}
	case "api_key":
		need = Source{"header", "x-api-key"}
	default:
		need = s
	}
	return need, slices.Contains(a.Cache.Identity, need)
}

// MarshalJSON writes the TTL as a Go duration, 5m0s.
func (c Cache) MarshalJSON() ([]byte, error) {
	return json.Marshal(cacheJSON{c.TTL.String(), c.Identity})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Cache) UnmarshalJSON(b []byte) error {
	var j cacheJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	ttl, err := time.ParseDuration(j.TTL)
	*c = Cache{TTL: ttl, Identity: j.Identity}
	return err
}

type cacheJSON struct {
	TTL      string   `json:"ttl"`
	Identity []Source `json:"identity,omitempty"`
}
