package devissuer_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"regent/cmd/internal/devissuer"
	"regent/tenants"
)

var (
	issued = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice  = devissuer.Claims{
		Issuer:   "http://127.0.0.1:9000/acme",
		Subject:  "alice",
		Audience: []string{"https://api.acme.example"},
		IssuedAt: issued,
		Expires:  issued.Add(time.Hour),
		Extra:    map[string]any{"tenant_id": "acme", "roles": []string{"viewer"}},
	}
)

func newIssuer(t testing.TB) *devissuer.Issuer {
	t.Helper()
	is, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestMint verifies a token with another implementation, from the public key set
// alone, and looks at what it says.
func TestMint(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	token, err := is.Mint(alice)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.Parse(is.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	key, ok := set.LookupKeyID(is.KeyID())
	if !ok || set.Len() != 1 {
		t.Fatalf("key set %s has not just the key %s", is.JWKS(), is.KeyID())
	}
	payload, err := jws.Verify([]byte(token), jws.WithKey(jwa.ES256, key), jws.WithCompact())
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if id, _ := claims["jti"].(string); id == "" {
		t.Error("no jti")
	}
	delete(claims, "jti")
	want := map[string]any{
		"iss": "http://127.0.0.1:9000/acme", "sub": "alice", "aud": []any{"https://api.acme.example"},
		"iat": float64(issued.Unix()), "exp": float64(issued.Unix() + 3600),
		"tenant_id": "acme", "roles": []any{"viewer"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	rawHeader, _, _ := strings.Cut(token, ".")
	header, err := base64.RawURLEncoding.Strict().DecodeString(rawHeader)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, is.KeyID()); string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*devissuer.Claims)
		want   string
	}{
		{"no issuer", func(c *devissuer.Claims) { c.Issuer = "" }, "issuer is empty"},
		{"no subject", func(c *devissuer.Claims) { c.Subject = "" }, "subject is empty"},
		{"no audience", func(c *devissuer.Claims) { c.Audience = nil }, "audience is empty"},
		{"empty audience", func(c *devissuer.Claims) { c.Audience = []string{""} }, "audience is empty"},
		{"no issued-at", func(c *devissuer.Claims) { c.IssuedAt = time.Time{} }, "both required"},
		{"no expiry", func(c *devissuer.Claims) { c.Expires = time.Time{} }, "both required"},
		{"expires first", func(c *devissuer.Claims) { c.Expires = c.IssuedAt }, "not after issued-at"},
		{"extra replaces exp", func(c *devissuer.Claims) { c.Extra = map[string]any{"exp": 1} }, `claim "exp" is set by its own field`},
		{"extra without JSON form", func(c *devissuer.Claims) { c.Extra = map[string]any{"f": func() {}} }, "encode claims"},
		{"too long", func(c *devissuer.Claims) { c.Extra = map[string]any{"x": strings.Repeat("x", devissuer.MaxToken)} }, "leave out some claims"},
	}
	is := newIssuer(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := alice
			tt.change(&c)
			token, err := is.Mint(c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || token != "" {
				t.Errorf("Mint() = %q, %v; want error with %q", token, err, tt.want)
			}
		})
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	tenant := tenants.Tenant{
		ID: "acme", Status: tenants.Active,
		Identity: tenants.Identity{Providers: []tenants.Provider{is.Provider(alice.Issuer, alice.Audience...)}},
	}
	if err := tenant.Validate(); err != nil {
		t.Errorf("the provider does not validate: %v", err)
	}
	if keys := string(tenant.Identity.Providers[0].JWKS.Inline); strings.Contains(keys, `"d"`) {
		t.Errorf("the provider has the private key: %s", keys)
	}
}

// TestNoKeyInText prints an issuer in every way that could end in a log.
func TestNoKeyInText(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	want := "devissuer(" + is.KeyID() + ")"
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, is); got != want {
			t.Errorf("%s prints %s, want %s", format, got, want)
		}
	}
	if got, err := json.Marshal([]any{is}); err != nil || string(got) != "[{}]" {
		t.Errorf("JSON is %s, %v; want [{}]", got, err)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	tests := []struct {
		name, issuer, method, path string
		status                     int
		want                       string
	}{
		{"discovery", "http://127.0.0.1:9000", "GET", "/.well-known/openid-configuration", 200,
			`{"id_token_signing_alg_values_supported":["ES256"],"issuer":"http://127.0.0.1:9000","jwks_uri":"http://127.0.0.1:9000/jwks.json","response_types_supported":["none"],"subject_types_supported":["public"]}`},
		{"key set", "http://127.0.0.1:9000", "GET", "/jwks.json", 200, string(is.JWKS())},
		{"issuer with a path", "http://127.0.0.1:9000/acme", "GET", "/acme/jwks.json", 200, string(is.JWKS())},
		{"another issuer's path", "http://127.0.0.1:9000/acme", "GET", "/jwks.json", 404, "404 page not found\n"},
		{"nothing else", "http://127.0.0.1:9000", "GET", "/", 404, "404 page not found\n"},
		{"read only", "http://127.0.0.1:9000", "POST", "/jwks.json", 405, "method not allowed\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, err := is.Handler(tt.issuer)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, http.NoBody))
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("%s %s: %d %s\nwant %d %s", tt.method, tt.path, w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	for _, issuer := range []string{"", "idp", "ftp://a", "http://a/", "http://a?x=1", "http://a#f", "http://u:p@a", "http://%"} {
		if h, err := is.Handler(issuer); err == nil || h != nil {
			t.Errorf("issuer %q is taken", issuer)
		}
	}
}
