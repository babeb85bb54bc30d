package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

const clientSecret = "p@ss:w ö&rd" // not what ReadSecret takes; the tests hand it over

// asking returns a Verifier with a given secret and a clock that stands still.
func asking() *Verifier {
	return newVerifier(Config{
		AllowPrivate: true,
		Secret: func(_ context.Context, tenant, reference string) (string, error) {
			if tenant == "" || reference != "env:ACME_SECRET" {
				return "", fmt.Errorf("asked for %q of %q", reference, tenant)
			}
			return clientSecret, nil
		},
	}, clock{func() time.Duration { return 0 }})
}

func endpoint(s *idp) tenants.Provider {
	return tenants.Provider{Introspection: s.URL + "/introspect", ClientID: "gate way", ClientSecret: "env:ACME_SECRET"}
}

// said is an introspection response for an active token.
func said(changes members) string {
	return members{"active": true, "sub": "alice", "scope": "a b", "client_id": "app", "exp": now.Unix() + 3600}.with(changes).json()
}

const opaque = "2YotnFZFEjr1zCsicMWpAA.with~every-kind_of/char+and=="

func TestIntrospection(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.handle("/introspect", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != url.QueryEscape("gate way") || secret != url.QueryEscape(clientSecret) {
			t.Errorf("authenticated as %q, %q", id, secret)
		}
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s, %v", r.Method, err)
		}
		want := url.Values{"token": {opaque}, "token_type_hint": {"access_token"}}
		if diff := cmp.Diff(want, r.PostForm); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
		if r.URL.RawQuery != "" || r.Header.Get("Idempotency-Key") != "" {
			t.Errorf("query %q, headers %v", r.URL.RawQuery, r.Header)
		}
		answerJSON(said(nil))(w, r)
	})
	got, err := verify(t, asking(), tenantOf(endpoint(s)), opaque)
	if err != nil {
		t.Fatal(describe(err))
	}
	claims := must(decodeObject([]byte(said(nil)), 8))
	want := engine.Identity{
		Kind: engine.Opaque, Subject: "alice", Issuer: s.URL + "/introspect", Scopes: []string{"a", "b"},
		Claims: claims, Expires: now.Add(maxYes),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// introspectionCase is one entry of testdata/identity/introspection.yaml.
type introspectionCase struct {
	Name string `yaml:"name"`
	// Answer is the response's body, or else Said the changes to the base response
	// and At its claims as seconds from now.
	Answer   string            `yaml:"answer"`
	Said     map[string]any    `yaml:"said"`
	At       map[string]string `yaml:"at"`
	Without  []string          `yaml:"without"`
	Status   int               `yaml:"status"`
	Type     string            `yaml:"type"`
	Provider struct {
		Issuer    string         `yaml:"issuer"`
		Audiences []string       `yaml:"audiences"`
		Claims    map[string]any `yaml:"claims"`
	} `yaml:"provider"`
	Want string `yaml:"want"`
}

func TestIntrospectionCases(t *testing.T) { // INT-01, INT-02, INT-05
	t.Parallel()
	for _, tt := range loadCases(t, "introspection.yaml", func(c introspectionCase) string { return c.Name }) {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			changes := members(tt.Said).with(nil)
			if changes == nil {
				changes = members{}
			}
			for name, seconds := range tt.At {
				changes[name] = inline(fromNow(t, seconds))
			}
			for _, name := range tt.Without {
				changes[name] = absent
			}
			body := tt.Answer
			if body == "" {
				body = said(changes)
			}
			s := newIDP(t)
			s.handle("/introspect", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if tt.Type != "" {
					w.Header().Set("Content-Type", tt.Type)
				}
				if tt.Status != 0 {
					w.WriteHeader(tt.Status)
				}
				large := strings.NewReplacer("$large", strings.Repeat("x", 64<<10), "$spaces", strings.Repeat(" ", 64<<10))
				fmt.Fprint(w, large.Replace(body))
			})
			p := endpoint(s)
			p.Issuer, p.Audiences, p.Claims = tt.Provider.Issuer, tt.Provider.Audiences, tt.Provider.Claims
			v := asking()
			for range 2 { // the second may come from the cache, and must be the same
				identity, err := verify(t, v, tenantOf(p), opaque)
				if got := code(err); got != strings.TrimSuffix(tt.Want, "ok") {
					t.Fatalf("got %q (%v), want %q", got, err, tt.Want)
				}
				if err != nil && strings.Contains(describe(err), clientSecret) {
					t.Errorf("the secret is in %q", describe(err))
				}
				if err == nil && p.Issuer != "" && identity.Issuer != p.Issuer {
					t.Errorf("issuer %q", identity.Issuer)
				}
			}
		})
	}
}

func TestRevocation(t *testing.T) { // INT-03
	t.Parallel()
	s := newIDP(t)
	v, tenant := asking(), tenantOf(endpoint(s))
	s.json("/introspect", said(nil))
	at := func(after time.Duration, want string, requests int) {
		t.Helper()
		if _, err := verifyAt(t, v, tenant, opaque, now.Add(after)); code(err) != want {
			t.Errorf("after %s: %v, want %q", after, err, want)
		}
		hits(t, s, "/introspect", requests)
	}
	at(0, "", 1)
	s.json("/introspect", `{"active":false}`)
	at(59*time.Second, "", 1)
	at(60*time.Second, CodeTokenInactive, 2)
	at(64*time.Second, CodeTokenInactive, 2)
	s.json("/introspect", said(members{"exp": now.Unix() + 75}))
	at(65*time.Second, "", 3)
	at(74*time.Second, "", 3)
	at(75*time.Second, "", 4) // past exp it is asked anew; the leeway is for the clocks
	at(105*time.Second, CodeTokenExpired, 5)
}

func TestIntrospectionRate(t *testing.T) { // INT-04
	t.Parallel()
	s := newIDP(t)
	s.json("/introspect", said(nil))
	v, tenant := asking(), tenantOf(endpoint(s))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 10 {
				if _, err := verify(t, v, tenant, opaque); err != nil {
					t.Error(describe(err))
				}
			}
		})
	}
	wg.Wait()
	hits(t, s, "/introspect", 1)
}

// An endpoint that does not answer is left alone for a second, and nobody is let in.
func TestIntrospectionDown(t *testing.T) { // INT-05
	t.Parallel()
	s := newIDP(t)
	arrived, _ := s.hang(t, "/introspect")
	v, tenant := asking(), tenantOf(endpoint(s))
	for i := range 5 {
		token := fmt.Sprint("token", i)
		if _, err := verify(t, v, tenant, token); code(err) != "trouble" {
			t.Errorf("got %v", err)
		}
	}
	<-arrived
	hits(t, s, "/introspect", 1)
	// Another tenant with the same endpoint has its own state.
	s.json("/introspect", said(nil))
	other := tenant
	other.ID = "other"
	if _, err := verify(t, v, other, opaque); err != nil {
		t.Error(describe(err))
	}
	if _, err := verifyAt(t, v, tenant, opaque, now.Add(3*time.Second)); err != nil {
		t.Error(describe(err))
	}
}

func TestRetryAfter(t *testing.T) { // INT-05
	t.Parallel()
	s := newIDP(t)
	s.handle("/introspect", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	v, tenant := asking(), tenantOf(endpoint(s))
	for after, requests := range []int{1, 1, 2} {
		if _, err := verifyAt(t, v, tenant, opaque, now.Add(time.Duration(after)*10*time.Second)); code(err) != "trouble" {
			t.Errorf("got %v", err)
		}
		hits(t, s, "/introspect", requests)
	}
}

// A refusal of one token, 400, does not keep others from being asked about.
func TestBadRequestStartsNoPause(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	v, tenant := asking(), tenantOf(endpoint(s))
	s.status("/introspect", 400)
	if _, err := verify(t, v, tenant, "odd"); code(err) != "trouble" {
		t.Errorf("got %v", err)
	}
	s.json("/introspect", said(nil))
	if _, err := verify(t, v, tenant, opaque); err != nil {
		t.Error(describe(err))
	}
}

func TestIntrospectionRedirect(t *testing.T) { // INT-06
	t.Parallel()
	s, thief := newIDP(t), newIDP(t)
	thief.json("/introspect", said(nil))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s.handle("/introspect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+"/introspect", status)
		})
		if _, err := verify(t, asking(), tenantOf(endpoint(s)), opaque); code(err) != "trouble" {
			t.Errorf("%d: got %v", status, err)
		}
	}
	hits(t, thief, "/introspect", 0)
}

func TestTokensThatAreNotSent(t *testing.T) { // INT-07
	t.Parallel()
	s := newIDP(t)
	s.json("/introspect", said(nil))
	for name, tt := range map[string]struct{ token, want string }{
		"newline":        {"abc\ndef", CodeTokenMalformed},
		"form":           {"abc&x=y", CodeTokenMalformed},
		"equals inside":  {"ab=c", CodeTokenMalformed},
		"only equals":    {"==", CodeTokenMalformed},
		"space":          {"abc def", CodeTokenMalformed},
		"percent":        {"%41", CodeTokenMalformed},
		"NUL":            {"abc\x00", CodeTokenMalformed},
		"not ASCII":      {"äbc", CodeTokenMalformed},
		"empty":          {"", CodeTokenMalformed},
		"JSON":           {`{"a":1}`, CodeTokenMalformed},
		"9 kB":           {strings.Repeat("a", 9<<10), CodeTokenTooLong},
		"JWT":            {minted{}.token(), CodeIssuerUnknown},
		"JWT malformed":  {"eyJhbGciOiJub25lIn0.e30.", CodeTokenMalformed},
		"JWE":            {"eyJlbmMiOiJ4In0.a.b.c.d", CodeTokenMalformed},
		"JWT with none":  {"eyJhbGciOiJub25lIn0.e30.AAAA", CodeClaimMalformed},
		"JWT with space": {"eyAiYWxnIjoibm9uZSJ9.e30.AAAA", CodeClaimMalformed},
	} {
		if _, err := verify(t, asking(), tenantOf(endpoint(s)), tt.token); code(err) != tt.want {
			t.Errorf("%s: got %v %q, want %q", name, err, code(err), tt.want)
		}
	}
	hits(t, s, "/introspect", 0)
	if _, err := verify(t, asking(), tenantOf(endpoint(s)), "ya29.a0AfH6SMB.dots"); err != nil {
		t.Errorf("an opaque token with dots: %v", err)
	}
}

// Which provider judges follows from the configuration.
func TestWhichProviderJudges(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.json("/introspect", said(members{"iss": issuer}))
	open, named := endpoint(s), endpoint(s)
	named.Issuer = issuer
	for name, tt := range map[string]struct {
		providers []tenants.Provider
		token     string
		want      string
		asked     int
	}{
		"JWT beside an endpoint":            {[]tenants.Provider{open, provider()}, minted{}.token(), "", 0},
		"opaque beside keys":                {[]tenants.Provider{provider(), open}, opaque, "", 1},
		"opaque and no endpoint":            {[]tenants.Provider{provider()}, opaque, CodeTokenMalformed, 0},
		"bad JWT is not asked about":        {[]tenants.Provider{provider(), named}, minted{key: "p256-other", header: members{"kid": "p256"}}.token(), CodeSignatureInvalid, 0},
		"foreign JWT is not asked about":    {[]tenants.Provider{open}, minted{}.token(), CodeIssuerUnknown, 0},
		"JWT of the endpoint's issuer":      {[]tenants.Provider{named}, minted{}.token(), "", 1},
		"JWT of another issuer":             {[]tenants.Provider{named}, minted{claims: members{"iss": "x"}}.token(), CodeIssuerUnknown, 0},
		"nobody":                            {nil, minted{}.token(), CodeIssuerUnknown, 0},
		"nobody, opaque":                    {nil, opaque, CodeTokenMalformed, 0},
		"the zero provider judges no token": {[]tenants.Provider{{}}, minted{claims: members{"iss": ""}}.token(), CodeClaimMalformed, 0},
	} {
		before := s.count("/introspect")
		if _, err := verify(t, asking(), tenantOf(tt.providers...), tt.token); code(err) != tt.want {
			t.Errorf("%s: got %q (%v), want %q", name, code(err), err, tt.want)
		}
		if asked := s.count("/introspect") - before; asked != tt.asked {
			t.Errorf("%s: asked %d times, want %d", name, asked, tt.asked)
		}
	}
}

// Two endpoints are asked in order; trouble outweighs a refusal, a yes outweighs both.
func TestSeveralEndpoints(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"yes": answerJSON(said(nil)), "no": answerJSON(`{"active":false}`),
		"down": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
	}
	for _, tt := range []struct{ first, second, want string }{
		{"yes", "down", ""}, {"no", "yes", ""}, {"down", "yes", ""},
		{"no", "no", CodeTokenInactive}, {"no", "down", "trouble"}, {"down", "no", "trouble"},
	} {
		a, b := newIDP(t), newIDP(t)
		a.handle("/introspect", answers[tt.first])
		b.handle("/introspect", answers[tt.second])
		if _, err := verify(t, asking(), tenantOf(endpoint(a), endpoint(b)), opaque); code(err) != tt.want {
			t.Errorf("%s, %s: %v, want %q", tt.first, tt.second, err, tt.want)
		}
		if tt.first == "yes" {
			hits(t, b, "/introspect", 0)
		}
	}
}

func TestSameTokenAtTwoTenants(t *testing.T) { // INT-08, TEN-09
	t.Parallel()
	a, b := newIDP(t), newIDP(t)
	a.json("/introspect", said(nil))
	b.json("/introspect", `{"active":false}`)
	v := asking()
	for range 2 {
		ta, tb := tenantOf(endpoint(a)), tenantOf(endpoint(b))
		tb.ID = "other"
		if _, err := verify(t, v, ta, opaque); err != nil {
			t.Error(describe(err))
		}
		if _, err := verify(t, v, tb, opaque); code(err) != CodeTokenInactive {
			t.Errorf("got %v", err)
		}
	}
	hits(t, a, "/introspect", 1)
	hits(t, b, "/introspect", 1)
	// The same endpoint, but other rules: another question.
	strict := endpoint(a)
	strict.Claims = map[string]any{"client_id": "other"}
	if _, err := verify(t, v, tenantOf(strict), opaque); code(err) != CodeClaimMismatch {
		t.Errorf("got %v", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.json("/introspect", `{"active":false}`)
	v, tenant := asking(), tenantOf(endpoint(s))
	v.introspector.no.Resize(10)
	for i := range 50 {
		verify(t, v, tenant, fmt.Sprint("random", i))
	}
	if n := v.introspector.no.Len(); n != 10 {
		t.Errorf("%d answers kept", n)
	}
	if n := v.introspector.yes.Len(); n != 0 {
		t.Errorf("%d answers of yes kept", n)
	}
}

func TestReadSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acme")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	t.Setenv("ACME_SECRET", "s3cr3t")
	t.Setenv("ACME_EMPTY", "")
	t.Setenv("ACME_LINES", "s3cr3t\nmore")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
	t.Setenv("_HANDLER", "s3cr3t")
	for name, to := range map[string]string{"link": "/proc/self/environ", "proc": "/proc/self/"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("BOLT_SECRET", "s3cr3t")
	tests := []struct {
		name, reference string
		ok              bool
	}{
		{"variable", "env:ACME_SECRET", true},
		{"variable empty", "env:ACME_EMPTY", false},
		{"variable not set", "env:ACME_NOT_SET", false},
		{"variable of two lines", "env:ACME_LINES", false},
		{"the function's credentials", "env:AWS_SECRET_ACCESS_KEY", false},
		{"the function's credentials in lower case", "env:aws_secret_access_key", false},
		{"the runtime's variable", "env:_HANDLER", false},
		{"variable without a name", "env:", false},
		{"file", write("secret", "s3cr3t"), true},
		{"file with a newline", write("newline", "s3cr3t\n"), true},
		{"file with CRLF", write("crlf", "s3cr3t\r\n"), true},
		{"file of two lines", write("lines", "[default]\ns3cr3t\n"), false},
		{"file empty", write("empty", "\n"), false},
		{"file not ASCII", write("utf8", "s3cr3t ö"), false},
		{"file of 512 bytes", write("large", strings.Repeat("x", 512)+"\r\n"), true},
		{"file of 513 bytes", write("larger", strings.Repeat("x", 513)), false},
		{"file of 100 kB", write("largest", strings.Repeat("x", 100<<10)), false},
		{"file missing", "file:" + filepath.Join(dir, "missing"), false},
		{"directory", "file:" + dir, false},
		{"environment of the process", "file:/proc/self/environ", false},
		{"environment through a link", "file:" + filepath.Join(dir, "link"), false},
		{"one line about the process", "file:/proc/self/comm", false},
		{"device", "file:/dev/zero", false},
		{"another tenant's variable", "env:BOLT_SECRET", false},
		{"a file that is not in the tenant's directory", "file:" + filepath.Join(dir, "proc", "comm"), false},
		{"the secret itself", "s3cr3t", false},
		{"another kind", "arn:s3cr3t", false},
		{"a secret in AWS", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/idp-AbCdEf", false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadSecret(t.Context(), "acme", tt.reference)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v, want ok %v", err, tt.ok)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the secret is in %q", err)
			}
			if err == nil && strings.Trim(got, "x") != "s3cr3t" && len(got) != 512 {
				t.Errorf("read %q", got)
			}
		})
	}
}

// What is the function's own is nobody's, even for tenants of fitting ids.
func TestReadSecretOfTheFunction(t *testing.T) {
	for tenant, name := range map[string]string{"aws": "AWS_SECRET_ACCESS_KEY", "lambda": "LAMBDA_TASK_ROOT", "regent": "REGENT_STORE"} {
		t.Setenv(name, "s3cr3t")
		if got, err := ReadSecret(t.Context(), tenant, "env:"+name); err == nil || got != "" {
			t.Errorf("%s reads %s", tenant, name)
		}
	}
	if got, err := ReadSecret(t.Context(), "self", "file:/proc/self/comm"); err == nil || got != "" {
		t.Error("a file under /proc is read")
	}
}

// TestNoSecretInText holds that neither a configuration nor a Verifier that has used a
// secret prints it, the token or the keys of its digests (OPS-05).
func TestNoSecretInText(t *testing.T) {
	t.Parallel()
	s := newIDP(t)
	s.handle("/introspect", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, said(nil))
	})
	v := asking()
	tenant := tenants.Tenant{ID: "acme", Identity: tenants.Identity{Providers: []tenants.Provider{endpoint(s)}}}
	if _, err := v.Verify(t.Context(), tenant, opaque, now); err != nil {
		t.Fatal(err)
	}
	secrets := []string{clientSecret, opaque, fmt.Sprint(v.introspector.key), fmt.Sprintf("%x", v.introspector.key)}
	for _, shown := range []any{v, v.config, &v.config} {
		asJSON, _ := json.Marshal(shown) // functions have no JSON form
		text := fmt.Sprintf("%v %+v %#v %s", shown, shown, shown, asJSON)
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%T prints the secret %q: %s", shown, secret, text)
			}
		}
	}
}
