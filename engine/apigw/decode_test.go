package apigw_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regent/engine"
	"regent/engine/apigw"
)

func TestDecodeLimit(t *testing.T) {
	t.Parallel()
	padded := func(size int) []byte {
		e := event(t, "rest-token")
		return append(e, strings.Repeat(" ", size-len(e))...)
	}
	if _, err := (apigw.Gateway{}).Decode(padded(apigw.MaxEvent)); err != nil {
		t.Errorf("an event of the greatest size: %v", err)
	}
	got, err := apigw.Gateway{}.Decode(padded(apigw.MaxEvent + 1))
	checkTrouble(t, got, err, "want at most")
}

func TestDecodeDeepNesting(t *testing.T) {
	t.Parallel()
	got, err := apigw.Gateway{}.Decode([]byte(strings.Repeat("[", 100_000)))
	checkTrouble(t, got, err, "not JSON")
}

// Decode must not depend on the order in which Go walks a map.
func TestDecodeIsDeterministic(t *testing.T) {
	t.Parallel()
	for name, event := range events(t) {
		first, firstErr := apigw.Gateway{}.Decode(event)
		for range 20 {
			again, err := apigw.Gateway{}.Decode(event)
			if diff := cmp.Diff(first, again); diff != "" || (err == nil) != (firstErr == nil) {
				t.Fatalf("%s: %v, %v\n%s", name, firstErr, err, diff)
			}
		}
	}
}

// What Event writes is what it read, as far as it has fields for it; so an event that is
// made with Event is one that API Gateway could have sent.
func TestEventRoundTrip(t *testing.T) {
	t.Parallel()
	for name, event := range events(t) {
		if strings.HasPrefix(name, "broken-") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ev apigw.Event
			if err := json.Unmarshal(event, &ev); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			var want, got map[string]any
			if err := errors.Join(json.Unmarshal(event, &want), json.Unmarshal(text, &got)); err != nil {
				t.Fatal(err)
			}
			prune(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("event after decoding and encoding (-want +got):\n%s", diff)
			}
			req, err := apigw.Gateway{}.Decode(event)
			again, err2 := apigw.Gateway{}.Decode(text)
			if diff := cmp.Diff(req, again, cmpopts.EquateEmpty()); diff != "" || err != nil || err2 != nil {
				t.Errorf("Decode of both (%v, %v):\n%s", err, err2, diff)
			}
		})
	}
}

// prune takes out of a parsed event what Event has no field for: nulls, certificates,
// and the fields of tests for unknown fields.
func prune(event map[string]any) {
	for k, v := range event {
		switch v := v.(type) {
		case nil:
			delete(event, k)
		case map[string]any:
			prune(v)
		}
		switch k {
		case "futureField", "clientCert", "authentication", "deploymentId":
			delete(event, k)
		}
	}
}

// A nil identitySource of HTTP 2.0 is null, an absent query string is "".
func TestEventWritesHTTP2(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(apigw.Event{Version: "2.0", Type: "REQUEST", IdentitySource: []string(nil), RawQueryString: new("")})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":"2.0","type":"REQUEST","identitySource":null,"rawQueryString":""}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// REST writes empty maps as {}; nil ones are left out.
func TestEventWritesREST(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(apigw.Event{Type: "REQUEST", PathParameters: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"REQUEST","pathParameters":{}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, event := range events(f) {
		f.Add(event)
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		req, err := apigw.Gateway{}.Decode(event)
		if err != nil {
			checkTrouble(t, req, err, "")
			return
		}
		if req.Path != "/"+strings.Join(req.Segments, "/") {
			t.Errorf("path %q of segments %q", req.Path, req.Segments)
		}
		if req.API.ID == "" || req.API.Stage == "" || req.API.Kind == "" || req.Method == "" || req.Shape == "" {
			t.Errorf("incomplete: %+v", req)
		}
		for name := range req.Headers {
			if name != strings.ToLower(name) || name == "cookie" {
				t.Errorf("header %q", name)
			}
		}
		if req.Ambiguous != "" {
			return
		}
		for i, s := range req.Segments {
			last := i == len(req.Segments)-1
			slash := s == "" && last && (req.Shape == engine.ShapeHTTP1 || req.Shape == engine.ShapeHTTP2)
			if (s == "" && !slash) || s == "." || s == ".." || strings.ContainsAny(s, "/\\\x00*?") || !utf8.ValidString(s) {
				t.Errorf("segment %q in %q", s, req.Segments)
			}
		}
		for name, value := range req.Params {
			if !strings.Contains(req.Path, value) && req.Route != "" && req.Route != "$default" {
				t.Errorf("parameter %s = %q is not in %q", name, value, req.Path)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"rest-token", "rest-request", "websocket", "http1", "http2"} {
		b.Run(name, func(b *testing.B) {
			event := event(b, name)
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (apigw.Gateway{}).Decode(event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUnmarshal is the JSON parsing alone, the floor of BenchmarkDecode.
func BenchmarkUnmarshal(b *testing.B) {
	event := event(b, "rest-request")
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		var ev apigw.Event
		if err := json.Unmarshal(event, &ev); err != nil {
			b.Fatal(err)
		}
	}
}
