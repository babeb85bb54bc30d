package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/tenants"
)

// tokenFlags are the flags of `regent token`.
type tokenFlags struct {
	tenant, subject, issuer string
	claims                  []string
	audiences, scopes       []string
	ttl                     time.Duration
}

func (c *cli) tokenCommand() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use:   "token --tenant TENANT",
		Short: "Mint a development token that regent serve accepts",
		Long: `Mints a token as one of the tenant's providers would issue it, signed with the
workspace's development key (.regent/dev-key.json, made if there is none). Only
regent serve, and regent eval --dev-issuer, trust that key.

Issuer, audience and the claims that bind the token to the tenant are those that the
workspace asks for. The value of --claim is JSON if it is valid JSON, else a string.`,
		Example: `  regent token --tenant acme --sub alice --claim 'roles=["greeter"]'
  regent token --tenant globex --scope orders:read --scope orders:write
  regent token --tenant acme --ttl -1h    # has expired`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := c.location(cmd, nil)
			if err != nil {
				return err
			}
			claims, err := f.parse()
			if err != nil {
				return usage(cmd, err)
			}
			return c.token(path, f, claims)
		},
	}
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "whose caller the token is for (required)")
	cmd.Flags().StringVar(&f.subject, "sub", "alice", "the subject")
	cmd.Flags().StringVar(&f.issuer, "issuer", "", "one of the tenant's issuers (default the first)")
	cmd.Flags().StringArrayVar(&f.claims, "claim", nil, "a further claim, NAME=VALUE (repeatable)")
	cmd.Flags().StringArrayVar(&f.audiences, "aud", nil, "the audience (repeatable; default the provider's first)")
	cmd.Flags().StringArrayVar(&f.scopes, "scope", nil, "a scope (repeatable)")
	cmd.Flags().DurationVar(&f.ttl, "ttl", time.Hour, "how long the token is valid; a negative one makes a token that has expired")
	c.completeFlag(cmd, "tenant", c.tenantIDs)
	return cmd
}

// parse reads the claims and scopes.
func (f tokenFlags) parse() (map[string]any, error) {
	if f.tenant == "" {
		return nil, errors.New("--tenant is required")
	}
	claims := map[string]any{}
	for _, text := range f.claims {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--claim %q is not NAME=VALUE", text)
		}
		if _, twice := claims[name]; twice {
			return nil, fmt.Errorf("--claim %s is given twice: write several values as a JSON list", name)
		}
		claims[name] = jsonOrText(value)
	}
	if len(f.scopes) > 0 {
		if _, twice := claims["scope"]; twice {
			return nil, errors.New("--scope contradicts --claim scope")
		}
		claims["scope"] = strings.Join(f.scopes, " ")
	}
	return claims, nil
}

// jsonOrText reads a value as JSON, or takes it as it is.
func jsonOrText(text string) any {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return text
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return text
	}
	return v
}

func (c *cli) token(path string, f tokenFlags, claims map[string]any) error {
	store, err := openWorkspace(path)
	if err != nil {
		return err
	}
	tenant, err := tenantNamed(store.Snapshot(), f.tenant)
	if err != nil {
		return err
	}
	issuer, err := openDevIssuer(path)
	if err != nil {
		return err
	}
	o := order{
		Tenant: tenant, APIs: store.Snapshot().APIs(), Subject: f.subject, Issuer: f.issuer,
		Audiences: f.audiences, Claims: claims, Now: time.Now(), TTL: f.ttl,
	}
	content, err := o.claims(issuer)
	if err != nil {
		return err
	}
	token, err := issuer.Mint(content)
	if err != nil {
		return err
	}
	if tenant.Status != tenants.Active {
		c.warn("tenant %s is %s: its requests are denied whatever the token says", tenant.ID, tenant.Status)
	}
	if !c.json {
		c.out.line(token)
		return nil
	}
	return c.out.json(struct {
		Token    string         `json:"token"`
		Tenant   string         `json:"tenant"`
		Issuer   string         `json:"issuer"`
		Subject  string         `json:"subject"`
		Audience []string       `json:"audience"`
		IssuedAt time.Time      `json:"issued_at"`
		Expires  time.Time      `json:"expires"`
		Claims   map[string]any `json:"claims"`
	}{
		token, tenant.ID, content.Issuer, content.Subject, content.Audience,
		content.IssuedAt.UTC().Truncate(time.Second), content.Expires.UTC().Truncate(time.Second), content.Extra,
	})
}
