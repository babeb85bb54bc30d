package gateway

import (
	"cmp"
	"net/http"

	"regent/tenants"
)

// Outcome says how a request ended. The zero value is no outcome.
type Outcome string

// The outcomes of requests.
const (
	// Allowed: the authorizer allowed the request and it was answered by the upstream
	// or the echo.
	Allowed Outcome = "allowed"
	// ExplicitDeny: a statement of the policy denies the request, or a simple response
	// says no.
	ExplicitDeny Outcome = "explicit deny"
	// ImplicitDeny: no statement of the policy speaks of the request.
	ImplicitDeny Outcome = "implicit deny"
	// Unauthorized: the authorizer's error was "Unauthorized".
	Unauthorized Outcome = "unauthorized"
	// SourceMissing: an identity source is missing or empty; nobody was asked.
	SourceMissing Outcome = "identity source missing"
	// AuthorizerFailed: the authorizer returned another error, panicked, or took too long.
	AuthorizerFailed Outcome = "authorizer failed"
	// ReplyMalformed: the authorizer's reply is not one that API Gateway takes.
	ReplyMalformed Outcome = "reply malformed"
	// NoRoute: the API has no such route.
	NoRoute Outcome = "no route"
	// UpgradeRequired: a request to a WebSocket API that is not a handshake.
	UpgradeRequired Outcome = "upgrade required"
	// BadRequest: the request cannot be put into an event without loss.
	BadRequest Outcome = "bad request"
	// HeadersTooLarge, ARNTooLong, BodyTooLarge: beyond API Gateway's limits.
	HeadersTooLarge Outcome = "headers too large"
	ARNTooLong      Outcome = "ARN too long"
	BodyTooLarge    Outcome = "body too large"
	// ContextUnusable: the context has no unambiguous form as request headers.
	ContextUnusable Outcome = "context unusable"
	// UpstreamFailed, UpstreamTimeout: the request was allowed, and its upstream gave
	// no answer.
	UpstreamFailed  Outcome = "upstream failed"
	UpstreamTimeout Outcome = "upstream timed out"
)

// answer is what a client gets for an outcome.
type answer struct {
	status int
	body   string
	// errorType is the x-amzn-ErrorType of REST and WebSocket APIs.
	errorType string
}

// answers are API Gateway's own words, for REST and for HTTP APIs. WebSocket APIs
// have REST's where nothing else is said. The texts of limits and upstream trouble
// are as users report them, and in part a guess.
var answers = map[Outcome]struct{ rest, http answer }{
	ExplicitDeny: {
		answer{403, `{"Message":"User is not authorized to access this resource with an explicit deny"}`, "AccessDeniedException"},
		answer{403, `{"message":"Forbidden"}`, ""},
	},
	ImplicitDeny: {
		answer{403, `{"Message":"User is not authorized to access this resource"}`, "AccessDeniedException"},
		answer{403, `{"message":"Forbidden"}`, ""},
	},
	Unauthorized: {
		answer{401, `{"message":"Unauthorized"}`, "UnauthorizedException"},
		answer{401, `{"message":"Unauthorized"}`, ""},
	},
	SourceMissing: {
		answer{401, `{"message":"Unauthorized"}`, "UnauthorizedException"},
		answer{401, `{"message":"Unauthorized"}`, ""},
	},
	AuthorizerFailed: {
		answer{500, `{"message":null}`, ""},
		answer{500, `{"message":"Internal Server Error"}`, ""},
	},
	ReplyMalformed: {
		answer{500, `{"message":null}`, "AuthorizerConfigurationException"},
		answer{500, `{"message":"Internal Server Error"}`, ""},
	},
	NoRoute: {
		answer{403, `{"message":"Missing Authentication Token"}`, "MissingAuthenticationTokenException"},
		answer{404, `{"message":"Not Found"}`, ""},
	},
	UpgradeRequired: {rest: answer{426, `{"message":"Upgrade Required"}`, ""}},
	BadRequest: {
		answer{400, `{"message":"Bad Request"}`, "BadRequestException"},
		answer{400, `{"message":"Bad Request"}`, ""},
	},
	HeadersTooLarge: {
		answer{431, `{"message":"HTTP header is larger than 10240 bytes."}`, ""},
		answer{431, `{"message":"Request Header Fields Too Large"}`, ""},
	},
	ARNTooLong: {rest: answer{414, `{"message":"Request-URI Too Long"}`, ""}},
	BodyTooLarge: {
		answer{413, `{"message":"HTTP content length exceeded 10485760 bytes."}`, "RequestTooLargeException"},
		answer{413, `{"message":"Request Entity Too Large"}`, ""},
	},
	ContextUnusable: {
		answer{500, `{"message":"Internal server error"}`, "InternalServerErrorException"},
		answer{500, `{"message":"Internal Server Error"}`, ""},
	},
	UpstreamFailed: {
		answer{502, `{"message":"Internal server error"}`, "InternalServerErrorException"},
		answer{503, `{"message":"Service Unavailable"}`, ""},
	},
	UpstreamTimeout: {
		answer{504, `{"message":"Endpoint request timed out"}`, "InternalServerErrorException"},
		answer{503, `{"message":"Service Unavailable"}`, ""},
	},
}

// refuse writes the answer of an outcome that lets nothing through.
func refuse(w http.ResponseWriter, kind tenants.APIKind, o Outcome) {
	a := answers[o].rest
	if kind == tenants.HTTP {
		a = answers[o].http
	}
	// An outcome without an answer is a mistake in this package; it must not pass.
	a.status = cmp.Or(a.status, http.StatusInternalServerError)
	if a.errorType != "" {
		w.Header().Set("x-amzn-ErrorType", a.errorType)
	}
	writeJSON(w, a.status, a.body)
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here means that the client is gone.
	_, _ = w.Write([]byte(body))
}
