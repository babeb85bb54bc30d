package dir

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// readTenant reads tenants/ID/tenant.yaml.
func (d *document) readTenant(n *yaml.Node) tenants.Tenant {
	var t tenants.Tenant
	d.mapping(n, "", fields{
		"id":     text(d, &t.ID),
		"status": text(d, &t.Status),
		"selectors": func(n *yaml.Node, at string) {
			d.mapping(n, at, fields{
				"hosts":   texts(d, &t.Selectors.Hosts),
				"issuers": texts(d, &t.Selectors.Issuers),
				"values":  texts(d, &t.Selectors.Values),
			})
		},
		"attributes": object(d, &t.Attributes),
		"identity": func(n *yaml.Node, at string) {
			d.mapping(n, at, fields{
				"anonymous": boolean(d, &t.Identity.Anonymous),
				"providers": list(d, &t.Identity.Providers, d.provider),
			})
		},
	})
	d.validated("", t.Validate())
	return t
}

func (d *document) provider(p *tenants.Provider) read {
	return func(n *yaml.Node, at string) {
		d.mapping(n, at, fields{
			"issuer":        text(d, &p.Issuer),
			"audiences":     texts(d, &p.Audiences),
			"algorithms":    texts(d, &p.Algorithms),
			"jwks":          d.keySource(&p.JWKS),
			"leeway":        duration(d, &p.Leeway),
			"claims":        object(d, &p.Claims),
			"introspection": text(d, &p.Introspection),
			"client_id":     text(d, &p.ClientID),
			"client_secret": secret(&p.ClientSecret),
			"auth_method":   text(d, &p.AuthMethod),
		})
	}
}

// secret reads a reference. What is there in its place may be the secret itself, so
// no message repeats it; what is no string is left for Validate to refuse as none.
func secret(p *string) read {
	return func(n *yaml.Node, _ string) {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			*p = n.Value
		}
	}
}

// keySource reads jwks: discovery, a URL, or an inline key set as YAML or as JSON.
func (d *document) keySource(p *tenants.KeySource) read {
	return func(n *yaml.Node, at string) {
		if n.Kind == yaml.MappingNode {
			d.keySet(n, at, d.value(n, at), p)
			return
		}
		var s string
		text(d, &s)(n, at)
		switch {
		case s == "discovery":
			p.Discovery = true
		case strings.HasPrefix(strings.TrimSpace(s), "{"):
			var v any
			if err := json.Unmarshal([]byte(s), &v); err != nil {
				d.fail(n, at, "the inline key set is not JSON: %v", err)
				return
			}
			d.keySet(n, at, v, p)
		default:
			p.URL = s
		}
	}
}

// keySet checks the shape of an inline key set and that it is public. Whether its
// keys are usable is for the verifier to say.
func (d *document) keySet(n *yaml.Node, at string, v any, p *tenants.KeySource) {
	set, _ := v.(map[string]any)
	keys, ok := set["keys"].([]any)
	if !ok || len(keys) == 0 {
		d.failHint(n, at, "write {keys: [{kty: ...}]}", "an inline key set needs a list of keys")
		return
	}
	for i, k := range keys {
		key, ok := k.(map[string]any)
		if !ok {
			d.fail(n, at, "keys[%d] is not a key", i)
			return
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, found := key[private]; found {
				d.failHint(n, at, "list public keys only, and treat this one as leaked", "keys[%d] has the secret member %q", i, private)
				return
			}
		}
	}
	inline, err := json.Marshal(set)
	if err != nil {
		d.fail(n, at, "%v", err)
		return
	}
	p.Inline = inline
}

// duration reads a duration such as 300s into p. A number alone has no unit.
func duration(d *document, p *time.Duration) read {
	return func(n *yaml.Node, at string) {
		if !d.is(n, yaml.ScalarNode, at, "a duration such as 300s") {
			return
		}
		v, err := time.ParseDuration(n.Value)
		if err != nil || n.ShortTag() != "!!str" {
			d.fail(n, at, "want a duration such as 300s, this is %s", describe(n))
			return
		}
		*p = v
	}
}

// registration is one API of regent.yaml and the document that its routes are in.
type registration struct {
	api tenants.API
	// spec is the path of an OpenAPI document; empty if the routes are listed.
	spec string
}

// readAPIs reads regent.yaml.
func (d *document) readAPIs(n *yaml.Node) []registration {
	var regs []registration
	d.mapping(n, "", fields{"apis": list(d, &regs, d.registration)})
	if d.where[""] != nil && d.where["apis"] == nil && !d.covered("apis") {
		d.failHint(n, "apis", "write apis: [] if there are none yet", "required: the APIs that this workspace guards")
	}
	for i, r := range regs {
		d.validated(fmt.Sprintf("apis[%d]", i), r.api.Validate())
	}
	return regs
}

func (d *document) registration(r *registration) read {
	a := &r.api
	source := func(p *tenants.Source) read { return parsed(d, p, tenants.ParseSource) }
	return func(n *yaml.Node, at string) {
		d.mapping(n, at, fields{
			"id":              text(d, &a.ID),
			"kind":            text(d, &a.Kind),
			"credential":      source(&a.Credential),
			"tenant":          list(d, &a.Tenant, source),
			"unauthenticated": integer(d, &a.Unauthenticated),
			"simple":          boolean(d, &a.Simple),
			"cache": func(n *yaml.Node, at string) {
				d.mapping(n, at, fields{
					"ttl":      duration(d, &a.Cache.TTL),
					"identity": list(d, &a.Cache.Identity, source),
				})
			},
			"routes":   d.routes(r),
			"upstream": text(d, &a.Upstream),
		})
	}
}

// routes reads a list of routes, or the name of the document that has them.
func (d *document) routes(r *registration) read {
	return func(n *yaml.Node, at string) {
		if n.Kind == yaml.ScalarNode {
			parsed(d, &r.spec, specPath)(n, at)
			return
		}
		list(d, &r.api.Routes, func(p *tenants.Route) read {
			return parsed(d, p, tenants.ParseRoute)
		})(n, at)
		first := map[tenants.Route]int{}
		for i, route := range r.api.Routes {
			if j, twice := first[route]; twice && route.Path != "" {
				d.fail(n.Content[i], fmt.Sprintf("%s[%d]", at, i), "%s is there twice, first as %s[%d]", route, at, j)
				continue
			}
			first[route] = i
		}
	}
}
