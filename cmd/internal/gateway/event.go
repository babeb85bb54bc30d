package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"regent/engine"
	"regent/tenants"
)

// The events have the members of APIGATEWAY's authorizer payloads, no more: REST maps
// are {} when empty, HTTP 2.0 maps are absent then.

// tokenEvent is REST's TOKEN payload.
type tokenEvent struct {
	Type               string `json:"type"`
	MethodArn          string `json:"methodArn"`
	AuthorizationToken string `json:"authorizationToken"`
}

// requestEvent is the REQUEST payload of REST and WebSocket APIs, and format 1.0 of
// HTTP APIs. Members that one of them lacks are pointers, or maps left nil.
type requestEvent struct {
	Version            string `json:"version,omitempty"`
	Type               string `json:"type"`
	MethodArn          string `json:"methodArn"`
	IdentitySource     string `json:"identitySource,omitempty"`
	AuthorizationToken string `json:"authorizationToken,omitempty"`
	Resource           string `json:"resource,omitempty"`
	Path               string `json:"path,omitempty"`
	HTTPMethod         string `json:"httpMethod,omitempty"`

	Headers                         map[string]string   `json:"headers"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders,omitzero"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters,omitzero"`
	PathParameters                  map[string]string   `json:"pathParameters,omitzero"`
	StageVariables                  map[string]string   `json:"stageVariables"`
	RequestContext                  requestContext      `json:"requestContext"`
}

type requestContext struct {
	ResourceID        string          `json:"resourceId,omitempty"`
	ResourcePath      string          `json:"resourcePath,omitempty"`
	HTTPMethod        string          `json:"httpMethod,omitempty"`
	Path              string          `json:"path,omitempty"`
	RouteKey          string          `json:"routeKey,omitempty"`
	EventType         string          `json:"eventType,omitempty"`
	MessageDirection  string          `json:"messageDirection,omitempty"`
	ConnectionID      string          `json:"connectionId,omitempty"`
	ConnectedAt       int64           `json:"connectedAt,omitempty"`
	AccountID         string          `json:"accountId,omitempty"`
	Protocol          string          `json:"protocol,omitempty"`
	Stage             string          `json:"stage"`
	DomainName        string          `json:"domainName,omitempty"`
	DomainPrefix      string          `json:"domainPrefix,omitempty"`
	RequestID         string          `json:"requestId"`
	ExtendedRequestID string          `json:"extendedRequestId,omitempty"`
	RequestTime       string          `json:"requestTime,omitempty"`
	RequestTimeEpoch  int64           `json:"requestTimeEpoch,omitempty"`
	APIID             string          `json:"apiId"`
	Identity          requestIdentity `json:"identity"`
}

type requestIdentity struct {
	APIKey    string `json:"apiKey,omitempty"`
	APIKeyID  string `json:"apiKeyId,omitempty"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent,omitempty"`
}

// httpEvent is format 2.0 of HTTP APIs.
type httpEvent struct {
	Version               string            `json:"version"`
	Type                  string            `json:"type"`
	RouteArn              string            `json:"routeArn"`
	IdentitySource        []string          `json:"identitySource"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	StageVariables        map[string]string `json:"stageVariables,omitempty"`
	RequestContext        httpContext       `json:"requestContext"`
}

type httpContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpDetails `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

type httpDetails struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// timeFormat is the access-log form that events have their times in.
const timeFormat = "02/Jan/2006:15:04:05 -0700"

// event builds the authorizer event of a request. values are those of the identity
// sources.
func (h *Handler) event(q *request, values []string) ([]byte, error) {
	switch h.o.Shape {
	case engine.ShapeToken:
		return json.Marshal(tokenEvent{Type: "TOKEN", MethodArn: q.arn, AuthorizationToken: values[0]})
	case engine.ShapeREST:
		return json.Marshal(h.restEvent(q))
	case engine.ShapeWebSocket:
		return json.Marshal(h.webSocketEvent(q))
	case engine.ShapeHTTP1:
		return json.Marshal(h.http1Event(q, values))
	default:
		return json.Marshal(h.http2Event(q, values))
	}
}

func (h *Handler) restEvent(q *request) requestEvent {
	e := h.baseEvent(q)
	e.Resource, e.Path, e.HTTPMethod = q.route.path, q.path, q.method
	e.PathParameters = orEmpty(q.params)
	c := &e.RequestContext
	c.ResourceID, c.ResourcePath = resourceID(q.route), q.route.path
	c.HTTPMethod, c.Path, c.AccountID, c.Protocol = q.method, h.stagePath(q.sentPath), h.o.Account, q.protocol
	c.DomainName, c.DomainPrefix = domain(q.host)
	return e
}

func (h *Handler) webSocketEvent(q *request) requestEvent {
	e := h.baseEvent(q)
	c := &e.RequestContext
	c.RouteKey, c.EventType, c.MessageDirection = connect, "CONNECT", "IN"
	c.ConnectionID, c.ConnectedAt = q.extendedID, q.at.UnixMilli()
	c.DomainName, _ = domain(q.host)
	return e
}

// http1Event is as AWS's documentation shows it: no multi-value maps, and neither
// stage nor percent encoding in the path.
func (h *Handler) http1Event(q *request, values []string) requestEvent {
	e := h.restEvent(q)
	e.Version = "1.0"
	e.IdentitySource = strings.Join(values, ",")
	e.AuthorizationToken = e.IdentitySource
	e.MultiValueHeaders, e.MultiValueQueryStringParameters = nil, nil
	e.RequestContext.Path = q.path
	if q.route.key == defaultStage {
		e.Resource, e.RequestContext.ResourcePath = q.route.key, q.route.key
	}
	return e
}

// baseEvent has what REST and WebSocket events share.
func (h *Handler) baseEvent(q *request) requestEvent {
	e := requestEvent{
		Type:                            "REQUEST",
		MethodArn:                       q.arn,
		Headers:                         make(map[string]string, len(q.header)),
		MultiValueHeaders:               q.header,
		QueryStringParameters:           make(map[string]string, len(q.query)),
		MultiValueQueryStringParameters: make(map[string][]string, len(q.query)),
		StageVariables:                  orEmpty(h.o.StageVariables),
		RequestContext: requestContext{
			Stage:             h.o.Stage,
			RequestID:         q.id,
			ExtendedRequestID: q.extendedID,
			RequestTime:       q.at.UTC().Format(timeFormat),
			RequestTimeEpoch:  q.at.UnixMilli(),
			APIID:             h.api.ID,
			Identity:          requestIdentity{SourceIP: q.sourceIP, UserAgent: q.userAgent},
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

func (h *Handler) http2Event(q *request, values []string) httpEvent {
	e := httpEvent{
		Version:        "2.0",
		Type:           "REQUEST",
		RouteArn:       q.arn,
		IdentitySource: values,
		RouteKey:       q.route.key,
		RawPath:        h.stagePath(q.path),
		RawQueryString: q.rawQuery,
		Headers:        make(map[string]string, len(q.header)),
		PathParameters: q.params,
		StageVariables: h.o.StageVariables,
		RequestContext: httpContext{
			AccountID: h.o.Account,
			APIID:     h.api.ID,
			HTTP:      httpDetails{q.method, h.stagePath(q.path), q.protocol, q.sourceIP, q.userAgent},
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
