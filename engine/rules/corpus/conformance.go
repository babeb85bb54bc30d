package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/test/cases"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// Case is one of OPA's conformance cases, as a tenant's bundle: the case's modules
// and data, and a principal_id that is the results of the case's query as JSON.
type Case struct {
	// Note is OPA's name of the case.
	Note string
	// Bundle is what to compile and to decide for any input.
	Bundle tenants.Bundle
	of     cases.TestCase
}

// Cases reads the conformance cases for Rego v1 that come with the OPA module that
// this repository builds with. It runs `go list` to find them.
func Cases(ctx context.Context) ([]Case, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		return nil, fmt.Errorf("conformance cases: %w", err)
	}
	set, err := cases.Load(filepath.Join(strings.TrimSpace(string(out)), "v1", "test", "cases", "testdata", "v1"))
	if err != nil {
		return nil, fmt.Errorf("conformance cases: %w", err)
	}
	var list []Case
	for _, c := range set.Sorted().Cases {
		bundle, err := bundleOf(c)
		if err != nil {
			return nil, fmt.Errorf("conformance case %s: %w", c.Note, err)
		}
		list = append(list, Case{Note: c.Note, Bundle: bundle, of: c})
	}
	return list, nil
}

func bundleOf(c cases.TestCase) (tenants.Bundle, error) {
	input, err := inputOf(c)
	if err != nil {
		return tenants.Bundle{}, err
	}
	var names []string
	if c.WantResult != nil && len(*c.WantResult) > 0 {
		names = slices.Sorted(maps.Keys((*c.WantResult)[0]))
	}
	bindings := make([]string, len(names))
	for i, name := range names {
		bindings[i] = fmt.Sprintf("%q: %s", name, name)
	}
	files := []tenants.File{{Path: "authz.rego", Content: fmt.Appendf(nil, `package authz

allow := true

found contains {%s} if {
	%s
}

principal_id := text if {
	text := json.marshal(found)%s
}
`, strings.Join(bindings, ", "), c.Query, input)}}
	for i, module := range c.Modules {
		files = append(files, tenants.File{Path: fmt.Sprintf("module%d.rego", i), Content: []byte(module)})
	}
	if c.Data != nil {
		data, err := json.Marshal(*c.Data)
		if err != nil {
			return tenants.Bundle{}, err
		}
		files = append(files, tenants.File{Path: "data.json", Content: data})
	}
	return tenants.NewBundle(files)
}

// inputOf returns the modifier that makes a case's input the input.
func inputOf(c cases.TestCase) (string, error) {
	switch {
	case c.InputTerm != nil:
		return " with input as " + *c.InputTerm, nil
	case c.Input == nil:
		return "", nil
	}
	input, err := json.Marshal(*c.Input)
	return " with input as " + string(input), err
}

// Evaluate compiles a tenant's bundle without a platform and decides once, for any
// input. Its error is rules.Problems if the bundle is refused, and else what
// engine.Policy says.
type Evaluate func(ctx context.Context, b tenants.Bundle) (engine.Decision, error)

// Conformance is what running OPA's cases came to.
type Conformance struct {
	// Passed counts cases with the result that OPA expects.
	Passed int
	// Excluded counts cases that Regent refuses to run, by reason.
	Excluded map[string]int
	// Limited has the names of those that a static limit refuses, sorted.
	Limited []string
	// Failed has what went wrong, by the names of cases.
	Failed map[string]string
}

// ExpectedConformance is what all of OPA's cases come to, counted once and frozen.
func ExpectedConformance() Conformance {
	return Conformance{Passed: 1363, Excluded: map[string]int{
		"a function that is not allowed":                  702,
		"an error of a function is an error of the rules": 18,
		"data where a rule is":                            1,
		"documents that are not the tenant's":             4,
		"newer than Rego v1":                              160,
		"strict compilation":                              34,
		staticLimit:                                       7,
		"template strings":                                48,
		"the input is undefined":                          63,
	}, Limited: []string{
		"arithmetic/bignum modulo (divisor a nonzero multiple of 2^64)",
		"comparisonexpr/decimals order like the numbers they denote",
		"cryptoX509ParseKeyPairs/PEM_encoded_string_cert_and_key",
		"cryptoX509ParseKeyPairs/base64_encoded_string_cert_and_key",
		"cryptox509parsecertificates/PEM, chain, b64",
		"cryptox509parsecertificates/PEM, chain, string",
		"strings/sprintf: float too big",
	}, Failed: map[string]string{}}
}

// staticLimit is the reason for what is too large for Regent.
const staticLimit = "a static limit"

// RunConformance evaluates all cases one after the other.
func RunConformance(ctx context.Context, list []Case, evaluate Evaluate) Conformance {
	c := Conformance{Excluded: map[string]int{}, Failed: map[string]string{}}
	for _, cs := range list {
		if cs.withoutInput() {
			c.Excluded["the input is undefined"]++
			continue
		}
		d, err := evaluate(ctx, cs.Bundle)
		excluded, err := cs.judge(d, err)
		switch {
		case err != nil:
			c.Failed[cs.Note] = err.Error()
		case excluded != "":
			c.Excluded[excluded]++
			if excluded == staticLimit {
				c.Limited = append(c.Limited, cs.Note)
			}
		default:
			c.Passed++
		}
	}
	slices.Sort(c.Limited)
	return c
}

// word is the name of the input document.
var word = regexp.MustCompile(`\binput\b`)

// withoutInput tells whether a case asks what happens without an input. Here there
// is one always.
func (c Case) withoutInput() bool {
	return c.of.Input == nil && c.of.InputTerm == nil && word.MatchString(c.of.Query+strings.Join(c.of.Modules, ""))
}

// judge compares what came out with what OPA expects. The text is why a case cannot
// be run here.
func (c Case) judge(d engine.Decision, err error) (string, error) {
	if problems, ok := rules.IsProblems(err); ok {
		if c.of.WantErrorCode != nil && problems[0].Code == *c.of.WantErrorCode {
			return "", nil
		}
		return reason(problems[0])
	}
	var e *rules.EvalError
	if errors.As(err, &e) {
		return c.judgeError(e)
	}
	if err != nil {
		return "", err
	}
	if c.wantsError() {
		return "", fmt.Errorf("no error: %s", d.PrincipalID)
	}
	return "", c.compare(d.PrincipalID)
}

func (c Case) wantsError() bool { return c.of.WantErrorCode != nil || c.of.WantError != nil }

func (c Case) judgeError(e *rules.EvalError) (string, error) {
	switch {
	case c.of.WantErrorCode != nil && e.Code == *c.of.WantErrorCode:
		return "", nil
	case c.of.WantErrorCode == nil && c.of.WantError != nil && saidByOPA(e.Code):
		return "", nil
	case e.Code == "eval_builtin_error" || e.Code == "eval_type_error":
		// OPA runs most cases with errors of functions as undefined.
		return "an error of a function is an error of the rules", nil
	default:
		return "", fmt.Errorf("%s: %s", e.Code, e.Message)
	}
}

// saidByOPA tells whether a code is of an error that evaluating ran into. An evaluation
// that was stopped, or whose process ended, has said nothing.
func saidByOPA(code string) bool {
	return strings.HasPrefix(code, "eval_") && code != "eval_error" && code != "eval_cancel_error"
}

// reasons why a bundle is refused, by the beginnings of messages.
var reasons = [][2]string{
	{"undefined function ", "a function that is not allowed"},
	{"with keyword target must reference existing", "a function that is not allowed"},
	{"invalid import, `rego.v2`", "newer than Rego v1"},
	{"unexpected keyword, must be one of", "newer than Rego v1"},
	{"unexpected identifier token: non-terminated set", "newer than Rego v1"},
	{"conflicting rule for data path", "data where a rule is"},
	{"var x is unsafe", "a function that is not allowed"},
	{"unused ", "strict compilation"},
	{"assigned var ", "strict compilation"},
	{"declared var ", "strict compilation"},
	{"import must not shadow ", "strict compilation"},
	{"variables must not shadow ", "strict compilation"},
	{"rules must not shadow ", "strict compilation"},
	{"deprecated built-in function calls", "strict compilation"},
}

func reason(p *rules.Problem) (string, error) {
	switch {
	case strings.HasPrefix(p.Message, "template strings "):
		return "template strings", nil
	case p.Code == "limit":
		return staticLimit, nil
	case p.Code == "confinement":
		return "documents that are not the tenant's", nil
	}
	for _, r := range reasons {
		if strings.HasPrefix(p.Message, r[0]) {
			return r[1], nil
		}
	}
	return "", p
}

// compare compares results as sets, as found is one.
func (c Case) compare(text string) error {
	var got []any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	if c.of.WantResult == nil {
		if c.of.WantDefined != nil && *c.of.WantDefined != (len(got) > 0) {
			return fmt.Errorf("results %s, want defined: %t", text, *c.of.WantDefined)
		}
		return nil
	}
	wanted, err := json.Marshal(*c.of.WantResult)
	if err != nil {
		return err
	}
	var want []any
	if err := json.Unmarshal(wanted, &want); err != nil {
		return err
	}
	if !reflect.DeepEqual(c.normal(got), c.normal(want)) {
		return fmt.Errorf("results %s, want %s", text, wanted)
	}
	return nil
}

// normal returns results as sorted texts, each once.
func (c Case) normal(results []any) []string {
	texts := make([]string, len(results))
	for i, r := range results {
		if bindings, ok := r.(map[string]any); ok && c.of.SortBindings {
			for _, v := range bindings {
				if list, ok := v.([]any); ok {
					sort.Slice(list, func(i, j int) bool { return string(encode(list[i])) < string(encode(list[j])) })
				}
			}
		}
		texts[i] = string(encode(r))
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(err.Error())
	}
	return b.Bytes()
}
