package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/tenants"
)

// seen is what an upstream got.
type seen struct {
	method, target, host, body string
	header                     http.Header
}

// upstream starts a backend on loopback that reports what it gets and answers 201.
func upstream(t *testing.T) (url string, requests <-chan seen) {
	t.Helper()
	got := make(chan seen, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got <- seen{r.Method, r.RequestURI, r.Host, string(body), r.Header}
		w.Header().Set("X-Backend", "yes")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "made")
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func withUpstream(a tenants.API, url string) tenants.API {
	a.Upstream = url
	return a
}

// TestUpstream holds what an upstream gets of an allowed request: the judged path, the
// client's headers and body, and the authorizer's context instead of the client's.
func TestUpstream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, base string
		kind       tenants.APIKind
		request    []string
		target     string
	}{
		{"rest keeps the encoding", "", tenants.REST, []string{"GET /a%20b/%2f%3F?x=%20&y"}, "/a%20b/%2f%3F?x=%20&y"},
		{"rest collapses leading slashes", "", tenants.REST, []string{"GET ///a//b/"}, "/a//b/"},
		{"http decodes", "", tenants.HTTP, []string{"GET /a%20b%2Fc%252F"}, "/a%20b/c%252F"},
		{"http cuts at an encoded question mark", "", tenants.HTTP, []string{"GET /a%3Fadmin?x=1"}, "/a?x=1"},
		{"http trailing slash", "", tenants.HTTP, []string{"GET /a/"}, "/a/"},
		{"base path", "/v1/", tenants.REST, []string{"GET /a%2Fb"}, "/v1/a%2Fb"},
		{"no stage", "", tenants.HTTP, []string{"GET /local/a"}, "/local/a"},
		{"semicolons would hide parameters", "", tenants.REST, []string{"GET /a?x=1&y=2;z=3"}, "/a?x=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, requests := upstream(t)
			r := newRig(t, withUpstream(api(tt.kind, 0), url+tt.base), gateway.Options{})
			r.authorizer.set(policy([]string{"*"}, nil), nil)
			w := r.send(t, append(tt.request, "Authorization: t1")...)
			if w.Code != 201 || w.Body.String() != "made" || w.Header().Get("X-Backend") != "yes" {
				t.Fatalf("%d %s (%s)", w.Code, w.Body, r.last().Why)
			}
			if got := <-requests; got.target != tt.target {
				t.Errorf("the upstream got %s, want %s", got.target, tt.target)
			}
			if trace := r.last(); trace.Status != 201 || trace.Outcome != gateway.Allowed {
				t.Errorf("trace has %d, %s", trace.Status, trace.Outcome)
			}
		})
	}
}

func TestUpstreamHeaders(t *testing.T) {
	t.Parallel()
	url, requests := upstream(t)
	r := newRig(t, withUpstream(api(tenants.REST, 0), url), gateway.Options{})
	r.authorizer.set(strings.Replace(allowAll, `"level":3`, `"level":3.50,"none":null,"title":"Grüße, Bob"`, 1), nil)
	r.send(t, "POST /orders", "Authorization: Bearer t1", "Content-Length: 4",
		"X-Regent-Context-TenantId: rival", "x-regent-context-tenantid: rival", "X_Regent_Context_Level: 9",
		"X-Regent-Context-Root: true", "X-Regent_Context-Principalid: root",
		// A client can ask proxies to drop headers of its own connection; not ours.
		"Connection: X-Regent-Context-Tenantid, Upgrade", "Upgrade: websocket",
		"X-Forwarded-For: 198.51.100.1", "Forwarded: for=198.51.100.1", "",
		"body")
	got := <-requests
	if got.method != "POST" || got.body != "body" || got.host != "api.acme.example" {
		t.Errorf("the upstream got %s %q for %s", got.method, got.body, got.host)
	}
	want := http.Header{
		"X-Regent-Context-Tenantid":    {"acme"},
		"X-Regent-Context-Level":       {"3.50"},
		"X-Regent-Context-Admin":       {"false"},
		"X-Regent-Context-Title":       {"Grüße, Bob"},
		"X-Regent-Context-Principalid": {"alice"},
		"Authorization":                {"Bearer t1"},
		"X-Forwarded-For":              {"198.51.100.1, 203.0.113.7"},
		"X-Forwarded-Host":             {"api.acme.example"},
		"X-Forwarded-Proto":            {"http"},
		"Content-Length":               {"4"},
	}
	for _, transport := range []string{"Accept-Encoding", "User-Agent"} {
		got.header.Del(transport)
	}
	if diff := cmp.Diff(want, got.header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// TestNestedContextUpstream holds that an HTTP API's lists and objects arrive as JSON,
// and that nothing is added to its context.
func TestNestedContextUpstream(t *testing.T) {
	t.Parallel()
	url, requests := upstream(t)
	r := newRig(t, withUpstream(api(tenants.HTTP, 0), url), gateway.Options{})
	r.authorizer.set(strings.Replace(allowAll, `{"admin":false,"level":3,"tenantId":"acme"}`, `{"roles":["a",1.50],"admin":true}`, 1), nil)
	r.send(t, "GET /")
	got := map[string][]string{}
	for name, values := range (<-requests).header {
		if strings.HasPrefix(name, gateway.ContextHeader) {
			got[name] = values
		}
	}
	want := map[string][]string{"X-Regent-Context-Roles": {`["a",1.50]`}, "X-Regent-Context-Admin": {"true"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("context headers (-want +got):\n%s", diff)
	}
}

// TestContextThatIsNoHeader holds that a context which a backend could misread is not
// delivered at all.
func TestContextThatIsNoHeader(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, context, want string }{
		{"two keys that differ in case", `{"tenantId":"acme","tenantid":"rival"}`, "two keys that are both the header X-Regent-Context-Tenantid"},
		{"the principal in another case", `{"PRINCIPALID":"root"}`, "two keys that are both the header X-Regent-Context-Principalid"},
		{"line break", `{"a":"1\r\nX-Admin: true"}`, `"a" does not fit`},
		{"NUL", `{"a":"1\u0000"}`, `"a" does not fit`},
		{"space around", `{"a":" 1"}`, `"a" does not fit`},
		{"key with a hyphen", `{"a-b":"1"}`, `"a-b" does not fit`},
		{"key with a colon", `{"a:b":"1"}`, `"a:b" does not fit`},
		{"empty key", `{"":"1"}`, `"" does not fit`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, requests := upstream(t)
			r := newRig(t, withUpstream(api(tenants.REST, 0), url), gateway.Options{})
			r.authorizer.set(strings.Replace(allowAll, `{"admin":false,"level":3,"tenantId":"acme"}`, tt.context, 1), nil)
			w := r.send(t, "GET /")
			if trace := r.last(); w.Code != 500 || trace.Outcome != gateway.ContextUnusable || !strings.Contains(trace.Why, tt.want) {
				t.Errorf("%d, %s: %s; want %q", w.Code, trace.Outcome, trace.Why, tt.want)
			}
			select {
			case got := <-requests:
				t.Errorf("the upstream got %v", got)
			default:
			}
		})
	}
}

// TestRefusedIsNotDelivered holds that nothing of a request that is not allowed reaches
// the upstream.
func TestRefusedIsNotDelivered(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"explicit": policy(nil, []string{"*"}), "implicit": policy(nil, nil), "malformed": "{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := upstream(t)
			r := newRig(t, withUpstream(api(tenants.REST, 0), url), gateway.Options{})
			r.authorizer.set(reply, nil)
			if w := r.send(t, "GET /"); w.Code < 400 {
				t.Errorf("%d", w.Code)
			}
			select {
			case got := <-requests:
				t.Errorf("the upstream got %v", got)
			default:
			}
		})
	}
}

func TestUpstreamTrouble(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	reading, _ := upstream(t)

	tests := []struct {
		name, url string
		kind      tenants.APIKind
		body      int
		chunked   bool
		status    int
		want      string
		outcome   gateway.Outcome
	}{
		{"rest refused", closed, tenants.REST, 0, false, 502, `{"message":"Internal server error"}`, gateway.UpstreamFailed},
		{"http refused", closed, tenants.HTTP, 0, false, 503, `{"message":"Service Unavailable"}`, gateway.UpstreamFailed},
		{"rest silent", silent.URL, tenants.REST, 0, false, 504, `{"message":"Endpoint request timed out"}`, gateway.UpstreamTimeout},
		{"http silent", silent.URL, tenants.HTTP, 0, false, 503, `{"message":"Service Unavailable"}`, gateway.UpstreamTimeout},
		{"rest body too large", reading, tenants.REST, 10<<20 + 1, false, 413, `{"message":"HTTP content length exceeded 10485760 bytes."}`, gateway.BodyTooLarge},
		{"http body of unknown size too large", reading, tenants.HTTP, 10<<20 + 1, true, 413, `{"message":"Request Entity Too Large"}`, gateway.BodyTooLarge},
		{"body that just fits", reading, tenants.REST, 10 << 20, true, 201, "made", gateway.Allowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := gateway.Options{}
			if tt.url == silent.URL {
				o.UpstreamTimeout = 20 * time.Millisecond
			}
			r := newRig(t, withUpstream(api(tt.kind, 0), tt.url), o)
			req := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", tt.body)))
			if tt.chunked {
				req.ContentLength = -1
			}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			trace := r.last()
			if w.Code != tt.status || w.Body.String() != tt.want || trace.Outcome != tt.outcome || trace.Status != tt.status {
				t.Errorf("%d %s, %s: %s\nwant %d %s, %s", w.Code, w.Body, trace.Outcome, trace.Why, tt.status, tt.want, tt.outcome)
			}
		})
	}
}

// TestWebSocketUpstream opens a connection through the gateway and back.
func TestWebSocketUpstream(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprintf(rw, "you said %s", line)
		rw.Flush()
	}))
	t.Cleanup(backend.Close)
	traces := make(chan gateway.Trace, 1)
	h, err := gateway.New(withUpstream(api(tenants.WebSocket, 0), backend.URL), gateway.Options{
		Authorize: (&authorizer{reply: policy([]string{"$connect"}, nil)}).Authorize,
		OnRequest: func(trace gateway.Trace) { traces <- trace },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)

	conn, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A hang should fail here, not at the end of the test run.
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /?token=t1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Regent-Context-Tenantid: rival\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "you said hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	conn.Close()
	if header := <-got; !slices.Equal(header["X-Regent-Context-Tenantid"], []string{"acme"}) {
		t.Errorf("the upstream got %v", header)
	}
	if trace := <-traces; trace.Status != 101 || trace.Outcome != gateway.Allowed {
		t.Errorf("trace has %d, %s", trace.Status, trace.Outcome)
	}
}

// TestToken holds that a TOKEN authorizer's identity source is the token's header.
func TestToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, api(tenants.REST, time.Minute), gateway.Options{Shape: engine.ShapeToken})
	r.play(t, []step{
		{"no header", nil, "GET /", "", 401, gateway.NotAsked, 0},
		{"miss", nil, "GET /", "t1", 200, gateway.Invoked, 1},
		{"hit", nil, "GET /b", "t1", 200, gateway.Cached, 1},
	})
}
