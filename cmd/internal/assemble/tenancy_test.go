package assemble_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.yaml.in/yaml/v3"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/devissuer"
	"regent/engine"
	"regent/tenants/dir"
)

// request is one case of testdata/identity/tenancy.yaml.
type request struct {
	Name    string            `yaml:"name"`
	Host    string            `yaml:"host"`
	Header  *string           `yaml:"header"`
	Headers map[string]string `yaml:"headers"`
	Path    string            `yaml:"path"`
	Token   map[string]any    `yaml:"token"`
	Bearer  *string           `yaml:"bearer"`
	Want    string            `yaml:"want"`
}

// issuers sign for the workspace's tenants. What they sign as is in the token.
type issuers map[string]*devissuer.Issuer

func newIssuers(t *testing.T) issuers {
	t.Helper()
	made := issuers{}
	for _, name := range []string{"shared", "dust"} {
		is, err := devissuer.New()
		if err != nil {
			t.Fatal(err)
		}
		made[name] = is
	}
	return made
}

// workspace has four tenants, each with rules that allow everything.
func (is issuers) workspace(t *testing.T) *dir.Snapshot {
	t.Helper()
	files := fstest.MapFS{"regent.yaml": {Data: []byte(`apis:
  - {id: byhost, kind: rest, credential: "header:authorization", tenant: [host], cache: {ttl: 0s}}
  - {id: byheader, kind: rest, credential: "header:authorization", tenant: ["header:x-tenant"], cache: {ttl: 0s}}
`)}}
	for id, issuer := range map[string]string{"acme": "shared", "bolt": "shared", "cog": "shared", "dust": "dust"} {
		status, claims := "active", fmt.Sprintf("{tenant_id: %s}", id)
		if id == "cog" {
			status = "suspended"
		}
		if id == "dust" {
			claims = "{}"
		}
		files["tenants/"+id+"/tenant.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, `id: %[1]s
status: %[2]s
selectors: {hosts: [%[1]s.example], values: [%[1]s]}
attributes: {canary: canary-of-%[1]s}
identity:
  providers:
    - {issuer: "https://%[3]s.example", audiences: ["https://api.example"], algorithms: [ES256], jwks: %[4]s, claims: %[5]s}
`, id, status, issuer, is[issuer].JWKS(), claims)}
		files["tenants/"+id+"/policy/authz.rego"] = &fstest.MapFile{Data: []byte("package authz\n\nallow := true\n\n# " + id + "\n")}
	}
	snapshot, err := dir.Load(files, "workspace")
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// event is the request as API Gateway sends it, with a credential if there is one.
func (r request) event(t *testing.T, bearer string) []byte {
	t.Helper()
	api, path := "byhost", r.Path
	headers := map[string][]string{}
	if path == "" {
		path = "/orders"
	}
	if r.Host == "" {
		api = "byheader"
	} else {
		headers["Host"] = []string{r.Host}
	}
	if r.Header != nil {
		headers["x-tenant"] = []string{*r.Header}
	}
	for name, value := range r.Headers {
		headers[name] = []string{value}
	}
	if bearer != "" {
		headers["Authorization"] = []string{"Bearer " + bearer}
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	event, err := json.Marshal(map[string]any{
		"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:" + api + "/prod/GET" + decoded,
		"resource": "/{proxy+}", "path": path, "httpMethod": "GET", "multiValueHeaders": headers,
		"pathParameters": map[string]string{"proxy": strings.TrimPrefix(path, "/")},
		"requestContext": map[string]any{
			"resourcePath": "/{proxy+}", "httpMethod": "GET", "path": "/prod" + path, "requestId": "r",
			"identity":  map[string]any{"sourceIp": "203.0.113.7"},
			"accountId": "123456789012", "stage": "prod", "apiId": api,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func (r request) bearer(t *testing.T, is issuers, now time.Time) string {
	t.Helper()
	if r.Bearer != nil {
		return *r.Bearer
	}
	claims := map[string]any{}
	issuer, signer, audience := "", "", "https://api.example"
	for name, value := range r.Token {
		switch name {
		case "iss":
			issuer = value.(string)
		case "key":
			signer = value.(string)
		case "aud":
			audience = value.(string)
		default:
			claims[name] = value
		}
	}
	if signer == "" {
		signer = issuer
	}
	token, err := is[signer].Mint(devissuer.Claims{
		Issuer: "https://" + issuer + ".example", Audience: []string{audience}, Subject: "alice",
		IssuedAt: now, Expires: now.Add(time.Minute), Extra: claims,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestTenancy sends every request through the whole assembly. Whatever the answer is,
// nothing of another tenant and nothing of the token is in it or in the log.
func TestTenancy(t *testing.T) { // TEN-01 to TEN-07, TEN-10, TEN-12
	t.Parallel()
	text, err := os.ReadFile("../../../testdata/identity/tenancy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []request
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	is, now := newIssuers(t), time.Now()
	a, err := assemble.Authorizer(assemble.Parts{
		Store: is.workspace(t), Log: func(engine.Record) {}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { assemble.Close(a) })
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			bearer := tt.bearer(t, is, now)
			out := a.Explain(t.Context(), tt.event(t, bearer))
			if got := out.Record.Result.Outcome + " " + out.Record.Result.Code; got != tt.Want {
				t.Fatalf("got %s, want %s (%v)", got, tt.Want, out.Record.Error)
			}
			allowed := bytes.Contains(out.Reply, []byte(`"Allow"`))
			if allowed != strings.HasPrefix(tt.Want, "allow") {
				t.Errorf("the reply is %s", out.Reply)
			}
			record, err := json.Marshal(out.Record)
			if err != nil {
				t.Fatal(err)
			}
			said := string(out.Reply) + string(record)
			if strings.Contains(said, "canary") {
				t.Errorf("a tenant's attributes are in %s", said)
			}
			for part := range strings.SplitSeq(bearer, ".") {
				if len(part) >= 8 && strings.Contains(said, part) {
					t.Errorf("a part of the token is in %s", said)
				}
			}
		})
	}
}
