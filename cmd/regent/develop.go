package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/tenants"
)

// privateDir is the directory of a workspace for what must not leave the machine.
const privateDir = ".regent"

// keyFile is the development key of a workspace.
func keyFile(workspace string) string { return filepath.Join(workspace, privateDir, "dev-key.json") }

// openDevIssuer returns the workspace's development issuer. It makes the key if there
// is none, in a directory that Git ignores.
func openDevIssuer(workspace string) (*devissuer.Issuer, error) {
	private := filepath.Join(workspace, privateDir)
	if err := os.MkdirAll(private, 0o700); err != nil {
		return nil, fmt.Errorf("make development key: %w", err)
	}
	// The key comes second, so that there is no moment at which it could be committed.
	f, err := os.OpenFile(filepath.Join(private, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.WriteString("# The development key is this machine's own.\n*\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make development key: %w", err)
	}
	return devissuer.Open(keyFile(workspace))
}

// devStore is a store in which the development issuer stands in for the providers of
// every tenant: tokens look as the providers' do, and are signed with the development
// key. Nothing is fetched, and the providers' own tokens do not count. Introspection
// endpoints stay as they are.
type devStore struct {
	tenants.Store
	issuer *devissuer.Issuer
}

// Tenant returns the tenant with the development issuer in place of its providers.
func (s devStore) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	t, err := s.Store.Tenant(ctx, id)
	if err != nil {
		return tenants.Tenant{}, err
	}
	return vouched(t, s.issuer), nil
}

// vouched returns a copy of the tenant whose callers the development issuer vouches
// for. What keeps tenants apart stays: issuer, audiences and binding claims.
func vouched(t tenants.Tenant, issuer *devissuer.Issuer) tenants.Tenant {
	t.Identity.Providers = slices.Clone(t.Identity.Providers)
	stands := false
	for i, p := range t.Identity.Providers {
		if p.Introspection != "" {
			continue
		}
		own := issuer.Provider(p.Issuer, p.Audiences...)
		p.Algorithms, p.JWKS = own.Algorithms, own.JWKS
		t.Identity.Providers[i] = p
		stands = true
	}
	if !stands {
		// The name is reserved (RFC 6761), so that it can be nobody's real issuer.
		own := issuer.Provider("https://regent.invalid/tenants/"+t.ID, "regent-development")
		t.Identity.Providers = append(t.Identity.Providers, own)
	}
	return t
}

// order is a token to be minted. Tenant, Subject, Now and TTL are required.
type order struct {
	// Tenant is whose caller the token is for. It need not be vouched for yet.
	Tenant tenants.Tenant
	// APIs say by which claims they recognise a tenant.
	APIs    []tenants.API
	Subject string
	// Issuer is one of the tenant's providers; empty means the first.
	Issuer string
	// Audiences replace the provider's first one.
	Audiences []string
	// Claims are added, and replace what the provider and the APIs ask for.
	Claims map[string]any
	// Now is when the token is issued, and TTL how long it is valid. One that is not
	// positive makes a token that has expired.
	Now time.Time
	TTL time.Duration
}

// claims works out what the token says: what the tenant's provider and the APIs ask
// for, and what was ordered.
func (o order) claims(issuer *devissuer.Issuer) (devissuer.Claims, error) {
	p, err := o.provider(issuer)
	if err != nil {
		return devissuer.Claims{}, err
	}
	extra := map[string]any{}
	for _, api := range o.APIs {
		for _, s := range api.Tenant {
			if s.Kind == "claim" && len(o.Tenant.Selectors.Values) > 0 {
				extra[s.Name] = o.Tenant.Selectors.Values[0]
			}
		}
	}
	maps.Copy(extra, p.Claims)
	maps.Copy(extra, o.Claims)
	c := devissuer.Claims{
		Issuer: p.Issuer, Subject: o.Subject, Audience: o.Audiences,
		IssuedAt: o.Now, Expires: o.Now.Add(o.TTL), Extra: extra,
	}
	if len(c.Audience) == 0 {
		c.Audience = p.Audiences[:1]
	}
	if o.TTL <= 0 {
		c.IssuedAt = c.Expires.Add(-time.Hour)
	}
	return c, nil
}

func (o order) provider(issuer *devissuer.Issuer) (tenants.Provider, error) {
	var known []string
	for _, p := range vouched(o.Tenant, issuer).Identity.Providers {
		if p.Introspection != "" {
			continue
		}
		if o.Issuer == "" || o.Issuer == p.Issuer {
			return p, nil
		}
		known = append(known, p.Issuer)
	}
	return tenants.Provider{}, &failure{
		err:   fmt.Errorf("tenant %q has no provider %q", o.Tenant.ID, o.Issuer),
		hints: []string{"it has " + strings.Join(known, ", ")},
	}
}
