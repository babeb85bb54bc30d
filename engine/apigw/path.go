package apigw

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"regent/tenants"
)

// encoding says how an event spells its path.
type encoding int

const (
	// percent is as the client sent it: REST.
	percent encoding = iota
	// asIs is decoded by API Gateway: HTTP APIs. Decoding again would turn what a
	// client escaped twice into what it never sent.
	asIs
)

// place sets Path and Segments from the event's path, and compares it with the ARN.
func (r *reading) place(path string, enc encoding) {
	kind := r.req.API.Kind
	switch {
	case !strings.HasPrefix(path, "/"):
		r.ambiguous("the path does not start with a slash")
	case strings.Contains(path, "//"), strings.HasPrefix(r.arn.Path, "/"), strings.Contains(r.arn.Path, "//"):
		r.ambiguous("the path has an empty segment")
	}
	segments := split(path, kind)
	for i, raw := range segments {
		text, flaw := decode(raw, enc)
		if flaw != "" {
			r.ambiguous("the path has " + flaw)
		}
		segments[i] = text
	}
	segments, ok := r.strip(segments)
	if !ok {
		r.ambiguous("the event's path and its ARN name different resources")
	}
	r.req.Segments = segments
	r.req.Path = "/" + strings.Join(r.req.Segments, "/")
}

// split returns a path's segments as they stand. The root has none. A REST API's
// router does not see a trailing slash; for an HTTP API it is an empty last segment.
func split(path string, kind tenants.APIKind) []string {
	path = strings.TrimPrefix(path, "/")
	if kind == tenants.REST {
		path = strings.TrimSuffix(path, "/")
	}
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// decode reads one segment and says what makes it ambiguous, if anything does. A
// segment that does not decode well stays as it is, so that it cannot pass for
// what it is not.
func decode(raw string, enc encoding) (text, flaw string) {
	text = raw
	if enc == percent {
		var err error
		if text, err = url.PathUnescape(raw); err != nil {
			return raw, "a bad percent escape"
		}
	}
	if flaw = flawOf(text); flaw != "" {
		return raw, flaw
	}
	return text, ""
}

// flawOf says why API Gateway, rules and backends may disagree about a decoded segment.
func flawOf(text string) string {
	// Some servers cut a segment at ";" before they look for dots.
	word, _, _ := strings.Cut(text, ";")
	if word == "." || word == ".." {
		return "a dot segment"
	}
	// JSON puts U+FFFD in the place of bytes that are not UTF-8.
	if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		return "a segment that is not UTF-8"
	}
	for i, c := range text {
		switch {
		case c == '/':
			return "an encoded slash"
		case c == '\\':
			return "a backslash"
		case c == '*' || c == '?':
			return "a wildcard character"
		case unicode.IsControl(c):
			return "a control character"
		case c == '%' && escaped(text[i:]):
			return "a double-encoded slash, dot, backslash or NUL"
		}
	}
	return ""
}

// escaped reports whether s starts with an escape that would change the path if it
// were decoded once more.
func escaped(s string) bool {
	if len(s) < 3 {
		return false
	}
	switch strings.ToLower(s[1:3]) {
	case "2f", "2e", "5c", "00":
		return true
	default:
		return false
	}
}

// strip removes what an event's path has in front of the ARN's: the stage of an HTTP
// API, or the base path of a custom domain. It returns false if the two do not name
// the same resource.
func (r *reading) strip(path []string) ([]string, bool) {
	kind := r.req.API.Kind
	arn := split("/"+r.arn.Path, kind)
	if slices.EqualFunc(path, arn, same) {
		return path, true
	}
	if kind == tenants.HTTP {
		rest := trimRoot(path[min(1, len(path)):])
		if len(path) > 0 && path[0] == r.arn.Stage && slices.EqualFunc(rest, arn, same) {
			return rest, true
		}
	}
	// The API's own endpoint has no base paths.
	if strings.HasPrefix(r.ev.RequestContext.DomainName, r.arn.API+".execute-api.") {
		return path, false
	}
	base := len(path) - len(arn)
	if base > 0 && slices.EqualFunc(path[base:], arn, same) {
		return path[base:], true
	}
	return path, false
}

// trimRoot makes the single empty segment of a lone trailing slash the root again.
func trimRoot(path []string) []string {
	if len(path) == 1 && path[0] == "" {
		return nil
	}
	return path
}

// same reports whether a decoded segment of a path and one of an ARN are the same.
// Whether ARNs are percent-encoded is not known for sure, so both forms count; a
// client cannot choose between them.
func same(segment, arn string) bool {
	if segment == arn {
		return true
	}
	decoded, err := url.PathUnescape(arn)
	return err == nil && segment == decoded
}
