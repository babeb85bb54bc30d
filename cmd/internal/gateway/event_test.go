package gateway_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/engine/apigw"
	"regent/tenants"
)

var update = flag.Bool("update", false, "rewrite event.json and decoded.json of testdata/events")

// TestEvents sends the request of each file in testdata/events through a gateway. The
// event that the authorizer gets must be event.json, and engine/apigw must understand
// it as decoded.json. Ids are blanked.
func TestEvents(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/events/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			event := eventOf(t, parts)
			decoded, err := apigw.Gateway{}.Decode(event)
			if err != nil {
				t.Fatalf("engine/apigw refuses the event: %v\n%s", err, event)
			}
			decodedJSON, err := json.Marshal(decoded)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{"event.json": blank(t, event), "decoded.json": blank(t, decodedJSON)}
			if *update {
				archive.Files = append(archive.Files[:3:3],
					txtar.File{Name: "event.json", Data: []byte(got["event.json"])},
					txtar.File{Name: "decoded.json", Data: []byte(got["decoded.json"])})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for name, text := range got {
				if diff := cmp.Diff(parts[name], text); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// eventOf returns the event that a case's request makes.
func eventOf(t *testing.T, parts map[string]string) []byte {
	t.Helper()
	var a tenants.API
	if err := json.Unmarshal([]byte(parts["api.json"]), &a); err != nil {
		t.Fatalf("api.json: %v", err)
	}
	var o struct {
		Stage, Region           string
		Shape                   engine.Shape
		StageVariables, APIKeys map[string]string
	}
	dec := json.NewDecoder(strings.NewReader(parts["options.json"]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		t.Fatalf("options.json: %v", err)
	}
	r := newRig(t, a, gateway.Options{Stage: o.Stage, Region: o.Region, Shape: o.Shape, StageVariables: o.StageVariables, APIKeys: o.APIKeys})
	text := strings.ReplaceAll(strings.TrimRight(parts["request"], "\n"), "\n", "\r\n") + "\r\n\r\n"
	r.ServeHTTP(discard{}, parse(t, text))
	if r.authorizer.invocations() != 1 {
		t.Fatalf("not invoked: %s (%s)", r.last().Outcome, r.last().Why)
	}
	event := r.authorizer.events[0]
	if id := r.last().RequestID; o.Shape != engine.ShapeToken && !bytes.Contains(event, []byte(`"requestId":"`+id+`"`)) {
		t.Errorf("the event does not have the request id %s of the trace:\n%s", id, event)
	}
	return event
}

var ids = regexp.MustCompile(`("(?:requestId|extendedRequestId|connectionId|ID)": )"[^"]+"`)

// blank indents JSON and takes the random ids out of it.
func blank(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return ids.ReplaceAllString(out.String(), `$1"…"`)
}

// TestEventsOfBothShapes holds that an API is the same to rules whichever payload its
// authorizer gets. The method of a route key is for the cache alone, and payload 1.0
// does not tell it.
func TestEventsOfBothShapes(t *testing.T) {
	t.Parallel()
	a := api(tenants.HTTP, 0, "GET /orders/{id}")
	var decoded []engine.Request
	for _, shape := range []engine.Shape{engine.ShapeHTTP1, engine.ShapeHTTP2} {
		r := newRig(t, a, gateway.Options{Shape: shape})
		r.send(t, "GET /orders/a%20b?x=1&y=2", "Authorization: t1", "Cookie: a=1; b=2")
		req, err := apigw.Gateway{}.Decode(r.authorizer.events[0])
		if err != nil {
			t.Fatal(err)
		}
		decoded = append(decoded, req)
	}
	if diff := cmp.Diff(decoded[0], decoded[1], cmpopts.EquateEmpty(), cmpopts.IgnoreFields(engine.Request{}, "Shape", "ID", "RouteMethod")); diff != "" {
		t.Errorf("1.0 and 2.0 differ (-1.0 +2.0):\n%s", diff)
	}
}
