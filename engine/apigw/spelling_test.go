package apigw

import (
	"strings"
	"testing"

	"regent/engine"
	"regent/tenants"
)

// A document with a wildcard denies what is ambiguous: nobody looks at a path when a
// reply is replayed. What no pattern can name is in docs/caching.md.
func TestDocumentsDenyAmbiguousPaths(t *testing.T) {
	t.Parallel()
	cells := []engine.Cell{{Method: "GET", Route: "/{proxy+}", Segments: []engine.Segment{{}}, Rest: true, Allowed: true}}
	arn := "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/"
	doc, _, err := Gateway{}.Cover(engine.Request{ARN: arn + "a/b", Method: "GET", Segments: []string{"a", "b"}}, cells)
	if err != nil || !doc.Allows(arn+"a/b") || !doc.Allows(arn+"a/%2541") {
		t.Fatalf("%+v, %v", doc, err)
	}
	for _, raw := range []string{
		".", "..", ".;x", "..;x", "..;", "%2e%2E", "%2e%2e;x", "..%3bx", "", "%2f", "a%2Fb", `a\b`, "a%5cb", "%5C", "%00", "a%0d", "%1F", "%7f",
		"%252f", "%252F", "%252e%252e", "..%255c", "%255C", "%2500", "%2a", "%3F",
	} {
		for _, path := range []string{"a/" + raw + "/b", "a/" + raw} {
			if path == "a/" {
				continue // A trailing slash is no other resource.
			}
			r := reading{req: engine.Request{API: engine.Target{Kind: tenants.REST}}}
			r.arn.Path = path
			r.place("/"+path, percent)
			if r.req.Ambiguous == "" {
				t.Errorf("%s is not ambiguous", path)
			}
			if doc.Allows(arn + path) {
				t.Errorf("%s is allowed: %s", path, strings.TrimSpace(r.req.Ambiguous))
			}
		}
	}
}
