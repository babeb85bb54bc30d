package dir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// FormatTenant writes a tenant's record as a tenant.yaml that ReadTenant reads as the
// same record; revision and version have no place in it. A record that no file can say,
// such as one that is not valid, is an error.
func FormatTenant(t tenants.Tenant) ([]byte, error) {
	f := tenantYAML{
		ID: t.ID, Status: string(t.Status),
		Selectors: selectorsYAML(t.Selectors),
		Identity:  identityYAML{Anonymous: t.Identity.Anonymous},
	}
	var err error
	if f.Attributes, err = jsonYAML(t.Attributes); err != nil {
		return nil, fmt.Errorf("tenant %q: attributes: %w", t.ID, err)
	}
	for _, p := range t.Identity.Providers {
		one, err := formatProvider(p)
		if err != nil {
			return nil, fmt.Errorf("tenant %q: provider: %w", t.ID, err)
		}
		f.Identity.Providers = append(f.Identity.Providers, one)
	}
	content, err := encode(f)
	if err != nil {
		return nil, fmt.Errorf("tenant %q: %w", t.ID, err)
	}
	read, err := ReadTenant("the file", content)
	if err == nil && !SameTenant(read.Tenant, t) {
		err = errors.New("the file would say something else")
	}
	if err != nil {
		return nil, fmt.Errorf("the record of tenant %q cannot be written as a file: %w", t.ID, err)
	}
	return content, nil
}

// SameTenant reports whether two records say the same, whatever their revisions and
// versions.
func SameTenant(a, b tenants.Tenant) bool {
	a.Revision, a.Version, b.Revision, b.Version = "", 0, "", 0
	return same(a, b)
}

// SameAPI reports whether two registrations say the same, whatever their versions.
func SameAPI(a, b tenants.API) bool {
	a.Version, b.Version = 0, 0
	return same(a, b)
}

// same compares values as JSON, in which what is empty and what is not there are one.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// FormatAPI writes an API as one entry of regent.yaml's list, in the form that ReadAPI
// reads as the same API. The version has no place in it. An API that no file can say is
// an error.
func FormatAPI(a tenants.API) ([]byte, error) {
	content, err := encode(formatAPI(a))
	if err != nil {
		return nil, fmt.Errorf("API %q: %w", a.ID, err)
	}
	read, err := ReadAPI("the file", content, nil)
	if err == nil && !SameAPI(read.API, a) {
		err = errors.New("the file would say something else")
	}
	if err != nil {
		return nil, fmt.Errorf("API %q cannot be written as a file: %w", a.ID, err)
	}
	return content, nil
}

// FormatAPIs writes a whole regent.yaml. An API that no file can say is an error.
func FormatAPIs(apis []tenants.API) ([]byte, error) {
	f := registryYAML{APIs: []apiYAML{}}
	for _, a := range apis {
		if _, err := FormatAPI(a); err != nil {
			return nil, err
		}
		f.APIs = append(f.APIs, formatAPI(a))
	}
	return encode(f)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// The files as they are written: the keys in the order of DESIGN.md §5, what is not set
// left out.
type (
	tenantYAML struct {
		ID         string        `yaml:"id"`
		Status     string        `yaml:"status"`
		Selectors  selectorsYAML `yaml:"selectors,omitempty"`
		Attributes *yaml.Node    `yaml:"attributes,omitempty"`
		Identity   identityYAML  `yaml:"identity"`
	}
	selectorsYAML struct {
		Hosts   []string `yaml:"hosts,omitempty,flow"`
		Issuers []string `yaml:"issuers,omitempty,flow"`
		Values  []string `yaml:"values,omitempty,flow"`
	}
	identityYAML struct {
		Anonymous bool           `yaml:"anonymous,omitempty"`
		Providers []providerYAML `yaml:"providers,omitempty"`
	}
	providerYAML struct {
		Issuer        string     `yaml:"issuer,omitempty"`
		Audiences     []string   `yaml:"audiences,omitempty,flow"`
		Algorithms    []string   `yaml:"algorithms,omitempty,flow"`
		JWKS          *yaml.Node `yaml:"jwks,omitempty"`
		Leeway        string     `yaml:"leeway,omitempty"`
		Claims        *yaml.Node `yaml:"claims,omitempty"`
		Introspection string     `yaml:"introspection,omitempty"`
		ClientID      string     `yaml:"client_id,omitempty"`
		ClientSecret  string     `yaml:"client_secret,omitempty"`
		AuthMethod    string     `yaml:"auth_method,omitempty"`
	}
	registryYAML struct {
		APIs []apiYAML `yaml:"apis"`
	}
	apiYAML struct {
		ID              string     `yaml:"id"`
		Kind            string     `yaml:"kind"`
		Credential      string     `yaml:"credential"`
		Tenant          []string   `yaml:"tenant,flow"`
		Unauthenticated int        `yaml:"unauthenticated,omitempty"`
		Simple          bool       `yaml:"simple,omitempty"`
		Cache           *cacheYAML `yaml:"cache,omitempty"`
		Routes          []string   `yaml:"routes,omitempty"`
		Upstream        string     `yaml:"upstream,omitempty"`
	}
	cacheYAML struct {
		TTL      string   `yaml:"ttl"`
		Identity []string `yaml:"identity,omitempty,flow"`
	}
)

func formatProvider(p tenants.Provider) (providerYAML, error) {
	f := providerYAML{
		Issuer: p.Issuer, Audiences: p.Audiences, Algorithms: p.Algorithms,
		Introspection: p.Introspection, ClientID: p.ClientID, ClientSecret: p.ClientSecret, AuthMethod: p.AuthMethod,
	}
	if p.Leeway != 0 {
		f.Leeway = p.Leeway.String()
	}
	var err error
	if f.Claims, err = jsonYAML(p.Claims); err != nil {
		return f, fmt.Errorf("claims: %w", err)
	}
	switch {
	case p.JWKS.Discovery:
		f.JWKS = stringYAML("discovery")
	case p.JWKS.URL != "":
		f.JWKS = stringYAML(p.JWKS.URL)
	case len(p.JWKS.Inline) > 0:
		var set map[string]any
		if err = json.Unmarshal(p.JWKS.Inline, &set); err != nil {
			return f, fmt.Errorf("inline key set: %w", err)
		}
		f.JWKS, err = jsonYAML(set)
	}
	return f, err
}

func formatAPI(a tenants.API) apiYAML {
	f := apiYAML{
		ID: a.ID, Kind: string(a.Kind), Credential: a.Credential.String(), Tenant: stringsOf(a.Tenant),
		Unauthenticated: a.Unauthenticated, Simple: a.Simple, Routes: stringsOf(a.Routes), Upstream: a.Upstream,
	}
	if a.Cache.TTL != 0 || len(a.Cache.Identity) > 0 {
		f.Cache = &cacheYAML{TTL: fmt.Sprintf("%ds", a.Cache.TTL/time.Second), Identity: stringsOf(a.Cache.Identity)}
	}
	return f
}

func stringsOf[T fmt.Stringer](values []T) (all []string) {
	for _, v := range values {
		all = append(all, v.String())
	}
	return all
}

// stringYAML leaves the quoting to the encoder, which knows what would be read as
// something else.
func stringYAML(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	n.Style = 0 // a string of several lines would be a literal, which has no place in a flow
	return n
}

// jsonYAML writes an object of JSON values on one line; nil for one that is empty.
func jsonYAML(object map[string]any) (*yaml.Node, error) {
	if len(object) == 0 {
		return nil, nil
	}
	n := &yaml.Node{}
	if err := n.Encode(numbers(object)); err != nil {
		return nil, err
	}
	n.Style = yaml.FlowStyle
	return n, nil
}

// numbers writes whole numbers as such: 8, not 8.0 or 8e+00. A negative zero stays.
func numbers(v any) any {
	switch v := v.(type) {
	case float64:
		const exact = 1 << 53
		switch {
		case v == 0 && math.Signbit(v):
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: "-0.0"}
		case v == math.Trunc(v) && v > -exact && v < exact:
			return int64(v)
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = numbers(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = numbers(v[name])
		}
		return out
	default:
		return v
	}
}
