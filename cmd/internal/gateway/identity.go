package gateway

import (
	"strconv"
	"strings"

	"regent/engine"
	"regent/tenants"
)

// sources returns the authorizer's identity sources. A TOKEN authorizer has one, the
// header with the token.
func (h *Handler) sources() []tenants.Source {
	if h.o.Shape == engine.ShapeToken {
		return []tenants.Source{h.api.Credential}
	}
	return h.api.Cache.Identity
}

// identify returns the values of the identity sources, in their order. If one is
// missing or empty, it returns that source and false.
//
// AWS documents this check where it documents caching; whether it is also made with
// a TTL of 0 is unknown, and here it is.
func (h *Handler) identify(q *request) (values []string, missing tenants.Source, ok bool) {
	for _, source := range h.sources() {
		value := h.sourceValue(q, source)
		if value == "" {
			return nil, source, false
		}
		values = append(values, value)
	}
	return values, tenants.Source{}, true
}

// sourceValue returns a source's value in a request; "" if there is none. Repeats are
// joined by a comma, as HTTP APIs do it everywhere. Which of several values the keys
// of REST APIs have is not documented; with all of them in the key, a request with a
// second value never gets the reply of one without.
func (h *Handler) sourceValue(q *request, s tenants.Source) string {
	switch s.Kind {
	case "header":
		return strings.Join(q.header.Values(s.Name), ",")
	case "query":
		var values []string
		for _, p := range q.query {
			if p.name == s.Name {
				values = append(values, p.value)
			}
		}
		return strings.Join(values, ",")
	case "stage":
		return h.o.StageVariables[s.Name]
	case "context":
		return h.contextValue(q, s.Name)
	default:
		return ""
	}
}

// contextValue is $context.NAME, for the names that tenants.API.Validate takes.
func (h *Handler) contextValue(q *request, name string) string {
	switch name {
	case "httpMethod":
		return q.method
	case "resourcePath":
		return q.route.path
	case "path":
		return h.stagePath(q.sentPath)
	case "routeKey":
		return q.route.key
	case "sourceIp":
		return q.sourceIP
	default:
		return ""
	}
}

// stagePath is a path as the execute-api host has it, behind the stage.
func (h *Handler) stagePath(path string) string {
	if h.o.Stage == defaultStage {
		return path
	}
	return "/" + h.o.Stage + path
}

// cacheKey is the API, the stage and the identity sources' values, each behind its
// length, so that no two lists make one key.
func (h *Handler) cacheKey(values []string) string {
	var key strings.Builder
	for _, part := range append([]string{h.api.ID, h.o.Stage}, values...) {
		key.WriteString(strconv.Itoa(len(part)))
		key.WriteByte(':')
		key.WriteString(part)
	}
	return key.String()
}
