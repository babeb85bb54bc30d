package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/identity"
	"regent/tenants"
)

const audience = "https://api.acme.example"

// provider is the Node.js process.
type provider struct {
	issuer  string
	process *exec.Cmd
}

// start runs the provider; port "0" takes a free one.
func start(t *testing.T, port string) *provider {
	t.Helper()
	if _, err := os.Stat("node_modules/oidc-provider"); err != nil {
		t.Fatal("oidc-provider is not installed: run npm ci in engine/identity/interop")
	}
	p := &provider{process: exec.Command("node", "server.mjs", port)}
	stdout, err := p.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The process ends with this pipe: also where no cleanup runs, after a time-out.
	if _, err := p.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if issuer, ok := strings.CutPrefix(lines.Text(), "issuer "); ok {
			p.issuer = issuer
			return p
		}
	}
	t.Fatal("the provider did not start")
	return nil
}

func (p *provider) stop() {
	p.process.Process.Kill()
	p.process.Wait()
}

func secretOf(client string) string { return client + ": secret/+&%" }

// post sends a form as a client, and returns what the JSON answer has as access_token.
func (p *provider) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("machine", url.QueryEscape(secretOf("machine")))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s", path, response.Status)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	json.NewDecoder(response.Body).Decode(&answer) // revocation and rotation answer nothing
	return answer.AccessToken
}

// token has the provider issue a token: a JWT with alg, an opaque one without.
func (p *provider) token(t *testing.T, alg string) string {
	t.Helper()
	resource := audience
	if alg != "" {
		resource += "?alg=" + alg
	}
	token := p.post(t, "/token", url.Values{
		"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {"orders:read orders:write"},
	})
	if token == "" {
		t.Fatal("no token")
	}
	return token
}

func (p *provider) tenant() tenants.Tenant {
	return tenants.Tenant{ID: "acme", Status: tenants.Active, Identity: tenants.Identity{Providers: []tenants.Provider{
		{
			Issuer: p.issuer, Audiences: []string{audience}, Algorithms: []string{"RS256", "ES256", "EdDSA"},
			JWKS: tenants.KeySource{Discovery: true}, Claims: map[string]any{"org_id": "acme"},
		},
		{
			Introspection: p.issuer + "/token/introspection", ClientID: "gateway", ClientSecret: "env:ACME_SECRET",
			Audiences: []string{audience}, Claims: map[string]any{"client_id": "machine"},
		},
	}}}
}

func verifier(secret string) *identity.Verifier {
	return identity.New(identity.Config{
		AllowPrivate: true,
		Secret:       func(context.Context, string, string) (string, error) { return secret, nil },
	})
}

func code(err error) string {
	var refused *engine.Unauthorized
	var trouble *engine.Trouble
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.Code
	case errors.As(err, &trouble):
		return "trouble"
	default:
		return err.Error()
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	p := start(t, "0")
	v := verifier(secretOf("gateway"))
	for alg, kind := range map[string]engine.IdentityKind{"RS256": engine.JWT, "ES256": engine.JWT, "EdDSA": engine.JWT, "": engine.Opaque} {
		who, err := v.Verify(t.Context(), p.tenant(), p.token(t, alg), time.Now())
		if err != nil {
			t.Errorf("%q: %s: %v", alg, code(err), err)
			continue
		}
		if who.Kind != kind || strings.Join(who.Scopes, " ") != "orders:read orders:write" || who.Claims["org_id"] != "acme" {
			t.Errorf("%q: %+v", alg, who)
		}
		if kind == engine.JWT && who.Subject != "machine" {
			t.Errorf("%q: subject %q", alg, who.Subject)
		}
	}
	if _, err := v.Verify(t.Context(), p.tenant(), "no-such-token", time.Now()); code(err) != identity.CodeTokenInactive {
		t.Errorf("an unknown opaque token: %v", err)
	}
	if _, err := verifier("wrong").Verify(t.Context(), p.tenant(), p.token(t, ""), time.Now()); code(err) != "trouble" {
		t.Errorf("a wrong client secret: %v", err)
	}
}

// Both methods of client authentication, each with the right secret and a wrong one.
func TestAuthMethods(t *testing.T) {
	t.Parallel()
	p := start(t, "0")
	token := p.token(t, "")
	for _, tt := range []struct{ client, method, secret, want string }{
		{"gateway", "", secretOf("gateway"), ""},
		{"gateway", tenants.AuthBasic, secretOf("gateway"), ""},
		{"gateway", tenants.AuthBasic, secretOf("poster"), "trouble"},
		{"poster", tenants.AuthPost, secretOf("poster"), ""},
		{"poster", tenants.AuthPost, secretOf("gateway"), "trouble"},
	} {
		tenant := p.tenant()
		tenant.Identity.Providers[1].ClientID = tt.client
		tenant.Identity.Providers[1].AuthMethod = tt.method
		if _, err := verifier(tt.secret).Verify(t.Context(), tenant, token, time.Now()); code(err) != tt.want {
			t.Errorf("%s by %q: got %q (%v), want %q", tt.client, tt.method, code(err), err, tt.want)
		}
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	p := start(t, "0")
	v, token, now := verifier(secretOf("gateway")), p.token(t, ""), time.Now()
	if _, err := v.Verify(t.Context(), p.tenant(), token, now); err != nil {
		t.Fatal(err)
	}
	p.post(t, "/token/revocation", url.Values{"token": {token}})
	if _, err := v.Verify(t.Context(), p.tenant(), token, now.Add(time.Minute)); code(err) != identity.CodeTokenInactive {
		t.Errorf("a minute after its revocation: %v", err)
	}
}

// flow verifies a token again and again on several goroutines until stop is called,
// at instants that advance with each call. Every answer must be one of want.
func flow(t *testing.T, v *identity.Verifier, p *provider, token string, clock *atomic.Int64, want ...string) (stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	ended, tenant := make(chan struct{}), p.tenant()
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				_, err := v.Verify(context.Background(), tenant, token, time.Unix(0, clock.Load()))
				expected := false
				for _, w := range want {
					expected = expected || code(err) == w
				}
				if !expected {
					t.Errorf("in flow: %q: %v", code(err), err)
					return
				}
			}
		})
	}
	return func() { close(ended); wg.Wait() }
}

func TestRotationInFlow(t *testing.T) {
	t.Parallel()
	p := start(t, "0")
	v, old := verifier(secretOf("gateway")), p.token(t, "ES256")
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	verify := func(token string) string {
		_, err := v.Verify(t.Context(), p.tenant(), token, time.Unix(0, clock.Load()))
		return code(err)
	}
	if got := verify(old); got != "" {
		t.Fatal(got)
	}
	stop := flow(t, v, p, old, &clock, "", identity.CodeKeyUnknown)
	defer stop()
	p.post(t, "/rotate", nil)
	if got := verify(old); got != "" {
		t.Errorf("right after the rotation, the old key: %s", got)
	}
	clock.Add(int64(11 * time.Second)) // past the cool-down of unknown keys
	if got := verify(p.token(t, "ES256")); got != "" {
		t.Errorf("the new key: %s", got)
	}
	if got := verify(old); got != identity.CodeKeyUnknown {
		t.Errorf("the old key, gone from the set: %q", got)
	}
}

func TestRestartInFlow(t *testing.T) {
	t.Parallel()
	p := start(t, "0")
	v, old := verifier(secretOf("gateway")), p.token(t, "RS256")
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	if _, err := v.Verify(t.Context(), p.tenant(), old, time.Unix(0, clock.Load())); err != nil {
		t.Fatal(err)
	}
	stop := flow(t, v, p, old, &clock, "", identity.CodeKeyUnknown)
	defer stop()
	p.stop()
	clock.Add(int64(5 * time.Minute)) // within the soft age nobody notices
	if _, err := v.Verify(t.Context(), p.tenant(), old, time.Unix(0, clock.Load())); err != nil {
		t.Errorf("while the provider is down: %v", err)
	}
	address, err := url.Parse(p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	restarted := start(t, address.Port())
	token := restarted.token(t, "RS256")
	if _, err := v.Verify(t.Context(), restarted.tenant(), token, time.Unix(0, clock.Load())); err != nil {
		t.Errorf("a token of the restarted provider: %s: %v", code(err), err)
	}
}
