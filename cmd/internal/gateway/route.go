package gateway

import (
	"cmp"
	"slices"
	"strings"

	"regent/tenants"
)

// route is one route of an API, taken apart for matching.
type route struct {
	method string
	// path is the template: the event's resource.
	path string
	// key is the event's routeKey: "GET /pets/{id}", "$default" or "$connect".
	key      string
	segments []segment
}

// segment is one segment of a template.
type segment struct {
	class segmentClass
	// text is the word of a static segment, the name of a parameter.
	text string
}

// segmentClass orders segments: what is more particular comes first.
type segmentClass int

const (
	static segmentClass = iota
	param
	greedy
)

// router finds the route of a request. The routes are in order of precedence, so the
// first that fits is the right one.
type router struct {
	kind   tenants.APIKind
	routes []route
}

// newRouter takes the API's routes. A REST API without a list has every method on
// the root and on {proxy+}; an HTTP API without one has $default.
func newRouter(api tenants.API) router {
	r := router{kind: api.Kind}
	switch {
	case api.Kind == tenants.WebSocket:
		return r
	case len(api.Routes) == 0 && api.Kind == tenants.HTTP:
		api.Routes = []tenants.Route{{Method: tenants.AnyMethod, Path: tenants.DefaultRoute}}
	case len(api.Routes) == 0:
		api.Routes = []tenants.Route{
			{Method: tenants.AnyMethod, Path: "/"},
			{Method: tenants.AnyMethod, Path: "/{proxy+}"},
		}
	}
	for _, known := range api.Routes {
		r.routes = append(r.routes, r.parse(known))
	}
	slices.SortStableFunc(r.routes, r.precedence)
	return r
}

func (r router) parse(known tenants.Route) route {
	parsed := route{method: known.Method, path: known.Path, key: known.String()}
	if known.Path == tenants.DefaultRoute {
		return parsed
	}
	for _, text := range r.split(known.Path) {
		s := segment{class: static, text: text}
		if inner, ok := strings.CutPrefix(text, "{"); ok {
			s = segment{class: param, text: strings.TrimSuffix(inner, "}")}
			if name, ok := strings.CutSuffix(s.text, "+"); ok {
				s = segment{class: greedy, text: name}
			}
		}
		parsed.segments = append(parsed.segments, s)
	}
	return parsed
}

// split returns the segments of a path or template. REST ignores a trailing slash;
// to an HTTP API it is an empty last segment.
func (r router) split(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if r.kind == tenants.REST {
		if path = strings.TrimSuffix(path, "/"); path == "" {
			return nil
		}
	}
	return strings.Split(path, "/")
}

// precedence orders routes. REST walks a tree of resources: at each segment a word
// goes before a parameter, and that before {proxy+}. An HTTP API prefers any route
// without a greedy parameter to any route with one, and $default comes last. How AWS breaks further ties is
// not documented; both kinds go segment by segment here, then by method.
func (r router) precedence(a, b route) int {
	if r.kind == tenants.HTTP {
		if c := cmp.Compare(a.width(), b.width()); c != 0 {
			return c
		}
	}
	byClass := slices.CompareFunc(a.segments, b.segments, func(x, y segment) int { return cmp.Compare(x.class, y.class) })
	return cmp.Or(byClass, cmp.Compare(a.any(), b.any()))
}

// width is 0 for a route of a fixed number of segments, 1 for a greedy one, and 2 for
// $default.
func (t route) width() int {
	switch n := len(t.segments); {
	case t.path == tenants.DefaultRoute:
		return 2
	case n > 0 && t.segments[n-1].class == greedy:
		return 1
	default:
		return 0
	}
}

func (t route) any() int {
	if t.method == tenants.AnyMethod {
		return 1
	}
	return 0
}

// find returns the route of a method and a path, with the values of the template's
// parameters as the path has them.
func (r router) find(method, path string) (found route, params map[string]string, ok bool) {
	if !slices.Contains(tenants.Methods(), method) {
		return route{}, nil, false
	}
	segments := r.split(path)
	resource := ""
	for _, t := range r.routes {
		// REST settles on a resource by the path alone: if that has no such method,
		// the request has no route, even where a {proxy+} would take it.
		if r.kind == tenants.REST && resource != "" && t.path != resource {
			continue
		}
		params, fits := t.match(segments, r.kind)
		if !fits {
			continue
		}
		resource = t.path
		if t.method == method || t.method == tenants.AnyMethod {
			return t, params, true
		}
	}
	return route{}, nil, false
}

// match fits a path's segments to the template. A parameter takes one segment that is
// not empty. A greedy one takes the rest, which only on HTTP APIs may be empty: there
// {proxy+} also stands for what follows the last slash of "/".
func (t route) match(path []string, kind tenants.APIKind) (map[string]string, bool) {
	if t.path == tenants.DefaultRoute {
		return nil, true
	}
	if len(path) < len(t.segments) || (len(path) > len(t.segments) && t.width() == 0) {
		return nil, false
	}
	var params map[string]string
	set := func(name, value string) {
		if params == nil {
			params = make(map[string]string)
		}
		params[name] = value
	}
	for i, s := range t.segments {
		switch s.class {
		case static:
			if path[i] != s.text {
				return nil, false
			}
		case param:
			if path[i] == "" {
				return nil, false
			}
			set(s.text, path[i])
		case greedy:
			rest := strings.Join(path[i:], "/")
			if rest == "" && kind == tenants.REST {
				return nil, false
			}
			set(s.text, rest)
		}
	}
	return params, true
}
