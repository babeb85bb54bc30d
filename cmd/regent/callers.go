package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"regent/cmd/internal/devissuer"
	"regent/engine"
	"regent/engine/identity"
	"regent/tenants"
)

// callersFile is where a tenant's sample callers are, beside its tenant.yaml; at the
// workspace's root it is for every tenant that has none of its own.
const callersFile = "callers.yaml"

// sampleCaller is somebody whom rules are judged for without a request. It is no
// credential: a token with these claims still has to come from a provider.
type sampleCaller struct {
	// Name is how reports call the caller; the subject if empty.
	Name string `yaml:"name"`
	// Anonymous callers have no token, and nothing but a name and headers.
	Anonymous bool   `yaml:"anonymous"`
	Subject   string `yaml:"subject"`
	// Issuer is one of the tenant's; empty means the first.
	Issuer string `yaml:"issuer"`
	// Scopes are put in the claim scope.
	Scopes []string       `yaml:"scopes"`
	Claims map[string]any `yaml:"claims"`
	// Headers and Query are the values of identity sources other than the token and
	// the tenant.
	Headers map[string]string `yaml:"headers"`
	Query   map[string]string `yaml:"query"`
	// SourceIP is the value of context:sourceIp.
	SourceIP string `yaml:"source_ip"`
}

// sampleCallers are the callers of one tenant.
type sampleCallers struct {
	// File is where they were read, for messages; empty if nobody wrote any, and then
	// there is one caller of whom nothing is known.
	File    string
	Callers []sampleCaller
}

// samples finds a tenant's sample callers.
type samples func(tenant string) (sampleCallers, error)

// samplesAt are the sample callers of the workspace at a directory.
func samplesAt(path string) samples {
	return func(tenant string) (sampleCallers, error) { return callersOf(path, "", tenant) }
}

// nobody is the caller to judge rules for when there are no samples.
func nobody() sampleCallers {
	return sampleCallers{Callers: []sampleCaller{{Name: "a caller without claims", Subject: "somebody"}}}
}

// callersOf reads a tenant's sample callers from a file, or where file is empty from
// the workspace at path.
func callersOf(path, file, tenant string) (sampleCallers, error) {
	places := []string{filepath.Join(path, "tenants", tenant, callersFile), filepath.Join(path, callersFile)}
	if file != "" {
		places = []string{file}
	}
	for _, place := range places {
		text, err := os.ReadFile(place)
		if errors.Is(err, fs.ErrNotExist) && file == "" {
			continue
		}
		if err != nil {
			return sampleCallers{}, fmt.Errorf("read sample callers: %w", err)
		}
		callers, err := parseCallers(text)
		if err != nil {
			return sampleCallers{}, &failure{err: fmt.Errorf("%s: %w", place, err), hints: []string{
				"it is a list callers: with name, subject, issuer, scopes, claims, anonymous, headers, query and source_ip",
			}}
		}
		return sampleCallers{place, callers}, nil
	}
	return nobody(), nil
}

// unknownField is how yaml tells of a key that a struct does not have.
var unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)

func parseCallers(text []byte) ([]sampleCaller, error) {
	var doc struct {
		Callers []sampleCaller `yaml:"callers"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	err := dec.Decode(&doc)
	var wrong *yaml.TypeError
	switch {
	case errors.As(err, &wrong):
		return nil, errors.New(unknownField.ReplaceAllString(strings.Join(wrong.Errors, "; "), `unknown key "$1"`))
	case err != nil && !errors.Is(err, io.EOF):
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	case len(doc.Callers) == 0:
		return nil, errors.New("there are no callers in it")
	}
	names := map[string]bool{}
	for i := range doc.Callers {
		if err := doc.Callers[i].complete(); err != nil {
			return nil, fmt.Errorf("callers[%d]: %w", i, err)
		}
		if name := doc.Callers[i].Name; names[name] {
			return nil, fmt.Errorf("callers[%d]: there is another caller called %q", i, name)
		}
		names[doc.Callers[i].Name] = true
	}
	return doc.Callers, nil
}

// complete sets what was left out, and refuses contradictions.
func (s *sampleCaller) complete() error {
	if s.Anonymous {
		if s.Subject != "" || s.Issuer != "" || len(s.Claims) > 0 || len(s.Scopes) > 0 {
			return errors.New("an anonymous caller has no subject, issuer, claims or scopes")
		}
		if s.Name == "" {
			s.Name = "anonymous"
		}
		return nil
	}
	if s.Subject == "" {
		return errors.New("subject is required, unless anonymous is true")
	}
	if s.Name == "" {
		s.Name = s.Subject
	}
	if _, twice := s.Claims["scope"]; twice && len(s.Scopes) > 0 {
		return errors.New("scopes contradicts the claim scope")
	}
	headers := map[string]string{}
	for name, value := range s.Headers {
		headers[strings.ToLower(name)] = value
	}
	s.Headers = headers
	return nil
}

// prover makes identities of sample callers: it mints a token for each with a key of
// its own and verifies it as the function does, so that rules see what they would see.
type prover struct {
	issuer   *devissuer.Issuer
	verifier *identity.Verifier
	now      time.Time
}

func newProver(now time.Time) (*prover, error) {
	issuer, err := devissuer.New()
	if err != nil {
		return nil, err
	}
	return &prover{issuer, identity.New(identity.Config{}), now}, nil
}

// prove returns the identity of a caller of a tenant. apis say by which claims they
// recognise the tenant.
func (p *prover) prove(ctx context.Context, s sampleCaller, t tenants.Tenant, apis []tenants.API) (engine.Identity, error) {
	if s.Anonymous {
		return engine.Identity{Kind: engine.Anonymous}, nil
	}
	token, err := p.mint(s, t, apis)
	if err != nil {
		return engine.Identity{}, err
	}
	id, err := p.verifier.Verify(ctx, vouched(t, p.issuer), token, p.now)
	var no *engine.Unauthorized
	if errors.As(err, &no) {
		err = fmt.Errorf("a token with these claims would be refused: %s: %s", no.Code, no.Detail)
	}
	return id, err
}

// mint makes a token of a caller, as regent token does.
func (p *prover) mint(s sampleCaller, t tenants.Tenant, apis []tenants.API) (string, error) {
	claims := maps.Clone(s.Claims)
	if len(s.Scopes) > 0 {
		if claims == nil {
			claims = map[string]any{}
		}
		claims["scope"] = strings.Join(s.Scopes, " ")
	}
	o := order{Tenant: t, APIs: apis, Subject: s.Subject, Issuer: s.Issuer, Claims: claims, Now: p.now, TTL: time.Hour}
	content, err := o.claims(p.issuer)
	if err != nil {
		return "", err
	}
	return p.issuer.Mint(content)
}

// reaches reports whether requests of a caller get as far as the rules. API Gateway
// answers others with 401.
func (s sampleCaller) reaches(api tenants.API, t tenants.Tenant) bool {
	byToken := !slices.ContainsFunc(api.Tenant, func(sel tenants.Source) bool { return sel.Kind != "issuer" && sel.Kind != "claim" })
	return !s.Anonymous || t.Identity.Anonymous && !byToken && !slices.Contains(api.Cache.Identity, api.Credential)
}

// recognises reports whether an API can recognise a tenant at all.
func recognises(api tenants.API, t tenants.Tenant) bool {
	return slices.ContainsFunc(api.Tenant, func(sel tenants.Source) bool {
		switch sel.Kind {
		case "host":
			return len(t.Selectors.Hosts) > 0
		case "issuer":
			return len(t.Selectors.Issuers) > 0
		default:
			return len(t.Selectors.Values) > 0
		}
	})
}
