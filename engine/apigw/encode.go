package apigw

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"regent/engine"
	"regent/engine/iam"
	"regent/internal/jsontext"
	"regent/tenants"
)

// codeReply is the code of a Trouble about a reply.
const codeReply = "reply"

// policyReply is the reply that carries an IAM policy.
type policyReply struct {
	PrincipalID    string
	PolicyDocument iam.Document
	Context        map[string]any
	// UsageIdentifierKey is left out if it is empty.
	UsageIdentifierKey string
}

// appendJSON writes compact JSON with sorted context keys.
func (r policyReply) appendJSON(b []byte) ([]byte, error) {
	b = jsontext.Append(append(b, `{"principalId":`...), r.PrincipalID)
	b, err := r.PolicyDocument.AppendJSON(append(b, `,"policyDocument":`...))
	if err == nil {
		b, err = appendContext(b, r.Context)
	}
	if r.UsageIdentifierKey != "" {
		b = jsontext.Append(append(b, `,"usageIdentifierKey":`...), r.UsageIdentifierKey)
	}
	return append(b, '}'), err
}

// simpleReply is the reply of HTTP APIs with simple responses.
type simpleReply struct {
	IsAuthorized bool
	Context      map[string]any
}

// appendJSON writes compact JSON with sorted context keys.
func (r simpleReply) appendJSON(b []byte) ([]byte, error) {
	b = strconv.AppendBool(append(b, `{"isAuthorized":`...), r.IsAuthorized)
	b, err := appendContext(b, r.Context)
	return append(b, '}'), err
}

// appendContext appends the member context, if there is anything in it.
func appendContext(b []byte, values map[string]any) ([]byte, error) {
	before := `,"context":{`
	for _, key := range sorted(values) {
		b = jsontext.Append(append(b, before...), key)
		b = append(b, ':')
		switch v := values[key].(type) {
		case string:
			b = jsontext.Append(b, v)
		case bool:
			b = strconv.AppendBool(b, v)
		default: // a number, in one of Go's types
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b = append(b, text...)
		}
		before = ","
	}
	if len(values) > 0 {
		b = append(b, '}')
	}
	return b, nil
}

// Encode writes the reply in the form that the request's shape and the API want.
// Equal replies are equal bytes. What API Gateway would refuse, cut off or read as
// something else is a *engine.Trouble: a context that is not flat, a resource or a
// reply over API Gateway's limits, an allowed ARN with a wildcard in it.
func (Gateway) Encode(req engine.Request, api tenants.API, reply engine.Reply) ([]byte, error) {
	if reply.Allow && reply.Document == nil && (req.Ambiguous != "" || req.Doubtful != "") {
		return nil, engine.Troublef(codeReply, "an ambiguous or doubtful request was allowed")
	}
	if err := checkContext(reply.Context); err != nil {
		return nil, err
	}
	if api.Simple {
		if req.Shape != engine.ShapeHTTP2 {
			return nil, engine.Troublef(codeReply, "API %q is registered with simple responses, which a %s event does not have: set the authorizer's payload format to 2.0, or simple to false", api.ID, req.Shape)
		}
		return fits(simpleReply{reply.Allow, reply.Context}.appendJSON(make([]byte, 0, 512)))
	}
	if reply.PrincipalID == "" || !printable(reply.PrincipalID) {
		return nil, engine.Troublef(codeReply, "the principal id is empty or has line breaks, NUL or broken UTF-8 in it")
	}
	doc, err := document(req, reply)
	if err != nil {
		return nil, err
	}
	out := policyReply{PrincipalID: reply.PrincipalID, PolicyDocument: doc, Context: reply.Context}
	if req.Shape == engine.ShapeREST || req.Shape == engine.ShapeToken {
		if !printable(reply.UsageKey) {
			return nil, engine.Troublef(codeReply, "the usage key has line breaks, NUL or broken UTF-8 in it")
		}
		out.UsageIdentifierKey = reply.UsageKey
	}
	return fits(out.appendJSON(make([]byte, 0, 2048)))
}

// document says the reply's verdict in IAM's words: the complete document if there is
// one; else, in exact mode, one statement on the request's own ARN.
func document(req engine.Request, reply engine.Reply) (iam.Document, error) {
	if d, ok := reply.Document.(completeDocument); ok {
		return d.Document, nil
	}
	if reply.Document != nil {
		return iam.Document{}, engine.Troublef(codeReply, "a %T is not a document of this package", reply.Document)
	}
	effect, resource, err := iam.Deny, "", error(nil)
	switch {
	case reply.Allow:
		effect = iam.Allow
		resource, err = allowed(req)
	case reply.WholeKey:
		resource, err = wholeStage(req)
	default:
		resource, err = denied(req)
	}
	if err != nil {
		return iam.Document{}, err
	}
	return iam.Document{Version: iam.Version, Statement: []iam.Statement{
		{Effect: effect, Action: iam.Strings{iam.Invoke}, Resource: iam.Strings{resource}},
	}}, nil
}

// allowed returns the request's ARN as a resource to allow. A wildcard in it came
// from the client and would allow more than was asked for.
func allowed(req engine.Request) (string, error) {
	switch {
	case req.ARN == "":
		return "", engine.Troublef(codeReply, "the request has no ARN")
	case strings.ContainsAny(req.ARN, "*?") || strings.Contains(req.ARN, "${"):
		return "", engine.Troublef(codeReply, "the request's ARN has a wildcard or a policy variable in it and cannot be allowed")
	case len(req.ARN) > iam.MaxResource:
		return "", engine.Troublef(codeReply, "the request's ARN has %d bytes: API Gateway takes policies for ARNs up to %d; shorten the path", len(req.ARN), iam.MaxResource)
	default:
		return req.ARN, nil
	}
}

// denied returns a resource that denies the request. Where its ARN would be read as a
// pattern, "?" stands for the wildcard, so that little more is denied; where the ARN
// is too long, all of the API and stage is.
func denied(req engine.Request) (string, error) {
	if len(req.ARN) > iam.MaxResource {
		return wholeStage(req)
	}
	if req.ARN == "" {
		return "", engine.Troublef(codeReply, "the request has no ARN")
	}
	return strings.NewReplacer("*", "?", "${", "?{").Replace(req.ARN), nil
}

// wholeStage returns the pattern for everything of the request's API and stage.
func wholeStage(req engine.Request) (string, error) {
	arn, err := iam.ParseARN(req.ARN)
	if err != nil {
		return "", engine.Troublef(codeReply, "%w", err)
	}
	return arn.StagePattern(), nil
}

// checkContext refuses what API Gateway takes only on some APIs or turns into a 500,
// and line breaks, which a backend could take for the end of a header.
func checkContext(values map[string]any) error {
	for key, value := range values {
		if !isContextKey(key) {
			return engine.Troublef(codeReply, "context key %q: want a letter or _, then letters, digits and _, and not claims", clip(key))
		}
		switch v := value.(type) {
		case string:
			if !printable(v) {
				return engine.Troublef(codeReply, "context %q has line breaks, NUL or broken UTF-8 in it", key)
			}
		case bool, float64, json.Number, int, int64:
		default:
			return engine.Troublef(codeReply, "context %q is a %T: want a string, a number or a boolean", key, value)
		}
	}
	return nil
}

func isContextKey(key string) bool {
	for i := range len(key) {
		c := key[i]
		letter := c == '_' || ('a' <= c|0x20 && c|0x20 <= 'z')
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return key != "" && key != "claims"
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00")
}

// fits holds a reply to the size limit.
func fits(reply []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, engine.Troublef(codeReply, "the reply has a value that is not JSON")
	}
	if len(reply) > iam.MaxReply {
		return nil, engine.Troublef(codeReply, "the reply has %d bytes: API Gateway takes up to %d; make the context smaller", len(reply), iam.MaxReply)
	}
	return reply, nil
}
