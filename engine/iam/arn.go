package iam

import (
	"fmt"
	"strings"
)

// connect is the route of a WebSocket API's handshake, in the place of a method.
const connect = "$connect"

// ARN is the ARN of one request to an API, as authorizer events have it:
//
//	arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH
//	arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/$connect
type ARN struct {
	// Partition is aws, aws-cn, aws-us-gov or one that is still to come.
	Partition string
	Region    string
	Account   string
	API       string
	// Stage is $default for an HTTP API's default stage.
	Stage string
	// Method is the verb of the request, or $connect.
	Method string
	// Path has no leading slash and is otherwise exactly as in the ARN: colons,
	// slashes and percent signs included. It is empty for the root and for $connect.
	Path string
}

// ParseARN reads the ARN of a request. It refuses other services, empty parts, and
// wildcards or other stray characters in any part but the path, which is the
// client's and is not looked at.
//
// A method without a path is read as the root, which String then writes with its
// slash; every other ARN is what String returns.
func ParseARN(s string) (ARN, error) {
	// The path may have colons and slashes of its own, so splitting stops there.
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ARN{}, fmt.Errorf("%q is not an ARN: want arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH", clip(s))
	}
	if parts[2] != "execute-api" {
		return ARN{}, fmt.Errorf("ARN of service %q: want execute-api", clip(parts[2]))
	}
	resource := strings.SplitN(parts[5], "/", 4)
	if len(resource) < 3 {
		return ARN{}, fmt.Errorf("ARN resource %q is not API/STAGE/METHOD/PATH", clip(parts[5]))
	}
	a := ARN{
		Partition: parts[1], Region: parts[3], Account: parts[4],
		API: resource[0], Stage: resource[1], Method: resource[2],
	}
	if len(resource) == 4 {
		if a.Method == connect {
			return ARN{}, fmt.Errorf("ARN resource %q has a path behind $connect", clip(parts[5]))
		}
		a.Path = resource[3]
	}
	for _, part := range []struct{ name, value string }{
		{"partition", a.Partition}, {"region", a.Region}, {"account", a.Account},
		{"API", a.API}, {"stage", a.Stage}, {"method", a.Method},
	} {
		if !isWord(part.value) {
			return ARN{}, fmt.Errorf("ARN has %q for its %s: want letters, digits, - _ . or $", clip(part.value), part.name)
		}
	}
	return a, nil
}

// isWord reports whether s can stand in a pattern for itself. Braces are left out,
// so that a policy variable ${…} is not a word.
func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && c != '-' && c != '_' && c != '.' && c != '$' {
			return false
		}
	}
	return s != ""
}

// clip keeps error texts short: an ARN's path is as long as the client likes.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

// String returns the ARN in the form that ParseARN reads.
func (a ARN) String() string {
	if a.Method == connect {
		return a.stage() + connect
	}
	return a.Pattern(a.Method, a.Path)
}

// StagePattern returns the pattern for every method and path of the API and stage:
// arn:…:API/STAGE/*.
func (a ARN) StagePattern() string { return a.stage() + "*" }

// Pattern returns the pattern for a method and a path of the API and stage:
// arn:…:API/STAGE/METHOD/PATH. The path has no leading slash. Both are written as
// they are: a "*" or "?" in them is a wildcard, so text from a request does not
// belong there unless it was checked. A "*" as method is never right, because it
// crosses slashes and so lets the path start anywhere.
func (a ARN) Pattern(method, path string) string {
	return a.stage() + method + "/" + path
}

// stage returns what all ARNs of the API and stage start with, slash included.
func (a ARN) stage() string {
	return "arn:" + a.Partition + ":execute-api:" + a.Region + ":" + a.Account + ":" + a.API + "/" + a.Stage + "/"
}
