package identity

import (
	"encoding/base64"
	"strings"
)

// Limits of a token, checked before anything is parsed.
const (
	maxToken       = 8192 // bytes; API Gateway's own limit for all headers is 10,240
	maxKeyID       = 256  // bytes
	maxHeaderDepth = 4
	maxClaimsDepth = 8
)

// base64url decodes the canonical form only: no padding, and unused bits are zero.
// Line breaks, which it would skip, are refused before.
var base64url = base64.RawURLEncoding.Strict()

// token is a JWT of strict form whose header rules hold. Nothing in it is proven.
type token struct {
	compact   string
	signed    string // the part of compact that the signature is over
	alg       string
	kid       keyID
	payload   []byte
	claims    map[string]any // read from payload
	signature []byte
	bringsKey bool // in its header, where nobody looks for one
}

// parse reads a JWT and refuses every form and header that could be understood in
// two ways.
func parse(compact string) (*token, error) {
	t, err := parseJWS(compact)
	if err != nil {
		return nil, err
	}
	if t.claims, err = decodeObject(t.payload, maxClaimsDepth); err != nil {
		return nil, refuse(CodeTokenMalformed, "the payload: "+err.Error())
	}
	return t, nil
}

// parseJWS is parse without a look at the payload's content.
func parseJWS(compact string) (*token, error) {
	parts, err := split(compact)
	if err != nil {
		return nil, err
	}
	header, err := decodeHeader(parts[0])
	if err != nil {
		return nil, refuse(CodeTokenMalformed, "the header is not strict base64url of a strict JSON object")
	}
	t := &token{compact: compact, signed: compact[:len(parts[0])+1+len(parts[1])]}
	if err := t.readHeader(header); err != nil {
		return nil, err
	}
	if t.payload, err = base64url.DecodeString(parts[1]); err != nil {
		return nil, refuse(CodeTokenMalformed, "the payload is not strict base64url")
	}
	if t.signature, err = base64url.DecodeString(parts[2]); err != nil {
		return nil, refuse(CodeTokenMalformed, "the signature is not strict base64url")
	}
	return t, nil
}

// peek reads what a token states without any header rule.
func peek(compact string) (map[string]any, bool) {
	parts, err := split(compact)
	if err != nil {
		return nil, false
	}
	if _, err := decodeHeader(parts[0]); err != nil {
		return nil, false
	}
	payload, err := base64url.DecodeString(parts[1])
	if err != nil {
		return nil, false
	}
	claims, err := decodeObject(payload, maxClaimsDepth)
	return claims, err == nil
}

// split takes compact serialization apart: three parts, none empty, of base64url's
// alphabet. The dots are counted before anything is allocated.
func split(compact string) (parts [3]string, err error) {
	if len(compact) > maxToken {
		return parts, refuse(CodeTokenTooLong, "the token has more than 8192 bytes")
	}
	if strings.Count(compact, ".") != 2 {
		return parts, refuse(CodeTokenMalformed, "a JWT has three parts")
	}
	for i := range len(compact) {
		if c := compact[i]; !isBase64url(c) && c != '.' {
			return parts, refuse(CodeTokenMalformed, "a byte outside of base64url's alphabet")
		}
	}
	var rest string
	parts[0], rest, _ = strings.Cut(compact, ".")
	parts[1], parts[2], _ = strings.Cut(rest, ".")
	if parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return parts, refuse(CodeTokenMalformed, "a part of the token is empty")
	}
	return parts, nil
}

func isBase64url(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '-' || c == '_'
}

// decodeHeader reads a header that has no space around its object. jws.Verify drops
// such space before it checks the signature, so with it a second spelling of a
// signed token would verify.
func decodeHeader(part string) (map[string]any, error) {
	b, err := base64url.DecodeString(part)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || b[0] != '{' || b[len(b)-1] != '}' {
		return nil, errNotObject
	}
	return decodeObject(b, maxHeaderDepth)
}

// readHeader applies the header rules. jku, jwk, x5u and x5c are counted and whatever
// else a header has is not looked at: only the tenant's configuration says where keys
// are.
func (t *token) readHeader(header map[string]any) error {
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, there := header[name]; there {
			return refuse(CodeHeaderRefused, "the header has "+name)
		}
	}
	if cty, there := header["cty"]; there {
		if s, ok := cty.(string); !ok || strings.EqualFold(s, "JWT") || strings.EqualFold(s, "application/jwt") {
			return refuse(CodeHeaderRefused, "cty: nested tokens are not read")
		}
	}
	if typ, there := header["typ"]; there && !isAccessTokenType(typ) {
		return refuse(CodeTokenTypeRefused, "typ is neither JWT nor at+jwt")
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		_, there := header[name]
		t.bringsKey = t.bringsKey || there
	}
	var ok bool
	if t.alg, ok = header["alg"].(string); !ok {
		return refuse(CodeAlgorithmNotAllowed, "the header has no alg, or one that is not a string")
	}
	kid, there := header["kid"]
	if !there {
		return nil
	}
	if t.kid.id, t.kid.has = kid.(string); !t.kid.has || len(t.kid.id) > maxKeyID {
		return refuse(CodeTokenMalformed, "kid is not a string of at most 256 bytes")
	}
	return nil
}

// isAccessTokenType compares as media types are compared, without regard to case.
func isAccessTokenType(typ any) bool {
	s, _ := typ.(string)
	for _, accepted := range []string{"JWT", "at+jwt", "application/at+jwt"} {
		if strings.EqualFold(s, accepted) {
			return true
		}
	}
	return false
}

// isJWTShaped tells JWTs from opaque tokens: the first of several parts begins with
// a base64url-encoded "{". What is so shaped and turns out malformed is refused, not
// treated as opaque.
func isJWTShaped(credential string) bool {
	first, _, dotted := strings.Cut(credential, ".")
	if !dotted || len(first) < 2 || first[0] != 'e' {
		return false
	}
	c := first[1]
	return 'w' <= c && c <= 'z' || isDigit(c) || c == '-' || c == '_'
}
