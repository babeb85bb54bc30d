package rules

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Capabilities returns what Rego in a bundle may use: an allow-list of builtin
// functions and language features. Left out is what reaches files or the network,
// what reads the environment, what can panic, what is not the same for the same
// input, and what costs far more than its text suggests. The functions that are
// allowed are guarded: see InstallGuards.
func Capabilities() *ast.Capabilities {
	InstallGuards()
	allowed := &ast.Capabilities{
		Features: []string{ast.FeatureKeywordsInRefs, ast.FeatureRegoV1},
		AllowNet: []string{},
		Builtins: make([]*ast.Builtin, 0, len(builtins)),
	}
	for _, name := range slices.Sorted(slices.Values(builtins)) {
		if b := ast.BuiltinMap[name]; b != nil {
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

// refused has, for names or beginnings of names of functions that are not allowed,
// why not or what to use instead. The first that fits counts.
var refused = [][2]string{
	{"http.send", "rules do not reach the network: what they need belongs in the token or in data"},
	{"net.lookup_ip_addr", "rules do not reach the network"},
	{"net.", "use net.cidr_contains"},
	{"opa.runtime", "rules do not see the environment"},
	{"rego.", "rules do not read rules"},
	{"trace", "use print, or regent eval --explain"},
	{"io.jwt.", "the token is verified already: use input.identity.claims"},
	{"crypto.md5", "use crypto.sha256"},
	{"crypto.sha1", "use crypto.sha256"},
	{"crypto.hmac.", "use crypto.hmac.sha256"},
	{"crypto.", "keys and certificates are not for rules"},
	{"providers.", "credentials are not for rules"},
	{"json.match_schema", "schemas reach files and the network: write the conditions as rules"},
	{"json.verify_schema", "schemas reach files and the network"},
	{"json.patch", "use object.union and object.remove"},
	{"json.filter", "use object.filter"},
	{"json.remove", "use object.remove"},
	{"json.marshal_with_options", "use json.marshal"},
	{"yaml.", "use json.unmarshal, or data.yaml"},
	{"strings.render_template", "use sprintf"},
	{"strings.replace_n", "use replace"},
	{"indexof_n", "use indexof"},
	{"split_n", "use split"},
	{"regex.", "use regex.match"},
	{"hex.", "use base64.encode"},
	{"product", "use *"},
	{"array.flatten", "use array.concat"},
	{"rand.", "a decision follows from its input"},
	{"uuid.rfc4122", "a decision follows from its input"},
	{"graph.", "write out in data who reaches what"},
	{"units.", "write the number out"},
	{"bits.", "use a set"},
	{"internal.template_string", "use sprintf"},
	{"", "it costs more than it is worth here"},
}

// explainRefused adds to the compiler's message about an undefined function why a
// builtin function of OPA is not there.
func explainRefused(message string) string {
	name, ok := strings.CutPrefix(message, "undefined function ")
	if !ok || ast.BuiltinMap[name] == nil {
		return message
	}
	for _, r := range refused {
		if strings.HasPrefix(name, r[0]) {
			return message + ": not allowed in rules; " + r[1]
		}
	}
	return message
}
