package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"regent/tenants"
)

// ContextHeader starts the names of the request headers in which an upstream finds
// the authorizer context: the entry tenantId is X-Regent-Context-Tenantid. Values are
// strings, as on REST APIs (an HTTP API's lists and objects are JSON); null entries
// are left out. REST and WebSocket APIs add principalId where the context has none.
//
// Whatever a client sends under such a name, in any case and with "_" for "-", is
// taken out. Header names have no case, so a context with two keys that differ in
// case only, or with a value that does not fit into a header, is answered with 500
// rather than delivered ambiguously.
const ContextHeader = "X-Regent-Context-"

// deliver answers a request that is allowed.
func (h *Handler) deliver(w http.ResponseWriter, r *http.Request, q *request, a *reply, t *Trace) {
	if h.proxy == nil {
		h.echo(w, q, a, t)
		return
	}
	header, err := h.contextHeaders(a)
	if err != nil {
		h.refuse(w, t, ContextUnusable, err.Error())
		return
	}
	ctx := context.WithValue(r.Context(), deliveryKey{}, &delivery{q, header, t})
	if h.api.Kind != tenants.WebSocket {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.o.UpstreamTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	h.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// delivery is what the proxy needs to know of a request, in its context.
type delivery struct {
	request *request
	header  http.Header
	trace   *Trace
}

type deliveryKey struct{}

func deliveryOf(ctx context.Context) *delivery { return ctx.Value(deliveryKey{}).(*delivery) }

// contextHeaders are the authorizer context as request headers.
func (h *Handler) contextHeaders(a *reply) (http.Header, error) {
	entries := a.context
	if _, there := entries["principalId"]; !there && a.principalID != "" && h.api.Kind != tenants.HTTP {
		entries = maps.Clone(entries)
		if entries == nil {
			entries = make(map[string]any)
		}
		entries["principalId"] = a.principalID
	}
	header := make(http.Header, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		name := http.CanonicalHeaderKey(ContextHeader + key)
		value, there := text(entries[key])
		switch {
		case !there:
			continue
		case !isToken(key) || !isFieldValue(value):
			return nil, fmt.Errorf("context %q does not fit into a header", key)
		case header[name] != nil:
			return nil, fmt.Errorf("context has two keys that are both the header %s", name)
		}
		header[name] = []string{value}
	}
	return header, nil
}

// isToken reports whether a context key may be part of a header's name. A hyphen may
// not: servers that pass headers on as CGI variables cannot tell it from "_".
func isToken(key string) bool {
	for i := range len(key) {
		c := key[i]
		if letter := 'a' <= c|0x20 && c|0x20 <= 'z'; !letter && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return key != ""
}

// isFieldValue reports whether a header can have this value: no control characters,
// which could end the header and start another, and no spaces around it, which would
// be lost.
func isFieldValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return strings.Trim(value, " \t") == value
}

// stripContext takes out what the client sent in place of the authorizer.
func stripContext(header http.Header) {
	for name := range header {
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if strings.HasPrefix(plain, strings.ToLower(ContextHeader)) {
			delete(header, name)
		}
	}
}

func newTransport() *http.Transport {
	return &http.Transport{
		// No Proxy: an upstream is named by the workspace and dialled directly.
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     30 * time.Second,
		MaxIdleConnsPerHost: 32,
		// The client's own Accept-Encoding decides.
		DisableCompression: true,
	}
}

func (h *Handler) newProxy(upstream *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: h.transport,
		// The default writes to the process's log; Trace has the error already.
		ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			d := deliveryOf(p.In.Context())
			// The path that was judged, and no other spelling of it.
			p.Out.URL.Path, p.Out.URL.RawPath = d.request.path, ""
			if h.api.Kind != tenants.HTTP {
				p.Out.URL.RawPath = d.request.path
				p.Out.URL.Path, _ = url.PathUnescape(d.request.path)
			}
			p.SetURL(upstream)
			p.Out.Host = p.In.Host
			// As in the event: what the client sent, and its address behind it.
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			stripContext(p.Out.Header)
			maps.Copy(p.Out.Header, d.header)
			if h.api.Kind != tenants.WebSocket {
				// API Gateway passes no upgrades on.
				p.Out.Header.Del("Connection")
				p.Out.Header.Del("Upgrade")
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			outcome := UpstreamFailed
			var tooLarge *http.MaxBytesError
			switch {
			case errors.As(err, &tooLarge):
				outcome = BodyTooLarge
			case errors.Is(err, context.DeadlineExceeded):
				outcome = UpstreamTimeout
			}
			h.refuse(w, deliveryOf(r.Context()).trace, outcome, err.Error())
		},
	}
}

// echo stands in for an upstream: it shows what the gateway made of the request, and
// the authorizer context as a Lambda integration would get it.
func (h *Handler) echo(w http.ResponseWriter, q *request, a *reply, t *Trace) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Message    string         `json:"message"`
		API        string         `json:"api"`
		Stage      string         `json:"stage"`
		Method     string         `json:"method"`
		Path       string         `json:"path"`
		Route      string         `json:"route"`
		Authorizer map[string]any `json:"authorizer"`
	}{
		"The authorizer allowed this request.",
		h.api.ID, h.o.Stage, q.method, q.path, q.route.key, h.authorizer(a, t),
	})
	if err != nil {
		h.refuse(w, t, ContextUnusable, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, body.String())
}

// authorizer is requestContext.authorizer of the event that a Lambda integration
// gets: with payload 2.0 for an HTTP API, else flat and with every value as a string.
func (h *Handler) authorizer(a *reply, t *Trace) map[string]any {
	if h.api.Kind == tenants.HTTP {
		var lambda any
		if a.context != nil {
			lambda = a.context
		}
		return map[string]any{"lambda": lambda}
	}
	flat := make(map[string]any, len(a.context)+2)
	for key, value := range a.context {
		flat[key] = nil
		if s, there := text(value); there {
			flat[key] = s
		}
	}
	flat["principalId"] = a.principalID
	flat["integrationLatency"] = t.AuthorizerTime.Milliseconds()
	return flat
}
