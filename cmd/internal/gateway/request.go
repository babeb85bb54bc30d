package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"regent/engine/iam"
	"regent/tenants"
)

// The limits of API Gateway, in bytes.
const (
	// maxHeaders bounds the request line and all headers together.
	maxHeaders = 10_240
	// maxARN bounds the method ARN of a REST API.
	maxARN = 1600
	// maxBody bounds the body of a request.
	maxBody = 10 << 20
)

// connect is the route and the ARN's method of a WebSocket handshake.
const connect = "$connect"

// request is one client request as API Gateway understands it. Every form of it is
// settled here, once: route, ARN, event, cache key and upstream all see the same path.
type request struct {
	id         string
	extendedID string
	at         time.Time
	method     string
	// path starts with "/" and has no stage. A REST API keeps the client's percent
	// encoding, an HTTP API decodes it.
	path string
	// sentPath is the path as REST's requestContext.path has it: leading slashes are
	// not collapsed.
	sentPath string
	route    route
	params   map[string]string
	arn      string
	query    []parameter
	rawQuery string
	// header has Host and X-Forwarded-* besides what the client sent. Names are in
	// net/http's canonical form.
	header    http.Header
	host      string
	protocol  string
	userAgent string
	sourceIP  string
}

// parameter is one name and value of a query, decoded.
type parameter struct{ name, value string }

// read turns what net/http received into a request. An outcome other than "" says why
// the request goes no further, and why in words.
func (h *Handler) read(r *http.Request) (*request, Outcome, string) {
	q := &request{
		at:        h.o.Now(),
		method:    r.Method,
		rawQuery:  r.URL.RawQuery,
		query:     parseQuery(r.URL.RawQuery, h.api.Kind),
		host:      r.Host,
		protocol:  r.Proto,
		userAgent: r.UserAgent(),
		sourceIP:  sourceIP(r.RemoteAddr),
	}
	q.id, q.extendedID = newIDs()
	q.header = forwarded(r, q.sourceIP)
	if n := headerSize(r); n > maxHeaders {
		return q, HeadersTooLarge, fmt.Sprintf("request line and headers have %d bytes, more than %d", n, maxHeaders)
	}
	if r.ContentLength > maxBody {
		return q, BodyTooLarge, fmt.Sprintf("the body has %d bytes, more than %d", r.ContentLength, maxBody)
	}
	if !strings.HasPrefix(r.URL.Path, "/") && r.URL.Path != "" {
		return q, BadRequest, "the request target is not a path"
	}
	if outcome, why := h.settlePath(q, r.URL); outcome != "" {
		return q, outcome, why
	}
	if outcome, why := h.settleRoute(q, r.Header); outcome != "" {
		return q, outcome, why
	}
	q.arn = h.requestARN(q)
	if h.api.Kind == tenants.REST && len(q.arn) > maxARN {
		return q, ARNTooLong, fmt.Sprintf("the method ARN has %d bytes, more than %d", len(q.arn), maxARN)
	}
	return q, "", ""
}

// settlePath decides the one spelling of the path.
func (h *Handler) settlePath(q *request, u *url.URL) (Outcome, string) {
	if h.api.Kind != tenants.HTTP {
		q.sentPath = "/" + strings.TrimPrefix(u.EscapedPath(), "/")
		q.path = "/" + strings.TrimLeft(q.sentPath, "/")
		return "", ""
	}
	// An HTTP API decodes first and asks questions later: an encoded slash becomes a
	// slash, and an encoded question mark ends the path.
	decoded, _, _ := strings.Cut(u.Path, "?")
	if !utf8.ValidString(decoded) {
		// JSON has no such strings: the event would name another path than the one
		// that the upstream gets. What AWS does is not documented.
		return BadRequest, "the decoded path is not UTF-8"
	}
	q.path = "/" + strings.TrimPrefix(decoded, "/")
	q.sentPath = q.path
	return "", ""
}

func (h *Handler) settleRoute(q *request, header http.Header) (Outcome, string) {
	if h.api.Kind == tenants.WebSocket {
		q.route = route{key: connect}
		if q.path != "/" {
			return NoRoute, "a WebSocket API has the path / only"
		}
		if q.method != http.MethodGet || !strings.EqualFold(header.Get("Upgrade"), "websocket") {
			return UpgradeRequired, "a WebSocket API takes handshakes only: GET with Upgrade: websocket"
		}
		return "", ""
	}
	var ok bool
	if q.route, q.params, ok = h.routes.find(q.method, q.path); !ok {
		return NoRoute, "the API has no route for this method and path"
	}
	return "", ""
}

func (h *Handler) requestARN(q *request) string {
	arn := iam.ARN{
		Partition: partition(h.o.Region),
		Region:    h.o.Region,
		Account:   h.o.Account,
		API:       h.api.ID,
		Stage:     h.o.Stage,
		Method:    q.method,
		Path:      strings.TrimPrefix(q.path, "/"),
	}
	if h.api.Kind == tenants.WebSocket {
		arn.Method, arn.Path = connect, ""
	}
	return arn.String()
}

// partition is the one that a region is in.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// parseQuery decodes a query. REST APIs also split it at ";". A pair with a broken
// percent escape stays as it is: left out, the authorizer would not see what the
// upstream might.
func parseQuery(raw string, kind tenants.APIKind) []parameter {
	if raw == "" {
		return nil
	}
	separators := "&"
	if kind != tenants.HTTP {
		separators = "&;"
	}
	var parsed []parameter
	for _, pair := range strings.FieldsFunc(raw, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		name, value, _ := strings.Cut(pair, "=")
		parsed = append(parsed, parameter{unescape(name), unescape(value)})
	}
	return parsed
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// forwarded returns the client's headers with those that net/http takes out and
// those that API Gateway adds.
func forwarded(r *http.Request, ip string) http.Header {
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	if before := header.Values("X-Forwarded-For"); len(before) > 0 {
		ip = strings.Join(before, ", ") + ", " + ip
	}
	header.Set("X-Forwarded-For", ip)
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	header.Set("X-Forwarded-Proto", proto)
	header.Set("X-Forwarded-Port", port)
	return header
}

// headerSize is what the request line and the headers took on the wire.
func headerSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(" \r\n ") + len("Host: \r\n") + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(": \r\n") + len(value)
		}
	}
	return n
}

func sourceIP(remote string) string {
	if ip, _, err := net.SplitHostPort(remote); err == nil {
		return ip
	}
	return remote
}

// newIDs returns a request id (a UUID) and an extended request id, in API Gateway's
// forms.
func newIDs() (id, extended string) {
	var b [27]byte
	// crypto/rand.Read does not fail; it ends the process instead.
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
	return id, base64.URLEncoding.EncodeToString(b[16:])
}
