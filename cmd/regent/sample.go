package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"regent/engine"
	"regent/tenants"
)

// sample is a request to try out.
type sample struct {
	curl string
	// expect is what to expect of it.
	expect string
}

// guesses are claims that example rules say yes to.
func guesses() []map[string]any {
	return []map[string]any{
		{},
		{"roles": []any{"greeter"}},
	}
}

// sample looks for a plain GET that a tenant's rules allow to a caller of whom little
// is known, and makes a command of it. It returns nothing if there is nothing to try.
// The caller holds s.mu.
func (s *server) sample(ctx context.Context) sample {
	var first *probe
	for _, api := range s.snapshot.APIs() {
		if _, open := s.fronts[api.ID]; !open || api.Kind == tenants.WebSocket {
			continue
		}
		for _, t := range s.snapshot.Tenants() {
			if t.Status != tenants.Active {
				continue
			}
			for _, route := range api.Routes {
				if route.Method != "GET" || strings.Contains(route.Path, "{") {
					continue
				}
				for _, claims := range guesses() {
					p := &probe{api, t, route, claims}
					if first == nil {
						first = p
					}
					if s.allows(ctx, p) {
						return sample{s.curl(p), "which is allowed"}
					}
				}
			}
		}
	}
	if first == nil {
		return sample{}
	}
	return sample{s.curl(first), "which your rules deny unless the token has the claims that they ask for"}
}

// probe is a request that might be allowed.
type probe struct {
	api    tenants.API
	tenant tenants.Tenant
	route  tenants.Route
	claims map[string]any
}

// allows asks the rules about a probe, without a token and without a gateway.
func (s *server) allows(ctx context.Context, p *probe) bool {
	platform, err := s.snapshot.Platform(ctx)
	if err != nil {
		return false
	}
	policy, err := s.local.authorizer.Policies.Load(ctx, p.tenant.ID, platform, p.tenant.Revision)
	if err != nil {
		return false
	}
	req := engine.Request{
		Method: p.route.Method, Path: p.route.Path, Route: p.route.Path,
		Segments: strings.Split(p.route.Path[1:], "/"), SourceIP: "127.0.0.1",
		API: engine.Target{Kind: p.api.Kind, ID: p.api.ID, Stage: "local"},
	}
	caller := engine.Identity{Kind: engine.JWT, Subject: "alice", Claims: p.claims}
	if issuers := p.tenant.Identity.Providers; len(issuers) > 0 {
		caller.Issuer = issuers[0].Issuer
	}
	d, err := policy.Decide(ctx, engine.NewInput(req, p.api, p.tenant, caller), time.Now())
	return err == nil && d.Allow
}

// curl is the command for a probe, with a token where the development issuer can mint
// one.
func (s *server) curl(p *probe) string {
	token := "TOKEN"
	if s.issuer != nil {
		o := order{Tenant: p.tenant, APIs: s.snapshot.APIs(), Subject: "alice", Claims: p.claims, Now: time.Now(), TTL: time.Hour}
		if claims, err := o.claims(s.issuer); err == nil {
			if minted, err := s.issuer.Mint(claims); err == nil {
				token = minted
			}
		}
	}
	host, port, err := net.SplitHostPort(s.fronts[p.api.ID].address)
	if err != nil {
		return ""
	}
	var flags []string
	query := url.Values{}
	add := func(source tenants.Source, value string) {
		switch source.Kind {
		case "header":
			flags = append(flags, "-H "+quote(source.Name+": "+value))
		case "query":
			query.Set(source.Name, value)
		case "cookie":
			flags = append(flags, "-b "+quote(source.Name+"="+value))
		}
	}
	for _, selector := range p.api.Tenant {
		if selector.Kind != "host" && len(p.tenant.Selectors.Values) > 0 {
			add(selector, p.tenant.Selectors.Values[0])
			continue
		}
		hosts := p.tenant.Selectors.Hosts
		here := slices.IndexFunc(hosts, func(h string) bool { return strings.HasSuffix(h, ".localhost") })
		switch {
		case selector.Kind != "host" || len(hosts) == 0:
		case here >= 0 && host == "127.0.0.1":
			// curl and browsers know without asking that *.localhost is this machine.
			host = hosts[here]
		default:
			flags = append(flags, "-H "+quote("Host: "+hosts[0]))
		}
	}
	if p.api.Credential.Name == "authorization" {
		token = "Bearer " + token
	}
	add(p.api.Credential, token)
	target := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: p.route.Path, RawQuery: query.Encode()}
	return fmt.Sprintf("curl -i %s %s", strings.Join(flags, " "), quote(target.String()))
}

// quote makes one word of a text for a POSIX shell.
func quote(text string) string {
	if strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=", r)
	}) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
