package engine

import (
	"strings"

	"regent/tenants"
)

// Reason codes of requests that are not authorized before any token is looked at.
const (
	CodeCredentialAbsent    = "credential_absent"
	CodeCredentialNotSingle = "credential_not_single"
	CodeCredentialMalformed = "credential_malformed"
	CodeDoubtful            = "request_doubtful"
)

// credential finds the one credential of a request where the API says it is. It
// returns "" if there is none.
func credential(req Request, api tenants.API) (string, error) {
	var found []string
	switch {
	case req.Shape == ShapeToken:
		found = []string{req.Token}
	default:
		found = values(req, api.Credential)
	}
	if len(found) > 1 {
		return "", &Unauthorized{Code: CodeCredentialNotSingle, Detail: api.Credential.String() + " is there more than once"}
	}
	if len(found) == 0 || found[0] == "" {
		return "", nil
	}
	// Neither a JWT nor an opaque token (RFC 6750 §2.1) has a comma or a space in
	// it. HTTP APIs join repeated headers with a comma.
	token := strings.TrimPrefix(found[0], "Bearer ")
	if strings.Contains(token, ",") {
		return "", &Unauthorized{Code: CodeCredentialNotSingle, Detail: api.Credential.String() + " has a comma in it"}
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return "", &Unauthorized{Code: CodeCredentialMalformed, Detail: api.Credential.String() + " is neither a token nor Bearer and a token"}
	}
	return token, nil
}

// values returns what a request has at a source, in order; nothing for sources
// that a request does not carry by itself (claim, issuer).
func values(req Request, s tenants.Source) []string {
	switch s.Kind {
	case "header":
		return req.Headers[s.Name]
	case "query":
		return req.Query[s.Name]
	case "cookie":
		var found []string
		for _, c := range req.Cookies {
			if name, value, _ := strings.Cut(c, "="); name == s.Name {
				found = append(found, value)
			}
		}
		return found
	case "host":
		return req.Headers["host"]
	case "stage":
		return one(req.StageVariables[s.Name])
	case "api_key":
		return one(req.APIKeyID)
	default:
		return nil
	}
}

func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}
