package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/devissuer"
	"regent/engine/identity"
	"regent/policies"
	"regent/tenants"
	"regent/tenants/dir"
)

func TestTable(t *testing.T) {
	t.Parallel()
	rows := [][]cell{
		{{"A", dim}, {"LONG", dim}, {"END", dim}},
		{{text: "é→x"}, {}, {"red", red}},
		cells("b", "c"),
	}
	var text, colored bytes.Buffer
	(&writer{w: &text}).table(rows)
	(&writer{w: &colored, color: true}).table(rows)
	want := "A    LONG  END\né→x        red\nb    c\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	// Colours take no room.
	plainText := colored.String()
	for _, code := range []string{"\x1b[2m", "\x1b[31m", "\x1b[0m"} {
		plainText = strings.ReplaceAll(plainText, code, "")
	}
	if diff := cmp.Diff(want, plainText); diff != "" {
		t.Errorf("table without its colours (-want +got):\n%s", diff)
	}
	if !strings.Contains(colored.String(), "\x1b[31mred\x1b[0m") {
		t.Errorf("no colour: %q", colored.String())
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	if got, want := printable("a\x1b[31mb\r\u202e\tc\n"), "a\ufffd[31mb\ufffd\ufffd\tc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		known []string
		want  string
	}{
		{"acmee", []string{"acme", "globex"}, "did you mean acme?"},
		{"zzzzzz", []string{"acme", "globex"}, "there is acme, globex"},
		{"acme", nil, "there are none yet"},
		{"zzzzzz", strings.Split("a b c d e f g h i j k l", " "), "there are a, b, c, d, e, f, g, h, i, j and 2 more"},
	}
	for _, tt := range tests {
		if got := didYouMean(tt.name, tt.known); got != tt.want {
			t.Errorf("didYouMean(%q, %q) = %q, want %q", tt.name, tt.known, got, tt.want)
		}
	}
}

func TestJSONOrText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want any
	}{
		{"alice", "alice"},
		{"", ""},
		{"true", true},
		{"null", nil},
		{`"true"`, "true"},
		{`["a", "b"]`, []any{"a", "b"}},
		{`[a]`, "[a]"},
		{"1 2", "1 2"},
		{"truely", "truely"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, jsonOrText(tt.text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://acme.localhost:1/x": "http://acme.localhost:1/x",
		"a b":                       "'a b'",
		"it's":                      `'it'\''s'`,
		"$(rm)":                     "'$(rm)'",
	} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		address string
		host    string
		port    int
		ok      bool
	}{
		{"127.0.0.1:8080", "127.0.0.1", 8080, true},
		{"[::1]:0", "::1", 0, true},
		{":80", "", 80, true},
		{"127.0.0.1", "", 0, false},
		{"127.0.0.1:http", "", 0, false},
		{"127.0.0.1:65536", "", 0, false},
		{"127.0.0.1:-1", "", 0, false},
	}
	for _, tt := range tests {
		host, port, err := splitAddress(tt.address)
		if (err == nil) != tt.ok || (tt.ok && (host != tt.host || port != tt.port)) {
			t.Errorf("splitAddress(%q) = %q, %d, %v", tt.address, host, port, err)
		}
	}
}

// broken is a file system in which one file cannot be read.
type broken struct{ fstest.MapFS }

var errBroken = errors.New("broken disk")

// ReadFile fails for one file.
func (b broken) ReadFile(name string) ([]byte, error) {
	if name == "tenants/acme/tenant.yaml" {
		return nil, errBroken
	}
	return b.MapFS.ReadFile(name)
}

// TestScaffoldIsAllOrNothing holds that a scaffold that fails half way leaves the
// directory as it was: absent, or empty.
func TestScaffoldIsAllOrNothing(t *testing.T) {
	t.Parallel()
	from := broken{fstest.MapFS{"regent.yaml": {}, "lib/a.rego": {}, "tenants/acme/tenant.yaml": {}}}
	parent := t.TempDir()
	for _, name := range []string{"absent", "empty"} {
		path := filepath.Join(parent, name)
		if name == "empty" {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := scaffold(path, from); !errors.Is(err, errBroken) {
			t.Fatalf("%s: %v", name, err)
		}
		entries, err := os.ReadDir(path)
		if name == "absent" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v %v", path, entries, err)
		}
		if name == "empty" && (err != nil || len(entries) > 0) {
			t.Errorf("%s: %v %v", path, entries, err)
		}
	}
}

// TestVouched holds that the development issuer takes the providers' place and keeps
// what tells tenants apart, and that nobody else's record changes.
func TestVouched(t *testing.T) {
	t.Parallel()
	issuer, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	signing := tenants.Provider{
		Issuer: "https://idp.example", Audiences: []string{"api"}, Algorithms: []string{"RS256"},
		JWKS: tenants.KeySource{Discovery: true}, Claims: map[string]any{"org": "a"},
	}
	asking := tenants.Provider{Introspection: "https://idp.example/introspect", ClientID: "c", ClientSecret: "env:X"}
	before := tenants.Tenant{ID: "a", Identity: tenants.Identity{Providers: []tenants.Provider{signing, asking}}}
	after := vouched(before, issuer).Identity.Providers
	if before.Identity.Providers[0].JWKS.Discovery != true {
		t.Error("the record itself has changed")
	}
	p := after[0]
	if p.JWKS.Discovery || !bytes.Equal(p.JWKS.Inline, issuer.JWKS()) || !cmp.Equal(p.Algorithms, []string{"ES256"}) {
		t.Errorf("the issuer does not stand in: %+v", p)
	}
	if p.Issuer != signing.Issuer || !cmp.Equal(p.Audiences, signing.Audiences) || !cmp.Equal(p.Claims, signing.Claims) {
		t.Errorf("what tells tenants apart is lost: %+v", p)
	}
	if diff := cmp.Diff(asking, after[1]); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
	// A tenant without a signing provider gets one of its own.
	alone := vouched(tenants.Tenant{ID: "b", Identity: tenants.Identity{Anonymous: true}}, issuer).Identity.Providers
	if len(alone) != 1 || alone[0].Issuer != "https://regent.invalid/tenants/b" {
		t.Errorf("got %+v", alone)
	}
}

// TestDevelopmentTokens holds for every tenant of the built-in workspace that its
// development token counts there, and nowhere else.
func TestDevelopmentTokens(t *testing.T) {
	t.Parallel()
	snapshot, err := dir.Load(policies.FS, "policies")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	store := devStore{snapshot, issuer}
	verifier := identity.New(identity.Config{})
	now := time.Now()
	for _, holder := range snapshot.Tenants() {
		o := order{Tenant: holder, APIs: snapshot.APIs(), Subject: "alice", Now: now, TTL: time.Minute}
		claims, err := o.claims(issuer)
		if err != nil {
			t.Fatal(err)
		}
		token, err := issuer.Mint(claims)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range snapshot.Tenants() {
			tenant, err := store.Tenant(context.Background(), other.ID)
			if err != nil {
				t.Fatal(err)
			}
			_, err = verifier.Verify(context.Background(), tenant, token, now)
			if (err == nil) != (holder.ID == other.ID) {
				t.Errorf("%s's token at %s: %v", holder.ID, other.ID, err)
			}
		}
	}
}

// TestDemoNoticesSurprises holds that the demo does not pass whatever comes back.
func TestDemoNoticesSurprises(t *testing.T) {
	t.Parallel()
	d, err := newDemo()
	if err != nil {
		t.Fatal(err)
	}
	defer assemble.Close(d.local.authorizer)
	f, err := listen("127.0.0.1:0", d.gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range []step{
		{What: "wrong status", Host: "acme.localhost", Method: "GET", Path: "/sayhello", Status: 200, Cache: "-"},
		{What: "wrong cache", Host: "acme.localhost", Method: "GET", Path: "/sayhello", Status: 401, Cache: "hit"},
	} {
		results, ok, err := d.run(t.Context(), "http://"+f.address, []step{s})
		if err != nil || ok || results[0].OK {
			t.Errorf("%s: ok %v, %+v, %v", s.What, ok, results, err)
		}
	}
}

// TestDecisionsAreForgotten holds that nothing is kept of a request that has been
// answered: `regent serve` may run for days.
func TestDecisionsAreForgotten(t *testing.T) {
	t.Parallel()
	d, err := newDemo()
	if err != nil {
		t.Fatal(err)
	}
	defer assemble.Close(d.local.authorizer)
	f, err := listen("127.0.0.1:0", d.gateway)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := d.steps()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.run(t.Context(), "http://"+f.address, steps); err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if left := len(d.local.decided); left != 0 {
		t.Errorf("%d decisions are kept", left)
	}
}

// TestJSONSteersNoTerminal holds that JSON says the same, without raw control characters.
func TestJSONSteersNoTerminal(t *testing.T) {
	t.Parallel()
	const text = "a\x1b[31m\u009b31m\u202eb\u2066\x7f\nc\U000E0041 é 世"
	var b bytes.Buffer
	if err := newWriter(&b).json(map[string]string{"message": text}); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U is written as it is", r)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["message"] != text {
		t.Errorf("it reads as %q: %v", back["message"], err)
	}
	if !strings.Contains(b.String(), "é 世") {
		t.Errorf("what is printable is escaped: %s", b.String())
	}
}
