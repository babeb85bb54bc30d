package apigw

import (
	"net/url"
	"strings"

	"regent/engine"
	"regent/tenants"
)

// defaultRoute is the route of an HTTP API that takes what no other route takes.
const defaultRoute = "$default"

// route sets Route and Params. The key is a template, "METHOD /template", or
// $default; empty if the event has none.
func (r *reading) route(key string) error {
	method, template, isKey := strings.Cut(key, " ")
	switch {
	case key == defaultRoute:
		r.req.RouteMethod = tenants.AnyMethod
	case isKey:
		r.req.RouteMethod = method
	}
	if !isKey {
		template = key
	} else if method != tenants.AnyMethod && method != r.req.Method {
		r.ambiguous("the method is not the route's")
	}
	r.req.Route = template
	switch {
	case template == "" || template == defaultRoute:
		r.freeParams()
	case !strings.HasPrefix(template, "/"):
		return engine.Troublef(codeEvent, "event has route %q: want /template, METHOD /template or $default", clip(key))
	default:
		r.templateParams(template)
	}
	return nil
}

// templateParams takes the parameters from the path by the route's template. The event
// lists them too, in a spelling that is not known for sure, so that list is only
// compared.
func (r *reading) templateParams(template string) {
	params, ok := fit(split(template, r.req.API.Kind), r.req.Segments, r.req.API.Kind)
	if !ok {
		r.ambiguous("the path is not one of its route")
		return
	}
	for name, given := range r.ev.PathParameters {
		want, ok := params[name]
		if !ok || !sameParam(given, want) {
			r.ambiguous("the event's path parameters are not those of its path")
			return
		}
	}
	r.req.Params = params
}

// fit matches segments with a template's and returns its parameters.
func fit(template, segments []string, kind tenants.APIKind) (params map[string]string, ok bool) {
	params = map[string]string{}
	for i, part := range template {
		name, isParam := strings.CutPrefix(part, "{")
		name, closed := strings.CutSuffix(name, "}")
		isParam = isParam && closed
		if greedy, ok := strings.CutSuffix(name, "+"); ok && isParam && i == len(template)-1 {
			rest := segments[min(i, len(segments)):]
			params[greedy] = strings.Join(rest, "/")
			// An HTTP API's greedy route also takes the path above it.
			return params, len(rest) > 0 || kind == tenants.HTTP
		}
		switch {
		case i >= len(segments):
			return nil, false
		case isParam && segments[i] != "":
			params[name] = segments[i]
		case isParam || part != segments[i]:
			return nil, false
		}
	}
	return params, len(template) == len(segments)
}

// sameParam reports whether an event's parameter is the one of the path, decoded or
// not. A greedy one may lack the path's trailing slash.
func sameParam(given, want string) bool {
	want = strings.TrimSuffix(want, "/")
	if strings.TrimSuffix(given, "/") == want {
		return true
	}
	decoded, err := url.PathUnescape(given)
	return err == nil && strings.TrimSuffix(decoded, "/") == want
}

// freeParams takes the parameters as the event has them, where there is no template
// to hold them against.
func (r *reading) freeParams() {
	enc := asIs
	if r.req.API.Kind == tenants.REST {
		enc = percent
	}
	for _, name := range sorted(r.ev.PathParameters) {
		value, flaw := decode(r.ev.PathParameters[name], enc)
		if flaw != "" {
			r.ambiguous("a path parameter has " + flaw)
			continue
		}
		if r.req.Params == nil {
			r.req.Params = make(map[string]string, len(r.ev.PathParameters))
		}
		r.req.Params[name] = value
	}
}
