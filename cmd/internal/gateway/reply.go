package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"regent/engine/iam"
	"regent/tenants"
)

// reply is an authorizer's reply, checked. It is shared by all requests with the same
// cache key and does not change.
type reply struct {
	principalID string
	policy      iam.Document
	// simple replies have authorized in place of a policy.
	simple     bool
	authorized bool
	// context has JSON values; numbers are json.Number, in the reply's own spelling.
	context map[string]any
}

// parseReply reads an authorizer's reply as an API of this kind takes it. Member names
// are compared exactly, which encoding/json does not do for structs.
func parseReply(api tenants.API, text []byte) (*reply, error) {
	if api.Kind == tenants.WebSocket && len(text) > iam.MaxReply {
		return nil, fmt.Errorf("the reply has %d bytes, more than the %d of WebSocket APIs", len(text), iam.MaxReply)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, errors.New("the reply is not a JSON object")
	}
	r := &reply{simple: api.Simple}
	if err := r.parseVerdict(members); err != nil {
		return nil, err
	}
	return r, r.parseContext(members["context"], api.Kind)
}

func (r *reply) parseVerdict(members map[string]json.RawMessage) error {
	if r.simple {
		switch string(members["isAuthorized"]) {
		case "true":
			r.authorized = true
		case "false":
		default:
			return errors.New("isAuthorized is neither true nor false")
		}
		return nil
	}
	if json.Unmarshal(members["principalId"], &r.principalID) != nil || r.principalID == "" {
		return errors.New("principalId is not a string with something in it")
	}
	policy := members["policyDocument"]
	if len(policy) == 0 || string(policy) == "null" {
		return errors.New("policyDocument is missing")
	}
	if err := json.Unmarshal(policy, &r.policy); err != nil {
		return fmt.Errorf("policyDocument: %w", err)
	}
	return nil
}

// parseContext reads the context. HTTP APIs take any JSON values in it, the other
// kinds only scalars.
func (r *reply) parseContext(text json.RawMessage, kind tenants.APIKind) error {
	if len(text) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&r.context); err != nil {
		return errors.New("context is not an object")
	}
	if kind == tenants.HTTP {
		return nil
	}
	for key, value := range r.context {
		switch value.(type) {
		case map[string]any, []any:
			return fmt.Errorf("context %q is not a string, number or boolean", key)
		}
	}
	return nil
}

// judge says what the reply means for the request with this ARN.
func (r *reply) judge(arn string) Outcome {
	if r.simple {
		if r.authorized {
			return Allowed
		}
		return ExplicitDeny
	}
	switch r.policy.Evaluate(iam.Invoke, arn) {
	case iam.Allowed:
		return Allowed
	case iam.ExplicitDeny:
		return ExplicitDeny
	default:
		return ImplicitDeny
	}
}

// text is a context value as a string. A null has none.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case json.Number:
		return v.String(), true
	default:
		b, err := json.Marshal(v)
		return string(b), err == nil
	}
}
