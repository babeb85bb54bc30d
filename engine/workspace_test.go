package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/policies"
	"regent/tenants/dir"
)

// issuer signs tokens of the embedded workspace's tenant acme.
type issuer struct{ key *ecdsa.PrivateKey }

func newIssuer(tb testing.TB) issuer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return issuer{key}
}

// keySet is the JWKS with the public key.
func (i issuer) keySet(tb testing.TB) string {
	tb.Helper()
	point, err := i.key.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	half := (len(point) - 1) / 2
	return fmt.Sprintf(`{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "x": %q, "y": %q}]}`,
		b64(point[1:1+half]), b64(point[1+half:]))
}

// token is a token for acme with the given roles.
func (i issuer) token(tb testing.TB, subject string, roles ...string) string {
	tb.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": "https://idp.acme.example", "aud": []string{"https://api.acme.example"}, "sub": subject, "roles": roles,
		"tenant_id": "acme", "iat": at.Unix() - 60, "exp": at.Unix() + 3600, "jti": rand.Text(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	signed := b64([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"k1"}`)) + "." + b64(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + b64(signature[:])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// change edits the files of a workspace.
type change func(tb testing.TB, files fstest.MapFS)

// replace puts one text in the place of another.
func replace(path, before, after string) change {
	return func(tb testing.TB, files fstest.MapFS) {
		tb.Helper()
		text := string(files[path].Data)
		if !strings.Contains(text, before) {
			tb.Fatalf("%s has no %q", path, before)
		}
		files[path] = &fstest.MapFile{Data: []byte(strings.Replace(text, before, after, 1))}
	}
}

// withoutCache turns the embedded workspace's first API into one without a cache.
func withoutCache() change { return replace("regent.yaml", "ttl: 300s", "ttl: 0s") }

// withSmallPolicy gives acme a policy of one rule, without guardrails and helpers.
func withSmallPolicy() change {
	return func(tb testing.TB, files fstest.MapFS) {
		tb.Helper()
		maps.DeleteFunc(files, func(path string, _ *fstest.MapFile) bool {
			return strings.HasPrefix(path, "platform/") || strings.HasPrefix(path, "tenants/acme/policy/")
		})
		files["tenants/acme/policy/authz.rego"] = &fstest.MapFile{Data: []byte(smallPolicy)}
		files["tenants/acme/policy/data.json"] = &fstest.MapFile{Data: []byte(`{"roles": {"viewer": [
			{"method": "GET", "route": "/orders"}, {"method": "GET", "route": "/orders/{id}"}, {"method": "GET", "route": "/orders/{id}/items"}
		]}}`)}
	}
}

const smallPolicy = `package authz

default allow := false

allow if {
	some role in input.identity.claims.roles
	some permission in data.roles[role]
	permission.method == input.method
	permission.route == input.route
}
`

// embedded is the embedded workspace with acme's first provider's keys in place of
// discovery, and with changes.
func embedded(tb testing.TB, i issuer, changes ...change) *dir.Snapshot {
	tb.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(policies.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(policies.FS, path)
		files[path] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	replace("tenants/acme/tenant.yaml", "jwks: discovery", "jwks: "+i.keySet(tb))(tb, files)
	for _, change := range changes {
		change(tb, files)
	}
	snapshot, err := dir.Load(files, "workspace")
	if err != nil {
		tb.Fatal(err)
	}
	return snapshot
}

// assembled is the real thing over a store, at a fixed instant.
func assembled(tb testing.TB, store *dir.Snapshot, config identity.Config) *engine.Authorizer {
	tb.Helper()
	loaded, err := rules.New(rules.Config{Store: store, Timeout: time.Minute})
	if err != nil {
		tb.Fatal(err)
	}
	return &engine.Authorizer{
		Gateway:  apigw.Gateway{},
		Store:    store,
		Identity: identity.New(config),
		Policies: loaded,
		Log:      func(engine.Record) {},
		Now:      func() time.Time { return at },
		NewID:    rand.Text,
		Salt:     []byte("salt"),
	}
}

// restEvent is a REST REQUEST event for the embedded workspace's first API, as API
// Gateway writes it, with the headers of an ordinary client.
func restEvent(token, method, resource, path string) []byte {
	headers := [][2]string{
		{"Accept", "*/*"}, {"CloudFront-Viewer-Country", "IE"}, {"Host", "api.acme.example"}, {"jwt_token", token},
		{"User-Agent", "curl/8.5.0"}, {"X-Amzn-Trace-Id", "Root=1-65f1c2d3-0123456789abcdef01234567"},
		{"X-Forwarded-For", "203.0.113.7, 198.51.100.9"}, {"X-Forwarded-Port", "443"}, {"X-Forwarded-Proto", "https"},
	}
	var single, multi []string
	for _, h := range headers {
		single = append(single, fmt.Sprintf("%q: %q", h[0], h[1]))
		multi = append(multi, fmt.Sprintf("%q: [%q]", h[0], h[1]))
	}
	return fmt.Appendf(nil, `{
  "type": "REQUEST",
  "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/%[1]s%[3]s",
  "resource": "%[2]s", "path": "%[3]s", "httpMethod": "%[1]s",
  "headers": {%[4]s},
  "multiValueHeaders": {%[5]s},
  "queryStringParameters": {"page": "2"}, "multiValueQueryStringParameters": {"page": ["2"]},
  "pathParameters": null, "stageVariables": null,
  "requestContext": {
    "resourceId": "abc123", "resourcePath": "%[2]s", "httpMethod": "%[1]s", "path": "/prod%[3]s", "protocol": "HTTP/1.1",
    "requestTime": "22/Nov/2026:12:00:00 +0000", "requestTimeEpoch": 1795348800000, "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    "identity": {"cognitoIdentityPoolId": null, "accountId": null, "sourceIp": "203.0.113.7", "userAgent": "curl/8.5.0", "user": null},
    "accountId": "123456789012", "stage": "prod", "domainName": "api.acme.example", "deploymentId": "k3p5x1", "apiId": "a1b2c3"
  }
}`, method, resource, path, strings.Join(single, ", "), strings.Join(multi, ", "))
}
