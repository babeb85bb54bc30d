package engine

import (
	"strings"

	"regent/tenants"
)

// Input is the input document that rules see, DESIGN.md §3. It has no credential
// in it.
type Input struct {
	Tenant   InputTenant       `json:"tenant"`
	Identity Identity          `json:"identity"`
	API      Target            `json:"api"`
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Segments []string          `json:"segments"`
	Route    string            `json:"route,omitempty"`
	Params   map[string]string `json:"params"`
	// Query has the request's parameters without the one that carried the credential.
	Query map[string][]string `json:"query"`
	// Headers has lower-case names, repeats joined by ", ", without the one that
	// carried the credential.
	Headers  map[string]string `json:"headers"`
	SourceIP string            `json:"source_ip"`
}

// InputTenant is input.tenant.
type InputTenant struct {
	ID         string         `json:"id"`
	Attributes map[string]any `json:"attributes"`
}

// NewInput builds the document that the rules of tenant are asked with.
func NewInput(req Request, api tenants.API, tenant tenants.Tenant, identity Identity) Input {
	in := Input{
		Tenant:   InputTenant{ID: tenant.ID, Attributes: tenant.Attributes},
		Identity: identity,
		API:      req.API,
		Method:   req.Method,
		Path:     req.Path,
		Segments: req.Segments,
		Route:    req.Route,
		Params:   req.Params,
		Query:    make(map[string][]string, len(req.Query)),
		Headers:  make(map[string]string, len(req.Headers)+1),
		SourceIP: req.SourceIP,
	}
	for name, values := range req.Query {
		if api.Credential.Kind != "query" || name != api.Credential.Name {
			in.Query[name] = values
		}
	}
	for name, values := range req.Headers {
		if api.Credential.Kind != "header" || name != api.Credential.Name {
			in.Headers[name] = strings.Join(values, ", ")
		}
	}
	if cookies := visibleCookies(req.Cookies, api.Credential); len(cookies) > 0 {
		in.Headers["cookie"] = strings.Join(cookies, "; ")
	}
	if in.Segments == nil {
		in.Segments = []string{}
	}
	if in.Params == nil {
		in.Params = map[string]string{}
	}
	if in.Tenant.Attributes == nil {
		in.Tenant.Attributes = map[string]any{}
	}
	if in.Identity.Scopes == nil {
		in.Identity.Scopes = []string{}
	}
	if in.Identity.Claims == nil {
		in.Identity.Claims = map[string]any{}
	}
	return in
}

func visibleCookies(cookies []string, credential tenants.Source) []string {
	var visible []string
	for _, c := range cookies {
		name, _, _ := strings.Cut(c, "=")
		if credential.Kind != "cookie" || name != credential.Name {
			visible = append(visible, c)
		}
	}
	return visible
}
