package gateway_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/iam"
	"regent/tenants"
)

// FuzzRequest sends what a client may send through a gateway of each shape. Whatever
// comes: the event is one that engine/apigw reads, it is about the request at hand,
// and a path that counts as plain has the same segments for rules and for the backend.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /orders/17?x=1 HTTP/1.1\r\nHost: a\r\nAuthorization: t1\r\n\r\n",
		"GET //a%2f..%2F%3f;x=1/?%zz&a=1;b HTTP/1.1\r\nHost: a:80\r\nCookie: a; b=1\r\n\r\n",
		"DELETE http://b/%C3%A4/%25%32f HTTP/1.0\r\nX: \xff\r\n\r\n",
		"GET /local/a/ HTTP/1.1\r\nHost: \r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add(seed)
	}
	var decoded engine.Request
	decode := func(_ context.Context, event []byte) ([]byte, error) {
		var err error
		decoded, err = apigw.Gateway{}.Decode(event)
		return []byte(policy(nil, []string{"*"})), err
	}
	var trace gateway.Trace
	var gateways []*gateway.Handler
	for _, shape := range []engine.Shape{engine.ShapeREST, engine.ShapeToken, engine.ShapeHTTP2, engine.ShapeHTTP1, engine.ShapeWebSocket} {
		kind := map[engine.Shape]tenants.APIKind{
			engine.ShapeREST: tenants.REST, engine.ShapeToken: tenants.REST,
			engine.ShapeHTTP1: tenants.HTTP, engine.ShapeHTTP2: tenants.HTTP, engine.ShapeWebSocket: tenants.WebSocket,
		}[shape]
		h, err := gateway.New(api(kind, 0), gateway.Options{
			Shape: shape, Authorize: decode, OnRequest: func(t gateway.Trace) { trace = t },
		})
		if err != nil {
			f.Fatal(err)
		}
		gateways = append(gateways, h)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		for _, h := range gateways {
			decoded = engine.Request{}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code < 400 || w.Code != trace.Status {
				t.Fatalf("answered %d, trace has %d", w.Code, trace.Status)
			}
			if trace.Authorizer != gateway.Invoked {
				continue
			}
			if trace.Err != nil {
				t.Fatalf("engine/apigw does not read the event: %v", trace.Err)
			}
			if _, err := iam.ParseARN(decoded.ARN); err != nil {
				t.Fatal(err)
			}
			if decoded.Ambiguous == "" && decoded.Method != "$connect" {
				samePath(t, decoded, trace.Path)
			}
		}
	})
}

// samePath compares the path that rules see with the one that goes to the backend.
func samePath(t *testing.T, decoded engine.Request, path string) {
	t.Helper()
	if decoded.API.Kind == tenants.REST {
		var err error
		if path, err = url.PathUnescape(path); err != nil {
			t.Fatal(err)
		}
		if path != "/" {
			path = strings.TrimSuffix(path, "/")
		}
	}
	if decoded.Path != path {
		t.Fatalf("rules see %q, the backend %q", decoded.Path, path)
	}
}
