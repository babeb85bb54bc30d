package rules

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
)

// What a decision may hold. What is larger could not be sent.
const (
	// maxResult bounds the texts of context, principal and usage key, in bytes:
	// API Gateway's bound for a whole reply.
	maxResult = 8192
	// maxReasons bounds the reasons that are kept, and maxReason one of them, in bytes.
	// More of them deny no more.
	maxReasons, maxReason = 100, 256
)

var contextKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// decision reads the entrypoint's document by the contract of DESIGN.md §4. What
// is absent has its default; what has the wrong type is an error.
func decision(doc ast.Object) (engine.Decision, error) {
	var d engine.Decision
	var allow bool
	if v, ok := get(doc, "allow"); ok {
		b, ok := v.(ast.Boolean)
		if !ok {
			return engine.Decision{}, wrongType("authz.allow", v, "a boolean")
		}
		allow = bool(b)
	}
	for _, name := range []string{"deny", "platform_deny"} {
		reasons, err := denials(doc, name)
		if err != nil {
			return engine.Decision{}, err
		}
		d.Reasons = append(d.Reasons, reasons...)
	}
	// The platform comes last: a tenant cannot overwrite what it sets.
	for _, name := range []string{"context", "platform_context"} {
		if err := addContext(doc, name, &d); err != nil {
			return engine.Decision{}, err
		}
	}
	var err error
	if d.PrincipalID, err = text(doc, "principal_id"); err != nil {
		return engine.Decision{}, err
	}
	if d.UsageKey, err = text(doc, "usage_key"); err != nil {
		return engine.Decision{}, err
	}
	if n := resultSize(d); n > maxResult {
		return engine.Decision{}, &EvalError{Code: "contract", Message: fmt.Sprintf("context, principal_id and usage_key have %d bytes, the limit is %d", n, maxResult)}
	}
	d.Allow = allow && len(d.Reasons) == 0
	return d, nil
}

func resultSize(d engine.Decision) int {
	n := len(d.PrincipalID) + len(d.UsageKey)
	for k, v := range d.Context {
		n += len(k)
		switch v := v.(type) {
		case string:
			n += len(v)
		case json.Number:
			n += len(v)
		default:
			n++
		}
	}
	return n
}

func get(doc ast.Object, key string) (ast.Value, bool) {
	t := doc.Get(ast.InternedTerm(key))
	if t == nil {
		return nil, false
	}
	return t.Value, true
}

func denials(doc ast.Object, name string) ([]string, error) {
	v, ok := get(doc, name)
	if !ok {
		return nil, nil
	}
	set, ok := v.(ast.Set)
	if !ok {
		return nil, wrongType(ruleName(name), v, "a set of strings")
	}
	var reasons []string
	for i, t := range set.Slice() {
		s, ok := t.Value.(ast.String)
		if !ok {
			return nil, wrongType("an element of "+ruleName(name), t.Value, "a string")
		}
		if i < maxReasons {
			reasons = append(reasons, cutTo(string(s), maxReason))
		}
	}
	return reasons, nil
}

func addContext(doc ast.Object, name string, d *engine.Decision) error {
	v, ok := get(doc, name)
	if !ok {
		return nil
	}
	object, ok := v.(ast.Object)
	if !ok {
		return wrongType(ruleName(name), v, "an object")
	}
	if d.Context == nil {
		d.Context = make(map[string]any, object.Len())
	}
	return object.Iter(func(k, v *ast.Term) error {
		key, ok := k.Value.(ast.String)
		if !ok {
			return wrongType("a key of "+ruleName(name), k.Value, "a string")
		}
		if !contextKey.MatchString(string(key)) || key == "claims" {
			return &EvalError{Code: "contract", Message: fmt.Sprintf("%s: key %q is refused: use letters, digits and underscores, and not claims", ruleName(name), string(key))}
		}
		if engine.ReservedContext(string(key)) {
			return &EvalError{Code: "contract", Message: fmt.Sprintf("%s: %s is set by Regent", ruleName(name), string(key))}
		}
		value, err := contextValue(ruleName(name)+"."+string(key), v.Value)
		d.Context[string(key)] = value
		return err
	})
}

// contextValue is what API Gateway passes on: a text that can be a header, a boolean, or
// a number that others can read.
func contextValue(what string, v ast.Value) (any, error) {
	switch v := v.(type) {
	case ast.String:
		return string(v), checkPrintable(what, string(v))
	case ast.Boolean:
		return bool(v), nil
	case ast.Number:
		return json.Number(v), checkRepresentable(what, string(v))
	default:
		return nil, wrongType(what, v, "a string, a number or a boolean")
	}
}

// checkRepresentable refuses numbers that a backend would read as another one. It does
// not quote them: they may be a claim.
func checkRepresentable(what, number string) error {
	if digits := countDigits(number); digits > maxOperand {
		return &EvalError{Code: "contract", Message: fmt.Sprintf("%s is a number of %d digits, the limit is %d", what, digits, maxOperand)}
	}
	if outOfRange(number) {
		return &EvalError{Code: "contract", Message: what + " is no double-precision number"}
	}
	return nil
}

// checkPrintable refuses what could end a header, and what JSON cannot hold.
func checkPrintable(what, s string) error {
	control := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	if utf8.ValidString(s) && strings.IndexFunc(s, control) < 0 {
		return nil
	}
	return &EvalError{Code: "contract", Message: what + " has a control character or broken UTF-8 in it"}
}

func text(doc ast.Object, name string) (string, error) {
	v, ok := get(doc, name)
	if !ok {
		return "", nil
	}
	s, ok := v.(ast.String)
	if !ok {
		return "", wrongType(ruleName(name), v, "a string")
	}
	return string(s), checkPrintable(ruleName(name), string(s))
}

func wrongType(what string, v ast.Value, want string) error {
	return &EvalError{Code: "contract", Message: fmt.Sprintf("%s is %s; the contract wants %s", what, ast.ValueName(v), want)}
}

func ruleName(name string) string {
	switch name {
	case "platform_deny":
		return "platform.deny"
	case "platform_context":
		return "platform.context"
	default:
		return "authz." + name
	}
}
