package apigw

import (
	"strings"

	"regent/engine"
)

// token reads a TOKEN event: it has the credential and the ARN and nothing else. Whether
// such an ARN is percent-encoded is not known for sure, so that escapes are
// ambiguous.
func (r *reading) token() error {
	r.req.Token = r.ev.AuthorizationToken
	r.req.Method = r.arn.Method
	if strings.Contains(r.arn.Path, "%") {
		r.ambiguous("the ARN has a percent sign, and a TOKEN event does not say whether it was decoded")
	}
	r.place("/"+r.arn.Path, asIs)
	return nil
}

// webSocket reads the handshake of a WebSocket API, which has one route and no path.
func (r *reading) webSocket() error {
	const route = "$connect"
	if key := r.ev.RequestContext.RouteKey; key != "" && key != route {
		return engine.Troublef(codeEvent, "WebSocket event of route %q: only $connect has an authorizer", clip(key))
	}
	r.req.Method, r.req.Path, r.req.Route = route, "/", route
	r.headers()
	r.req.Query = merged(r.ev.MultiValueQueryStringParameters, r.ev.QueryStringParameters, sameName)
	return nil
}

// rest reads a REST event, or an HTTP API's 1.0 event, which has the same fields but
// a decoded path.
func (r *reading) rest() error {
	ev := r.ev
	if ev.HTTPMethod == "" || ev.Path == "" {
		return engine.Troublef(codeEvent, "%s event without httpMethod or path", r.req.Shape)
	}
	r.headers()
	r.req.Query = merged(ev.MultiValueQueryStringParameters, ev.QueryStringParameters, sameName)
	r.method(r.either("methods", ev.HTTPMethod, ev.RequestContext.HTTPMethod))
	encoding := percent
	if r.req.Shape == engine.ShapeHTTP1 {
		encoding = asIs
	} else if strings.Contains(ev.RequestContext.Path, "//") {
		// REST drops repeated slashes at the start from path, but not from here.
		r.ambiguous("the path has an empty segment")
	}
	r.place(ev.Path, encoding)
	return r.route(r.either("routes", ev.Resource, ev.RequestContext.ResourcePath))
}

// http2 reads an HTTP API's 2.0 event.
func (r *reading) http2() error {
	ctx := &r.ev.RequestContext
	if ctx.HTTP.Method == "" || r.ev.RawPath == "" {
		return engine.Troublef(codeEvent, "%s event without requestContext.http.method or rawPath", r.req.Shape)
	}
	r.headers()
	r.rawQuery()
	r.req.SourceIP = ctx.HTTP.SourceIP
	r.method(ctx.HTTP.Method)
	r.place(r.either("paths", r.ev.RawPath, ctx.HTTP.Path), asIs)
	return r.route(r.either("routes", r.ev.RouteKey, ctx.RouteKey))
}

// method sets the verb, which must be the ARN's. API Gateway and some backends let
// a header override it; then nobody can say which of the two the rules should see.
func (r *reading) method(verb string) {
	r.req.Method = verb
	if verb != r.arn.Method {
		r.ambiguous("the event's method and its ARN's differ")
	}
	for _, override := range r.req.Headers["x-http-method-override"] {
		if override != verb {
			r.ambiguous("x-http-method-override asks for another method")
		}
	}
}
