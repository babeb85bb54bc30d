package rules

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// What builtin functions take. A call beyond is an error of the function, and so
// trouble: it is neither a yes nor a no.
//
// API Gateway passes at most 10,240 bytes of headers and path, so no text of a
// request is near these bounds: what is harmless for every request stays so.
const (
	// maxText bounds a text that a function takes or makes, in bytes.
	maxText = 64 << 10
	// maxPattern bounds the text of a pattern, in bytes, and maxMatched the text that
	// is matched with it.
	maxPattern = 512
	maxMatched = 16 << 10
	// maxProgram bounds a compiled regular expression, in instructions.
	maxProgram = 1000
	// maxWildcards bounds the runs of stars and the alternatives of a glob pattern.
	maxWildcards = 8
	// maxWidth bounds the width and the precision of a verb of sprintf.
	maxWidth = 64
	// maxRange bounds the numbers of numbers.range.
	maxRange = 10_000
	// maxOperand bounds the digits of a number that is calculated with.
	maxOperand = 64
	// maxJSONDepth bounds the nesting of a JSON text.
	maxJSONDepth = 64
)

// guard judges the arguments of a call before OPA's implementation sees them. There
// are as many as the function declares.
type guard func(args []*ast.Term) error

// InstallGuards puts guards around the builtin functions that make much of little,
// once in a process. A guarded call fails where its arguments are too large.
//
// OPA looks functions up in a table of the process, so this holds for everything
// that evaluates: whole rules, partial evaluation, and the calls that
// engine/rules/residue makes by itself. Capabilities calls it, without which nothing
// here is compiled; who evaluates Rego by other means calls it first.
func InstallGuards() { installGuards() }

var installGuards = sync.OnceFunc(func() {
	for name, check := range guards() {
		original, arity := topdown.GetBuiltin(name), ast.BuiltinMap[name].Decl.Arity()
		topdown.RegisterBuiltinFunc(name, func(bctx topdown.BuiltinContext, args []*ast.Term, iter func(*ast.Term) error) error {
			// Where the result is used, OPA puts the term that takes it behind the arguments.
			if err := check(args[:min(arity, len(args))]); err != nil {
				return err
			}
			return original(bctx, args, iter)
		})
	}
})

// guards returns the guards by the names of the functions.
func guards() map[string]guard {
	all := map[string]guard{
		"concat":             guardConcat,
		"replace":            guardReplace,
		"sprintf":            guardSprintf,
		"regex.match":        guardRegex(),
		"glob.match":         guardGlob,
		"json.marshal":       guardMarshal,
		"json.unmarshal":     guardUnmarshal,
		"json.is_valid":      guardUnmarshal,
		"numbers.range":      guardRange,
		"numbers.range_step": guardRange,
		"to_number":          guardToNumber,
		"count":              guardCount,
		"sum":                guardNumbers, "max": guardNumbers, "min": guardNumbers, "sort": guardNumbers,

		"urlquery.encode_object": guardEncodeObject,
	}
	for _, name := range []string{
		"contains", "endswith", "startswith", "indexof", "lower", "upper", "split", "substring",
		"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.reverse",
		"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix",
		"glob.quote_meta", "base64.decode", "base64.encode", "base64.is_valid",
		"base64url.decode", "base64url.encode", "base64url.encode_no_pad",
		"urlquery.decode", "urlquery.decode_object", "urlquery.encode", "uri.is_valid", "uri.parse",
		"net.cidr_contains", "net.cidr_intersects", "net.cidr_is_valid",
		"crypto.hmac.equal", "crypto.hmac.sha256", "crypto.hmac.sha512", "crypto.sha256",
		"semver.compare", "semver.is_valid", "uuid.parse",
		"time.parse_duration_ns", "time.parse_ns", "time.parse_rfc3339_ns",
		"time.format", "time.clock", "time.date", "time.weekday", "time.diff", "time.add_date",
	} {
		all[name] = guardTexts
	}
	for _, name := range []string{
		"plus", "minus", "mul", "div", "rem", "abs", "ceil", "floor", "round", "format_int",
		"equal", "neq", "gt", "gte", "lt", "lte",
	} {
		all[name] = guardOperands
	}
	return all
}

// guardTexts refuses long texts, and collections of texts that are long together.
func guardTexts(args []*ast.Term) error {
	for _, t := range args {
		if n := textBytes(t); n > maxText {
			return fmt.Errorf("a text of %d bytes, the limit is %d", n, maxText)
		}
	}
	return nil
}

// textBytes is the length of a text, or of all texts of a collection.
func textBytes(t *ast.Term) int {
	n := 0
	add := func(t *ast.Term) {
		if s, ok := t.Value.(ast.String); ok {
			n += len(s)
		}
	}
	switch v := t.Value.(type) {
	case ast.String:
		return len(v)
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	}
	return n
}

// guardCount refuses long texts only: the members of a collection are not read.
func guardCount(args []*ast.Term) error {
	if _, ok := args[0].Value.(ast.String); ok {
		return guardTexts(args)
	}
	return nil
}

func guardConcat(args []*ast.Term) error {
	delimiter, ok := args[0].Value.(ast.String)
	if !ok {
		return nil
	}
	if err := guardTexts(args[:1]); err != nil {
		return err
	}
	n := 0
	add := func(t *ast.Term) {
		if s, ok := t.Value.(ast.String); ok {
			n += len(s) + len(delimiter)
		}
	}
	switch v := args[1].Value.(type) {
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	}
	return madeText(n)
}

func madeText(n int) error {
	if n > maxText {
		return fmt.Errorf("makes a text of %d bytes, the limit is %d", n, maxText)
	}
	return nil
}

func guardReplace(args []*ast.Term) error {
	if err := guardTexts(args); err != nil {
		return err
	}
	s, ok1 := args[0].Value.(ast.String)
	old, ok2 := args[1].Value.(ast.String)
	with, ok3 := args[2].Value.(ast.String)
	if !ok1 || !ok2 || !ok3 || (len(s)+1)*max(len(with), 1) <= maxText {
		return nil
	}
	return madeText(len(s) + strings.Count(string(s), string(old))*(len(with)-len(old)))
}

// guardSprintf refuses formats that make long texts of short ones. Without explicit
// indexes every argument is printed once.
func guardSprintf(args []*ast.Term) error {
	format, ok := args[0].Value.(ast.String)
	list, isList := args[1].Value.(*ast.Array)
	if !ok || !isList {
		return nil
	}
	verbs, indexed, err := checkFormat(string(format))
	if err != nil {
		return err
	}
	n, most := len(format)+verbs*maxWidth, 0
	list.Foreach(func(t *ast.Term) {
		size := 0
		weigh(t.Value, &size)
		most = max(most, size)
		n += size
	})
	if indexed {
		n += verbs * most
	}
	return madeText(n)
}

// checkFormat counts the verbs of a format, and tells whether they have indexes.
func checkFormat(format string) (verbs int, indexed bool, err error) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		verbs++
		number := 0
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.[]*", format[i]) >= 0; i++ {
			switch c := format[i]; {
			case c == '*':
				return 0, false, errors.New("a width or precision that is an argument is not allowed")
			case c == '[':
				indexed = true
				number = 0
			case isDigit(c):
				number = number*10 + int(c-'0')
			default:
				number = 0
			}
			if number > maxWidth {
				return 0, false, fmt.Errorf("a width, precision or index above %d", maxWidth)
			}
		}
	}
	return verbs, indexed, nil
}

// weigh adds to size about as many bytes as a value has when printed. It stops soon
// after maxText, so that a value that shares its parts is not walked to its end.
func weigh(v ast.Value, size *int) {
	add := func(t *ast.Term) {
		if *size <= maxText {
			*size += 2
			weigh(t.Value, size)
		}
	}
	switch v := v.(type) {
	case ast.String:
		*size += len(v) + 2
	case ast.Number:
		*size += len(v)
	case *ast.Array:
		_ = v.Iter(func(t *ast.Term) error { add(t); return enough(*size) })
	case ast.Set:
		_ = v.Iter(func(t *ast.Term) error { add(t); return enough(*size) })
	case ast.Object:
		_ = v.Iter(func(k, v *ast.Term) error { add(k); add(v); return enough(*size) })
	default:
		*size += 5
	}
}

var errEnough = errors.New("enough")

func enough(size int) error {
	if size > maxText {
		return errEnough
	}
	return nil
}

// guardRegex refuses patterns that take long to match. What a pattern comes to is
// remembered, as OPA remembers compiled patterns.
func guardRegex() guard {
	known, err := lru.New[string, int](256)
	if err != nil {
		panic(err) // The size is not positive.
	}
	return func(args []*ast.Term) error {
		pattern, ok1 := args[0].Value.(ast.String)
		text, ok2 := args[1].Value.(ast.String)
		if !ok1 || !ok2 {
			return nil
		}
		if err := checkMatch(pattern, text); err != nil {
			return err
		}
		size, ok := known.Get(string(pattern))
		if !ok {
			size = programSize(string(pattern))
			known.Add(string(pattern), size)
		}
		if size > maxProgram {
			return fmt.Errorf("a pattern of %d instructions, the limit is %d", size, maxProgram)
		}
		return nil
	}
}

func checkMatch(pattern, text ast.String) error {
	if len(pattern) > maxPattern {
		return fmt.Errorf("a pattern of %d bytes, the limit is %d", len(pattern), maxPattern)
	}
	if len(text) > maxMatched {
		return fmt.Errorf("a text of %d bytes to match, the limit is %d", len(text), maxMatched)
	}
	return nil
}

// programSize is how many instructions a regular expression has; 0 if it is none,
// which OPA will say.
func programSize(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}

func guardGlob(args []*ast.Term) error {
	pattern, ok1 := args[0].Value.(ast.String)
	text, ok2 := args[2].Value.(ast.String)
	if !ok1 || !ok2 {
		return nil
	}
	if err := checkMatch(pattern, text); err != nil {
		return err
	}
	if n := textBytes(args[1]); n > maxPattern {
		return fmt.Errorf("delimiters of %d bytes, the limit is %d", n, maxPattern)
	}
	wildcards := 0
	for i := range len(pattern) {
		if c := pattern[i]; c == '{' || c == '*' && (i == 0 || pattern[i-1] != '*') {
			wildcards++
		}
	}
	if wildcards > maxWildcards {
		return fmt.Errorf("a pattern with %d wildcards, the limit is %d", wildcards, maxWildcards)
	}
	return nil
}

func guardEncodeObject(args []*ast.Term) error {
	size := 0
	weigh(args[0].Value, &size)
	if size > maxText {
		return fmt.Errorf("texts of %d bytes or more, the limit is %d", size, maxText)
	}
	return nil
}

func guardMarshal(args []*ast.Term) error {
	size := 0
	weigh(args[0].Value, &size)
	if size > maxText {
		return fmt.Errorf("makes a text of %d bytes or more, the limit is %d", size, maxText)
	}
	return nil
}
