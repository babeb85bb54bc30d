package engine

import "regent/tenants"

// Shape is one of the five forms of an authorizer event. The zero value is none.
type Shape string

// The event shapes of API Gateway.
const (
	ShapeToken     Shape = "rest-token"
	ShapeREST      Shape = "rest-request"
	ShapeWebSocket Shape = "websocket"
	ShapeHTTP1     Shape = "http-1.0"
	ShapeHTTP2     Shape = "http-2.0"
)

// Target names the API and stage that a request was sent to.
type Target struct {
	Kind    tenants.APIKind `json:"kind"`
	ID      string          `json:"id"`
	Stage   string          `json:"stage"`
	Account string          `json:"account"`
	Region  string          `json:"region"`
}

// Request is an authorizer event in one normal form. It still carries the
// credential, so it is never logged and never shown to rules.
type Request struct {
	Shape Shape
	// ID is API Gateway's request id; empty for TOKEN events.
	ID string
	// ARN is the method or route ARN exactly as the event has it.
	ARN string
	API Target

	// Method is the HTTP method, or $connect.
	Method string
	// Path is "/" and the Segments joined by "/".
	Path string
	// Segments are percent-decoded once. An HTTP API's trailing slash is an empty
	// last segment; a REST API's is dropped.
	Segments []string
	// Route is the matched template without its method; empty if unknown.
	Route string
	// RouteMethod is the method of the route itself, as the event's route key has it:
	// ANY where the route takes every method, $default among them. It is empty where the event has no
	// route key; only events of HTTP APIs do.
	RouteMethod string
	// Params are the template's parameters, percent-decoded once.
	Params map[string]string
	// Query values are decoded and in order.
	Query map[string][]string
	// Headers have lower-case names, values in order of arrival. Spellings of one
	// name that differ in case are one header. It has no cookie entry.
	Headers map[string][]string
	// Cookies are name=value pairs in order.
	Cookies []string
	// StageVariables are the stage's own settings.
	StageVariables map[string]string
	SourceIP       string
	// APIKeyID is the id of the API key that API Gateway recognised.
	APIKeyID string
	// Token is the credential of a TOKEN event, which has no headers.
	Token string

	// Ambiguous says why the path could be read in two ways; empty if it cannot.
	// Such a path never reaches rules: it is a decided no.
	Ambiguous string
	// Doubtful says why API Gateway's cache and its backends could disagree about
	// the request; empty if not. Such a request is not authorized.
	Doubtful string
}
