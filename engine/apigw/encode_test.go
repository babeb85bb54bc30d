package apigw_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/iam"
	"regent/tenants"
)

// replyCase is one entry of testdata/replies.yaml, which says what the fields are.
type replyCase struct {
	Name   string
	Event  string
	Simple bool
	Reply  engine.Reply
	Want   string
	Error  string
}

func TestEncodeReplies(t *testing.T) {
	t.Parallel()
	var cases []replyCase
	load(t, "testdata/replies.yaml", &cases)
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	all := events(t)
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			if (tt.Want == "") == (tt.Error == "") {
				t.Fatal("want exactly one of want and error")
			}
			req, err := apigw.Gateway{}.Decode(all[tt.Event])
			if err != nil {
				t.Fatal(err)
			}
			got, err := apigw.Gateway{}.Encode(req, tenants.API{ID: req.API.ID, Simple: tt.Simple}, tt.Reply)
			if tt.Error != "" {
				var trouble *engine.Trouble
				if !errors.As(err, &trouble) || !strings.Contains(err.Error(), tt.Error) {
					t.Errorf("Encode = %s, %v; want a Trouble with %q", got, err, tt.Error)
				}
				if got != nil {
					t.Errorf("Encode returned %s with an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.Want {
				t.Errorf("Encode:\n got %s\nwant %s", got, tt.Want)
			}
			if !tt.Simple {
				checkVerdict(t, req, tt.Reply.Allow, got)
			}
		})
	}
}

// checkVerdict judges the request by the document as API Gateway would.
func checkVerdict(t *testing.T, req engine.Request, allow bool, reply []byte) {
	t.Helper()
	var out struct{ PolicyDocument iam.Document }
	if err := json.Unmarshal(reply, &out); err != nil {
		t.Fatal(err)
	}
	want := iam.ExplicitDeny
	if allow {
		want = iam.Allowed
	}
	if got := out.PolicyDocument.Evaluate(iam.Invoke, req.ARN); got != want {
		t.Errorf("the document means %s for the request, want %s", got, want)
	}
}

// Every event that can be decoded gets a reply that means what was decided.
func TestEncodeCorpus(t *testing.T) {
	t.Parallel()
	for name, event := range events(t) {
		req, err := apigw.Gateway{}.Decode(event)
		if err != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, wholeKey := range []bool{false, true} {
				reply := engine.Reply{PrincipalID: "alice", WholeKey: wholeKey}
				got, err := apigw.Gateway{}.Encode(req, tenants.API{}, reply)
				if err != nil {
					t.Fatal(err)
				}
				checkVerdict(t, req, false, got)
			}
			got, err := apigw.Gateway{}.Encode(req, tenants.API{}, engine.Reply{PrincipalID: "alice", Allow: true})
			if err == nil {
				checkVerdict(t, req, true, got)
			}
			if err == nil && (req.Ambiguous != "" || req.Doubtful != "") {
				t.Errorf("allowed: %s", got)
			}
		})
	}
}

func TestEncodeLimit(t *testing.T) {
	t.Parallel()
	req, err := apigw.Gateway{}.Decode(event(t, "http2"))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(n int) ([]byte, error) {
		reply := engine.Reply{Allow: true, Context: map[string]any{"a": strings.Repeat("x", n)}}
		return apigw.Gateway{}.Encode(req, tenants.API{Simple: true}, reply)
	}
	frame, err := encode(0)
	if err != nil {
		t.Fatal(err)
	}
	room := iam.MaxReply - len(frame)
	if got, err := encode(room); err != nil || len(got) != iam.MaxReply {
		t.Errorf("a reply of %d bytes: %v", len(got), err)
	}
	if got, err := encode(room + 1); err == nil {
		t.Errorf("a reply of %d bytes was encoded", len(got))
	}
}

// An ARN of exactly the limit may be allowed.
func TestEncodeLongestResource(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/"
	for _, tt := range []struct {
		name  string
		bytes int
		want  bool
	}{{"limit", iam.MaxResource, true}, {"over", iam.MaxResource + 1, false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := engine.Request{Shape: engine.ShapeREST, ARN: prefix + strings.Repeat("x", tt.bytes-len(prefix))}
			got, err := apigw.Gateway{}.Encode(req, tenants.API{}, engine.Reply{Allow: true, PrincipalID: "alice"})
			if (err == nil) != tt.want {
				t.Errorf("Encode = %s, %v", got, err)
			}
		})
	}
}

// Decode marks such requests as ambiguous; Encode does not rely on it.
func TestEncodeNeverAllowsPatterns(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"orders/*", "orders/1?", "orders/${x}"} {
		req := engine.Request{Shape: engine.ShapeREST, ARN: "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/" + path}
		got, err := apigw.Gateway{}.Encode(req, tenants.API{}, engine.Reply{Allow: true, PrincipalID: "alice"})
		if err == nil {
			t.Errorf("Encode allowed %s: %s", path, got)
		}
	}
}

func TestEncodeWithoutARN(t *testing.T) {
	t.Parallel()
	for _, reply := range []engine.Reply{
		{PrincipalID: "a"}, {PrincipalID: "a", Allow: true}, {PrincipalID: "a", WholeKey: true},
	} {
		if got, err := (apigw.Gateway{}).Encode(engine.Request{Shape: engine.ShapeREST}, tenants.API{}, reply); err == nil {
			t.Errorf("Encode(%+v) = %s without an ARN", reply, got)
		}
	}
}

// Whatever the request and the rules bring, a reply that is sent means what was
// decided, for this request and in this API and stage only.
func FuzzEncode(f *testing.F) {
	const arn = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/"
	for _, path := range []string{"", "orders/17", "orders/*", "a?${x}$", "a\xff", strings.Repeat("x", 600)} {
		f.Add(arn+path, true, false, "alice", "tenantId", "acme", "")
		f.Add(arn+path, false, false, "alice", "claims", "a\nb", "key")
		f.Add(arn+path, false, true, "", "a", "\u2028<&>", "key")
	}
	f.Fuzz(func(t *testing.T, arn string, allow, wholeKey bool, principal, key, value, usage string) {
		req := engine.Request{Shape: engine.ShapeREST, ARN: arn}
		parsed, err := iam.ParseARN(arn)
		if err != nil || parsed.String() != arn || !utf8.ValidString(arn) {
			return // Decode gives no such ARN.
		}
		reply := engine.Reply{Allow: allow, WholeKey: wholeKey, PrincipalID: principal, UsageKey: usage, Context: map[string]any{key: value}}
		got, err := apigw.Gateway{}.Encode(req, tenants.API{}, reply)
		if err != nil {
			return
		}
		checkVerdict(t, req, allow, got)
		var out struct {
			PrincipalID        string
			PolicyDocument     iam.Document
			Context            map[string]string
			UsageIdentifierKey string
		}
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatal(err)
		}
		if len(got) > iam.MaxReply || out.PrincipalID != principal || out.UsageIdentifierKey != usage || out.Context[key] != value {
			t.Errorf("reply %s", got)
		}
		resource := out.PolicyDocument.Statement[0].Resource[0]
		if len(resource) > iam.MaxResource || !strings.HasPrefix(resource, strings.TrimSuffix(parsed.StagePattern(), "*")) {
			t.Errorf("resource %q", resource)
		}
		if allow && resource != arn {
			t.Errorf("allowed %q for %q", resource, arn)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	reply := engine.Reply{Allow: true, PrincipalID: "alice", Context: map[string]any{
		"tenantId": "acme", "principalId": "alice", "decisionId": "01J0000000000000000000000", "revision": "sha256:" + strings.Repeat("0", 64),
	}}
	for _, bb := range []struct {
		name, event string
		simple      bool
	}{{"policy", "rest-request", false}, {"simple", "http2", true}} {
		b.Run(bb.name, func(b *testing.B) {
			req, err := apigw.Gateway{}.Decode(event(b, bb.event))
			if err != nil {
				b.Fatal(err)
			}
			api := tenants.API{Simple: bb.simple}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (apigw.Gateway{}).Encode(req, api, reply); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
