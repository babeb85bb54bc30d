package rules

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Capabilities returns what Rego in a bundle may use: an allow-list of builtin
// functions and language features. Left out is what reaches files or the network,
// what reads the environment, what can panic, and what costs far more than its
// text suggests.
func Capabilities() *ast.Capabilities {
	allowed := &ast.Capabilities{
		Features: []string{ast.FeatureKeywordsInRefs, ast.FeatureRegoV1},
		AllowNet: []string{},
		Builtins: make([]*ast.Builtin, 0, len(builtins)),
	}
	for _, b := range ast.Builtins {
		if slices.Contains(builtins, b.Name) {
			allowed.Builtins = append(allowed.Builtins, b)
		}
	}
	return allowed
}

// builtins are the functions that rules may call. print is among them because the
// compiler erases it.
var builtins = []string{
	// Comparison, assignment, membership.
	"eq", "assign", "equal", "neq", "gt", "gte", "lt", "lte", "internal.member_2", "internal.member_3",
	// Numbers.
	"plus", "minus", "mul", "div", "rem", "abs", "ceil", "floor", "round", "numbers.range", "numbers.range_step", "to_number", "format_int",
	// Sets, arrays, objects.
	"and", "or", "intersection", "union", "count", "sum", "max", "min", "sort", "walk",
	"array.concat", "array.slice", "array.reverse",
	"object.get", "object.keys", "object.union", "object.union_n", "object.remove", "object.filter", "object.subset",
	// Strings.
	"concat", "contains", "endswith", "indexof", "lower", "replace", "split", "sprintf", "startswith", "substring",
	"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.reverse",
	"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper",
	// Patterns.
	"glob.match", "glob.quote_meta", "regex.match",
	// Types.
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name",
	// Encodings and digests.
	"base64.decode", "base64.encode", "base64.is_valid", "base64url.decode", "base64url.encode", "base64url.encode_no_pad",
	"json.is_valid", "json.marshal", "json.unmarshal",
	"urlquery.decode", "urlquery.decode_object", "urlquery.encode", "urlquery.encode_object", "uri.is_valid", "uri.parse",
	"crypto.hmac.equal", "crypto.hmac.sha256", "crypto.hmac.sha512", "crypto.sha256",
	"semver.compare", "semver.is_valid", "uuid.parse",
	// Addresses.
	"net.cidr_contains", "net.cidr_intersects", "net.cidr_is_valid",
	// Time: now is the instant of the decision.
	"time.add_date", "time.clock", "time.date", "time.diff", "time.format", "time.now_ns", "time.parse_duration_ns",
	"time.parse_ns", "time.parse_rfc3339_ns", "time.weekday",
	"print", "internal.print",
}
