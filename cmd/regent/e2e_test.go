package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"text/template"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/devissuer"
	"regent/engine"
	"regent/engine/iam"
	"regent/policies"
	"regent/tenants/dir"
)

// TestEndToEnd runs the cases in testdata/e2e: from an event's bytes to the reply's
// bytes and the decision-log line, through the very pipeline of the function.
// testdata/e2e/README.md says how a case is written; adding one needs no Go.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/e2e/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata/e2e (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runCase(t, file)
		})
	}
}

// e2eCase is one file of testdata/e2e.
type e2eCase struct {
	now   time.Time
	files map[string]string
	// workspace has the files below workspace/, over the built-in ones if asked for.
	workspace fstest.MapFS
}

func parseCase(t *testing.T, file string) e2eCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := e2eCase{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), files: map[string]string{}, workspace: fstest.MapFS{}}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case key == "" || strings.HasPrefix(key, "#"):
		case key == "use" && value == "embedded":
			c.useEmbedded(t)
		case key == "now":
			if c.now, err = time.Parse(time.RFC3339, value); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("%s: unknown setting %q: # for prose, use: embedded, or now: TIME", file, strings.TrimSpace(line))
		}
	}
	expected := []string{"event.json", "reply.json", "verdicts.txt", "error.txt", "log.json"}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "workspace/"); ok {
			c.workspace[name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			continue
		}
		if !slices.Contains(expected, f.Name) {
			t.Fatalf("%s: unknown file %s: want workspace/..., %s", file, f.Name, strings.Join(expected, ", "))
		}
		c.files[f.Name] = string(f.Data)
	}
	if c.files["event.json"] == "" || c.files["log.json"] == "" {
		t.Fatalf("%s: event.json and log.json are required", file)
	}
	reply := c.files["reply.json"] != "" || c.files["verdicts.txt"] != ""
	if reply == (c.files["error.txt"] != "") {
		t.Fatalf("%s: want either an error.txt or a reply.json, a verdicts.txt or both", file)
	}
	return c
}

func (c *e2eCase) useEmbedded(t *testing.T) {
	t.Helper()
	err := fs.WalkDir(policies.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(policies.FS, p)
		c.workspace[p] = &fstest.MapFile{Data: content, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// decisionID is the id of every decision in the cases.
const decisionID = "00000000-0000-4000-8000-000000000001"

func runCase(t *testing.T, file string) {
	c := parseCase(t, file)
	snapshot, err := dir.Load(c.workspace, "the case's workspace")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	p := &placeholders{now: c.now, snapshot: snapshot, issuer: issuer, minted: map[string]string{}}
	var logged []engine.Record
	authorizer, err := assemble.Authorizer(assemble.Parts{
		Store:       devStore{snapshot, issuer},
		EvalTimeout: 10 * time.Second,
		Log:         func(r engine.Record) { logged = append(logged, r) },
		Now:         func() time.Time { return c.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { assemble.Close(authorizer) })
	authorizer.NewID = func() string { return decisionID }

	event := p.fill(t, c.files["event.json"])
	if !json.Valid(event) && c.files["error.txt"] == "" {
		t.Fatalf("event.json is not JSON:\n%s", event)
	}
	reply, err := authorizer.Authorize(t.Context(), event)

	if want := c.files["error.txt"]; want != "" {
		if err == nil {
			t.Fatalf("got the reply %s, want the error %s", reply, want)
		}
		if diff := diff.Diff(strings.TrimSpace(string(p.fill(t, want))), err.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	} else if err != nil {
		t.Fatalf("got the error %v (%+v), want a reply", err, logged)
	}
	if want := c.files["reply.json"]; want != "" {
		if diff := diff.Diff(decodeJSON(t, p.fill(t, want)), decodeJSON(t, reply)); diff != "" {
			t.Errorf("reply (-want +got):\n%s", diff)
		}
	}
	if want := c.files["verdicts.txt"]; want != "" {
		checkVerdicts(t, event, reply, want)
	}
	if len(logged) != 1 {
		t.Fatalf("%d decision-log entries, want 1", len(logged))
	}
	line, err := json.Marshal(logged[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := subset("", decodeJSON(t, p.fill(t, c.files["log.json"])), decodeJSON(t, line)); diff != "" {
		t.Errorf("decision log: %s\nin %s", diff, line)
	}
	for _, secret := range p.secrets() {
		if bytes.Contains(line, []byte(secret)) || bytes.Contains(reply, []byte(secret)) || (err != nil && strings.Contains(err.Error(), secret)) {
			t.Errorf("a part of a token is in the log, the reply or the error: %s", secret)
		}
	}
}

// checkVerdicts judges ARNs by the reply's policy. Each line is allow or deny and
// METHOD/path, which is put behind the API and stage of the event's own ARN.
func checkVerdicts(t *testing.T, event, reply []byte, want string) {
	t.Helper()
	var ev struct {
		MethodARN string `json:"methodArn"`
		RouteARN  string `json:"routeArn"`
	}
	var r struct {
		PolicyDocument iam.Document `json:"policyDocument"`
	}
	if err := errors.Join(json.Unmarshal(event, &ev), json.Unmarshal(reply, &r)); err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(cmp.Or(ev.MethodARN, ev.RouteARN), "/", 3)
	lines := 0
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		lines++
		verdict, target, ok := strings.Cut(line, " ")
		if !ok || (verdict != "allow" && verdict != "deny") {
			t.Fatalf("verdicts.txt: %q is neither allow nor deny and METHOD/path", line)
		}
		arn := parts[0] + "/" + parts[1] + "/" + strings.TrimSpace(target)
		if got := r.PolicyDocument.Evaluate(iam.Invoke, arn); (got == iam.Allowed) != (verdict == "allow") {
			t.Errorf("%s: %v, want %s, by %s", target, got, verdict, reply)
		}
	}
	if lines == 0 {
		t.Fatal("verdicts.txt has no verdicts")
	}
}

// placeholders fill in what a case cannot know: {{token ...}}, {{revision "acme"}},
// {{short "acme"}}, {{platform}} and {{id}}.
type placeholders struct {
	now      time.Time
	snapshot *dir.Snapshot
	issuer   *devissuer.Issuer
	// minted has a token for each placeholder: a header that an event repeats has the
	// same token everywhere.
	minted map[string]string
}

func (p *placeholders) fill(t *testing.T, text string) []byte {
	t.Helper()
	functions := template.FuncMap{
		"token": p.token,
		"revision": func(tenant string) (string, error) {
			b, err := p.snapshot.TenantBundle(tenant)
			return string(b.Digest()), err
		},
		"short": func(tenant string) (string, error) {
			b, err := p.snapshot.TenantBundle(tenant)
			return b.Digest().Short(), err
		},
		"platform": func() string { return string(p.snapshot.PlatformBundle().Digest()) },
		"id":       func() string { return decisionID },
	}
	parsed, err := template.New("case").Funcs(functions).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := parsed.Execute(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// token mints a token for a subject. Arguments are claims, NAME=VALUE with the value
// as `regent token` reads it, and settings: @tenant, @issuer, @aud, @ttl, and
// @key=stranger for a key that nobody trusts.
func (p *placeholders) token(subject string, args ...string) (string, error) {
	key := fmt.Sprintf("%q", append([]string{subject}, args...))
	if token, ok := p.minted[key]; ok {
		return token, nil
	}
	o := order{APIs: p.snapshot.APIs(), Subject: subject, Claims: map[string]any{}, Now: p.now, TTL: 5 * time.Minute}
	tenant, issuer := "acme", p.issuer
	var err error
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			err = fmt.Errorf("%q is not NAME=VALUE", arg)
		case name == "@tenant":
			tenant = value
		case name == "@issuer":
			o.Issuer = value
		case name == "@aud":
			o.Audiences = append(o.Audiences, value)
		case name == "@ttl":
			o.TTL, err = time.ParseDuration(value)
		case name == "@key" && value == "stranger":
			issuer, err = devissuer.New()
		case strings.HasPrefix(name, "@"):
			err = fmt.Errorf("unknown setting %s", name)
		default:
			o.Claims[name] = jsonOrText(value)
		}
		if err != nil {
			return "", err
		}
	}
	if o.Tenant, err = tenantNamed(p.snapshot, tenant); err != nil {
		return "", err
	}
	claims, err := o.claims(issuer)
	if err != nil {
		return "", err
	}
	token, err := issuer.Mint(claims)
	p.minted[key] = token
	return token, err
}

// secrets are the parts of tokens, which must not be seen again.
func (p *placeholders) secrets() (parts []string) {
	for _, token := range p.minted {
		parts = append(parts, strings.Split(token, ".")...)
	}
	return parts
}

func decodeJSON(t *testing.T, text []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func isObject(v any) bool {
	_, ok := v.(map[string]any)
	return ok
}

// subset says where want is not part of got; "" if it is. Objects may have more
// members than wanted, and a wanted null must be absent. Of a list of objects, each
// wanted one must be there. Everything else is compared as a whole.
func subset(at string, want, got any) string {
	if wanted, ok := want.([]any); ok && len(wanted) > 0 && isObject(wanted[0]) {
		have, _ := got.([]any)
		for i, one := range wanted {
			if !slices.ContainsFunc(have, func(h any) bool { return subset("", one, h) == "" }) {
				return fmt.Sprintf("%s[%d]: %v is not in %v", at, i, one, got)
			}
		}
		return ""
	}
	members, ok := want.(map[string]any)
	if !ok {
		if diff := diff.Diff(want, got); diff != "" {
			return fmt.Sprintf("%s (-want +got):\n%s", at, diff)
		}
		return ""
	}
	have, ok := got.(map[string]any)
	if !ok {
		return fmt.Sprintf("%s: got %v, want an object", at, got)
	}
	for name, value := range members {
		found, there := have[name]
		switch {
		case value == nil && there:
			return fmt.Sprintf("%s/%s: got %v, want nothing", at, name, found)
		case value == nil:
		case !there:
			return fmt.Sprintf("%s/%s: absent, want %v", at, name, value)
		default:
			if diff := subset(at+"/"+name, value, found); diff != "" {
				return diff
			}
		}
	}
	return ""
}
