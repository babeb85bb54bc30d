package engine

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"regent/tenants"
)

// Reason codes of the decided no's before the rules.
const (
	CodeTenantUnknown   = "tenant_unknown"
	CodeTenantConflict  = "tenant_conflict"
	CodeTenantSuspended = "tenant_suspended"
	CodePathAmbiguous   = "path_ambiguous"
)

// resolve finds the tenant that a request is for by the API's selectors.
//
// Every selector is asked. One that has no value, or whose value belongs to no
// tenant, names nobody; those that name somebody must agree. A claim is stricter:
// it is the identity provider's word about the tenant, so a claim that names
// nobody conflicts with whoever is named elsewhere.
//
// claims are unproven here. That is enough: they only choose whose providers are
// asked, and a token that lies is refused by them.
func (a *Authorizer) resolve(ctx context.Context, req Request, api tenants.API, credential string) (tenants.Tenant, error) {
	var claims map[string]any
	readable := false
	if needsToken(api) {
		claims, readable = a.Identity.Peek(credential)
	}
	named := ""
	var by []selection
	stray := false
	for _, selector := range api.Tenant {
		kind, value, err := selected(req, selector, claims)
		if err != nil {
			return tenants.Tenant{}, err
		}
		if value == "" {
			continue
		}
		id, err := a.Store.Select(ctx, kind, value)
		switch {
		case errors.Is(err, tenants.ErrNotFound):
			stray = stray || selector.Kind == "claim"
			continue
		case err != nil:
			return tenants.Tenant{}, asTrouble("store", err)
		case named != "" && named != id:
			return tenants.Tenant{}, conflict()
		}
		named = id
		by = append(by, selection{kind, value})
	}
	if named == "" {
		if !readable && needsToken(api) {
			return tenants.Tenant{}, unreadable(credential)
		}
		return tenants.Tenant{}, &denial{code: CodeTenantUnknown, detail: "no selector names a tenant", wholeKey: true}
	}
	if stray {
		return tenants.Tenant{}, conflict()
	}
	tenant, err := a.Store.Tenant(ctx, named)
	if errors.Is(err, tenants.ErrNotFound) {
		a.last.forget(named)
		return tenants.Tenant{}, &denial{code: CodeTenantUnknown, detail: "the tenant is not registered", wholeKey: true}
	}
	if err != nil {
		return tenants.Tenant{}, asTrouble("store", err)
	}
	for _, s := range by {
		if !slices.Contains(tenant.Selectors.Of(s.kind), s.value) {
			// The store may have read the two at different times. Nobody knows which is
			// newer, so this is not said in a Deny, which would be cached.
			return tenants.Tenant{}, Troublef("store", "a %s selector names tenant %q, whose record does not have the value: it is being moved", s.kind, tenant.ID)
		}
	}
	return tenant, nil
}

// selection is a selector value by which a tenant was named.
type selection struct {
	kind  tenants.SelectorKind
	value string
}

// selected returns the value by which a selector names a tenant; "" if the request
// has none.
func selected(req Request, selector tenants.Source, claims map[string]any) (tenants.SelectorKind, string, error) {
	switch selector.Kind {
	case "issuer":
		issuer, _ := claims["iss"].(string)
		return tenants.ByIssuer, issuer, nil
	case "claim":
		value, _ := claims[selector.Name].(string)
		return tenants.ByValue, value, nil
	case "path":
		n, err := strconv.Atoi(selector.Name)
		if err != nil || n < 0 || n >= len(req.Segments) {
			return tenants.ByValue, "", nil
		}
		return tenants.ByValue, req.Segments[n], nil
	}
	found := values(req, selector)
	if len(found) > 1 || (len(found) == 1 && selector.Kind == "header" && strings.Contains(found[0], ",")) {
		return "", "", &Unauthorized{Code: CodeDoubtful, Detail: "tenant selector " + selector.String() + " is there more than once"}
	}
	if len(found) == 0 {
		return tenants.ByValue, "", nil
	}
	if selector.Kind == "host" {
		return tenants.ByHost, hostname(found[0]), nil
	}
	return tenants.ByValue, found[0], nil
}

// hostname is the host of a Host header, in lower case and without its port.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func needsToken(api tenants.API) bool {
	for _, s := range api.Tenant {
		if s.Kind == "issuer" || s.Kind == "claim" {
			return true
		}
	}
	return false
}

func unreadable(credential string) error {
	if credential == "" {
		return &Unauthorized{Code: CodeCredentialAbsent, Detail: "the tenant is named by a token, and there is none"}
	}
	return &Unauthorized{Code: CodeCredentialMalformed, Detail: "the tenant is named by a token, and this one cannot be read"}
}

func conflict() error {
	return &denial{code: CodeTenantConflict, detail: "selectors name different tenants", wholeKey: true}
}
