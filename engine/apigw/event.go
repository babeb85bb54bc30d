package apigw

// Event is an authorizer event of any shape: each field says which shapes have it
// (TOKEN, REST, WebSocket, HTTP 1.0, HTTP 2.0). It is read and written with
// encoding/json. A nil map or list is left out when written; an empty one is
// written as {} or [], as API Gateway does in REST events.
type Event struct {
	// Version is "1.0" or "2.0" for HTTP APIs, absent for the others.
	Version string `json:"version,omitzero"`
	// Type is TOKEN or REQUEST.
	Type string `json:"type"`
	// MethodARN names the request: all but HTTP 2.0.
	MethodARN string `json:"methodArn,omitzero"`
	// RouteARN names the request: HTTP 2.0.
	RouteARN string `json:"routeArn,omitzero"`
	// IdentitySource has the values of the identity sources: a string in HTTP 1.0, a
	// []string in HTTP 2.0, where a nil []string is written as null, as API Gateway
	// does for an authorizer without any. Decode does not look at it.
	IdentitySource any `json:"identitySource,omitzero"`
	// AuthorizationToken is the credential: TOKEN; in HTTP 1.0 the same as IdentitySource.
	AuthorizationToken string `json:"authorizationToken,omitzero"`

	// Resource is the route's template: REST, HTTP 1.0.
	Resource string `json:"resource,omitzero"`
	// Path is without the stage and with a custom domain's base path: REST, percent-encoded as
	// sent; HTTP 1.0, decoded.
	Path string `json:"path,omitzero"`
	// HTTPMethod is the verb: REST, HTTP 1.0.
	HTTPMethod string `json:"httpMethod,omitzero"`

	// RouteKey is "METHOD /template" or $default: HTTP 2.0.
	RouteKey string `json:"routeKey,omitzero"`
	// RawPath is decoded, in spite of its name, with a named stage and a custom
	// domain's base path: HTTP 2.0.
	RawPath string `json:"rawPath,omitzero"`
	// RawQueryString is encoded as sent, and "" where there is none: HTTP 2.0.
	RawQueryString *string `json:"rawQueryString,omitzero"`
	// Cookies are name=value pairs: HTTP 2.0.
	Cookies []string `json:"cookies,omitzero"`

	// Headers are all but TOKEN's. REST and WebSocket keep a repeated header's last value
	// and the client's spelling of names, HTTP 2.0 joins with commas and has lower-case names.
	Headers map[string]string `json:"headers,omitzero"`
	// MultiValueHeaders are REST and WebSocket.
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitzero"`
	// QueryStringParameters are decoded. REST and WebSocket keep the last of repeated values,
	// HTTP 2.0 joins them with commas.
	QueryStringParameters map[string]string `json:"queryStringParameters,omitzero"`
	// MultiValueQueryStringParameters are REST and WebSocket.
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters,omitzero"`
	// PathParameters are REST, percent-encoded as sent, and HTTP, decoded.
	PathParameters map[string]string `json:"pathParameters,omitzero"`
	// StageVariables are all but TOKEN's.
	StageVariables map[string]string `json:"stageVariables,omitzero"`
	// RequestContext is all but TOKEN's.
	RequestContext RequestContext `json:"requestContext,omitzero"`
}

// RequestContext is what API Gateway itself knows about a request. The fields are
// those of every shape; no shape has them all.
type RequestContext struct {
	AccountID    string `json:"accountId,omitzero"`
	APIID        string `json:"apiId,omitzero"`
	Stage        string `json:"stage,omitzero"`
	DomainName   string `json:"domainName,omitzero"`
	DomainPrefix string `json:"domainPrefix,omitzero"`
	RequestID    string `json:"requestId,omitzero"`

	// ResourceID, ResourcePath (the template), HTTPMethod, Path (with the stage or the base
	// path) and Protocol are REST and HTTP 1.0.
	ResourceID   string `json:"resourceId,omitzero"`
	ResourcePath string `json:"resourcePath,omitzero"`
	HTTPMethod   string `json:"httpMethod,omitzero"`
	Path         string `json:"path,omitzero"`
	Protocol     string `json:"protocol,omitzero"`

	// RouteKey is HTTP 2.0, and $connect for WebSocket.
	RouteKey string `json:"routeKey,omitzero"`
	// EventType (CONNECT), MessageDirection (IN), ConnectionID and ConnectedAt
	// (milliseconds) are WebSocket.
	EventType        string `json:"eventType,omitzero"`
	MessageDirection string `json:"messageDirection,omitzero"`
	ConnectionID     string `json:"connectionId,omitzero"`
	ConnectedAt      int64  `json:"connectedAt,omitzero"`

	// ExtendedRequestID, RequestTime and RequestTimeEpoch (milliseconds) are REST,
	// WebSocket and HTTP 1.0; Time and TimeEpoch are HTTP 2.0.
	ExtendedRequestID string `json:"extendedRequestId,omitzero"`
	RequestTime       string `json:"requestTime,omitzero"`
	RequestTimeEpoch  int64  `json:"requestTimeEpoch,omitzero"`
	Time              string `json:"time,omitzero"`
	TimeEpoch         int64  `json:"timeEpoch,omitzero"`

	// Identity is REST, WebSocket and HTTP 1.0.
	Identity Caller `json:"identity,omitzero"`
	// HTTP is HTTP 2.0.
	HTTP HTTP `json:"http,omitzero"`
}

// Caller is requestContext.identity: what API Gateway knows about the client.
type Caller struct {
	// SourceIP is an address, or test-invoke-source-ip for tests from the console.
	SourceIP  string `json:"sourceIp,omitzero"`
	UserAgent string `json:"userAgent,omitzero"`
	// APIKey is the key's value, a secret.
	APIKey string `json:"apiKey,omitzero"`
	// APIKeyID is the key's id.
	APIKeyID string `json:"apiKeyId,omitzero"`
}

// HTTP is requestContext.http.
type HTTP struct {
	Method    string `json:"method,omitzero"`
	Path      string `json:"path,omitzero"`
	Protocol  string `json:"protocol,omitzero"`
	SourceIP  string `json:"sourceIp,omitzero"`
	UserAgent string `json:"userAgent,omitzero"`
}
