package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"regent/engine"
	"regent/engine/apigw"
	"regent/tenants"
)

// The events have the members that the shape has on AWS and no more. Maps of REST
// events are {} when they are empty; HTTP 2.0 leaves them out then.

// timeFormat is the access-log form that events have their times in.
const timeFormat = "02/Jan/2006:15:04:05 -0700"

// event builds the authorizer event of a request. values are those of the identity
// sources.
func (h *Handler) event(q *request, values []string) ([]byte, error) {
	var e apigw.Event
	switch h.o.Shape {
	case engine.ShapeToken:
		e = apigw.Event{Type: "TOKEN", MethodARN: q.arn, AuthorizationToken: values[0]}
	case engine.ShapeREST:
		e = h.restEvent(q)
	case engine.ShapeWebSocket:
		e = h.webSocketEvent(q)
	case engine.ShapeHTTP1:
		e = h.http1Event(q, values)
	default:
		e = h.http2Event(q, values)
	}
	return json.Marshal(e)
}

func (h *Handler) restEvent(q *request) apigw.Event {
	e := h.baseEvent(q)
	e.Resource, e.Path, e.HTTPMethod = q.route.path, q.path, q.method
	e.PathParameters = orEmpty(q.params)
	c := &e.RequestContext
	c.ResourceID, c.ResourcePath = resourceID(q.route), q.route.path
	c.HTTPMethod, c.Path, c.AccountID, c.Protocol = q.method, h.stagePath(q.sentPath), h.o.Account, q.protocol
	c.DomainName, c.DomainPrefix = domain(q.host)
	return e
}

func (h *Handler) webSocketEvent(q *request) apigw.Event {
	e := h.baseEvent(q)
	c := &e.RequestContext
	c.RouteKey, c.EventType, c.MessageDirection = connect, "CONNECT", "IN"
	c.ConnectionID, c.ConnectedAt = q.extendedID, q.at.UnixMilli()
	c.DomainName, _ = domain(q.host)
	return e
}

// http1Event is as AWS's documentation shows it: no multi-value maps, and neither
// stage nor percent encoding in the path.
func (h *Handler) http1Event(q *request, values []string) apigw.Event {
	e := h.restEvent(q)
	e.Version = "1.0"
	e.AuthorizationToken = strings.Join(values, ",")
	e.IdentitySource = e.AuthorizationToken
	e.MultiValueHeaders, e.MultiValueQueryStringParameters = nil, nil
	e.RequestContext.Path = q.path
	return e
}

// baseEvent has what REST and WebSocket events share.
func (h *Handler) baseEvent(q *request) apigw.Event {
	e := apigw.Event{
		Type:                            "REQUEST",
		MethodARN:                       q.arn,
		Headers:                         make(map[string]string, len(q.header)),
		MultiValueHeaders:               q.header,
		QueryStringParameters:           make(map[string]string, len(q.query)),
		MultiValueQueryStringParameters: make(map[string][]string, len(q.query)),
		StageVariables:                  orEmpty(h.o.StageVariables),
		RequestContext: apigw.RequestContext{
			Stage:             h.o.Stage,
			RequestID:         q.id,
			ExtendedRequestID: q.extendedID,
			RequestTime:       q.at.UTC().Format(timeFormat),
			RequestTimeEpoch:  q.at.UnixMilli(),
			APIID:             h.api.ID,
			Identity:          apigw.Caller{SourceIP: q.sourceIP, UserAgent: q.userAgent},
		},
	}
	for name, all := range q.header {
		e.Headers[name] = all[len(all)-1]
	}
	for _, p := range q.query {
		e.QueryStringParameters[p.name] = p.value
		e.MultiValueQueryStringParameters[p.name] = append(e.MultiValueQueryStringParameters[p.name], p.value)
	}
	if key := q.header.Get("X-Api-Key"); h.o.APIKeys[key] != "" {
		e.RequestContext.Identity.APIKey, e.RequestContext.Identity.APIKeyID = key, h.o.APIKeys[key]
	}
	return e
}

func (h *Handler) http2Event(q *request, values []string) apigw.Event {
	e := apigw.Event{
		Version:        "2.0",
		Type:           "REQUEST",
		RouteARN:       q.arn,
		IdentitySource: values,
		RouteKey:       q.route.key,
		RawPath:        h.stagePath(q.path),
		RawQueryString: &q.rawQuery,
		Headers:        make(map[string]string, len(q.header)),
		PathParameters: q.params,
		StageVariables: h.o.StageVariables,
		RequestContext: apigw.RequestContext{
			AccountID: h.o.Account,
			APIID:     h.api.ID,
			HTTP: apigw.HTTP{
				Method: q.method, Path: h.stagePath(q.path), Protocol: q.protocol,
				SourceIP: q.sourceIP, UserAgent: q.userAgent,
			},
			RequestID: q.extendedID,
			RouteKey:  q.route.key,
			Stage:     h.o.Stage,
			Time:      q.at.UTC().Format(timeFormat),
			TimeEpoch: q.at.UnixMilli(),
		},
	}
	e.RequestContext.DomainName, e.RequestContext.DomainPrefix = domain(q.host)
	for name, all := range q.header {
		if name == "Cookie" {
			e.Cookies = cookies(all)
			continue
		}
		e.Headers[strings.ToLower(name)] = strings.Join(all, ",")
	}
	if len(q.query) > 0 {
		e.QueryStringParameters = make(map[string]string, len(q.query))
	}
	for _, p := range q.query {
		if before, ok := e.QueryStringParameters[p.name]; ok {
			p.value = before + "," + p.value
		}
		e.QueryStringParameters[p.name] = p.value
	}
	return e
}

// cookies takes Cookie headers apart into name=value.
func cookies(headers []string) []string {
	var all []string
	for _, header := range headers {
		for c := range strings.SplitSeq(header, ";") {
			if c = strings.TrimSpace(c); c != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

// requestID is the id that the event of a request has, and the decision log repeats.
func (h *Handler) requestID(q *request) string {
	if h.o.Shape == engine.ShapeHTTP2 {
		return q.extendedID
	}
	return q.id
}

// domain is the host without its port, and its first label.
func domain(host string) (name, prefix string) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
	}
	prefix, _, _ = strings.Cut(name, ".")
	return name, prefix
}

// resourceID is an id of six characters that stays the same for a route.
func resourceID(t route) string {
	sum := sha256.Sum256([]byte(t.path))
	return hex.EncodeToString(sum[:3])
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// shapeOf is the payload that an API has unless Options say otherwise.
func shapeOf(kind tenants.APIKind) engine.Shape {
	switch kind {
	case tenants.REST:
		return engine.ShapeREST
	case tenants.HTTP:
		return engine.ShapeHTTP2
	default:
		return engine.ShapeWebSocket
	}
}
