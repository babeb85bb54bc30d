package identity

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// jwtCase is one entry of testdata/identity/jwt.yaml, which explains the fields.
type jwtCase struct {
	Name       string                    `yaml:"name"`
	Alg        string                    `yaml:"alg"`
	Sign       string                    `yaml:"sign"`
	Key        string                    `yaml:"key"`
	Header     map[string]any            `yaml:"header"`
	HeaderText string                    `yaml:"header_text"`
	Claims     map[string]any            `yaml:"claims"`
	Raw        map[string]string         `yaml:"raw"`
	At         map[string]string         `yaml:"at"`
	Without    []string                  `yaml:"without"`
	Payload    string                    `yaml:"payload"`
	Form       string                    `yaml:"form"`
	Set        *[]string                 `yaml:"set"`
	Keys       map[string]map[string]any `yaml:"keys"`
	Provider   struct {
		Issuer     *string        `yaml:"issuer"`
		Algorithms *[]string      `yaml:"algorithms"`
		Audiences  *[]string      `yaml:"audiences"`
		Leeway     time.Duration  `yaml:"leeway"`
		Claims     map[string]any `yaml:"claims"`
	} `yaml:"provider"`
	Want   string    `yaml:"want"`
	Scopes *[]string `yaml:"scopes"`
}

// loadCases reads a case file, and fails on one without cases or with a name twice.
func loadCases[T any](t testing.TB, file string, name func(T) string) []T {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "identity", file))
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	decoder.KnownFields(true)
	if err := decoder.Decode(&cases); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if n := name(c); n == "" || seen[n] {
			t.Fatalf("%s: the name %q is empty or there twice", file, n)
		} else {
			seen[n] = true
		}
	}
	return cases
}

func TestVerifyCases(t *testing.T) {
	t.Parallel()
	for _, tt := range loadCases(t, "jwt.yaml", func(c jwtCase) string { return c.Name }) {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			v := offline(t, Config{})
			identity, err := verify(t, v, tenantOf(tt.provider()), tt.token(t))
			if code(err) == "trouble" {
				tt.Want = strings.Replace(tt.Want, CodeProvider, "trouble", 1)
			}
			if got := code(err); got != strings.TrimSuffix(tt.Want, "ok") {
				t.Fatalf("got %q, want %q (%v)", got, tt.Want, err)
			}
			if err != nil {
				return
			}
			if identity.Issuer != issuer {
				t.Errorf("issuer %q", identity.Issuer)
			}
			if tt.Scopes != nil {
				if diff := cmp.Diff(*tt.Scopes, identity.Scopes, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("scopes (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// offline returns a Verifier for which any network call fails the test.
func offline(t testing.TB, config Config) *Verifier {
	t.Helper()
	v := New(config)
	v.keys.fetcher.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a network call to %s", r.URL)
		return nil, http.ErrHandlerTimeout
	})
	return v
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c jwtCase) token(t testing.TB) string {
	t.Helper()
	m := minted{alg: c.Alg, signAlg: c.Sign, key: c.Key, headerText: c.HeaderText, header: members{}, claims: members{}}
	for name, v := range c.Header {
		m.header[name] = v
	}
	for name, v := range c.Claims {
		m.claims[name] = v
	}
	for name, text := range c.Raw {
		m.claims[name] = json.RawMessage(text)
	}
	for name, seconds := range c.At {
		m.claims[name] = json.RawMessage(fromNow(t, seconds))
	}
	for _, name := range c.Without {
		if member, ok := strings.CutPrefix(name, "header."); ok {
			m.header[member] = absent
		} else {
			m.claims[strings.TrimPrefix(name, "claims.")] = absent
		}
	}
	m.payload = os.Expand(c.Payload, func(name string) string {
		return strings.Trim(string(must(json.Marshal(claims()[name]))), `"`)
	})
	token := m.token()
	if c.Form == "" {
		return token
	}
	parts := strings.Split(token, ".")
	return strings.NewReplacer("{h}", parts[0], "{p}", parts[1], "{s}", parts[2]).Replace(c.Form)
}

// fromNow writes the instant that is so many seconds from now as an exact decimal.
func fromNow(t testing.TB, seconds string) string {
	t.Helper()
	r, ok := new(big.Rat).SetString(seconds)
	if !ok {
		t.Fatalf("%q is not a number of seconds", seconds)
	}
	return r.Add(r, new(big.Rat).SetInt64(now.Unix())).FloatString(9)
}

func (c jwtCase) provider() (p tenants.Provider) {
	p = provider()
	p.Leeway, p.Claims = c.Provider.Leeway, c.Provider.Claims
	if c.Provider.Issuer != nil {
		p.Issuer = *c.Provider.Issuer
	}
	if c.Provider.Algorithms != nil {
		p.Algorithms = *c.Provider.Algorithms
	}
	if c.Provider.Audiences != nil {
		p.Audiences = *c.Provider.Audiences
	}
	names := []string{"rsa", "p256", "p384", "p521", "ed25519"}
	if c.Set != nil {
		names = *c.Set
	}
	var keys []members
	for _, name := range names {
		keys = append(keys, publicJWK(name).with(c.Keys[name]))
	}
	p.JWKS.Inline = json.RawMessage(jwks(keys...))
	return p
}
