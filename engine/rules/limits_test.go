package rules_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"regent/engine/rules"
	"regent/tenants"
)

// atLimit makes a bundle with so much of what a limit counts: policy.rego, or
// data.json where the text begins with a brace.
func atLimit() map[string]func(n int) string {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.NewReplacer("{i}", fmt.Sprint(i), "{j}", fmt.Sprint(i+1)).Replace(format))
		}
		return b.String()
	}
	pad := func(text string, n int) string {
		return text + strings.Repeat("#\n", (n-len(text))/2) + strings.Repeat("\n", (n-len(text))%2)
	}
	return map[string]func(n int) string{
		"bytes of a module": func(n int) string { return pad("package authz\n\nallow := true\n", n) },
		"bytes of a line":   func(n int) string { return "package authz\n\nallow := true #" + strings.Repeat("x", n-15) + "\n" },
		"bytes of a string": func(n int) string {
			half := strings.Repeat("x", n/2)
			return "package authz\n\nallow := `" + half + "\n" + half[:n-n/2-1] + "` == input.x\n"
		},
		"nesting of brackets": func(n int) string {
			return "package authz\n\nallow if input.x == " + strings.Repeat("[", n) + strings.Repeat("]", n) + "\n"
		},
		"operators in one expression": func(n int) string { return "package authz\n\nallow if input.n == 1" + strings.Repeat("+1", n-1) + "\n" },
		"digits of a number":          func(n int) string { return "package authz\n\nallow if input.n == 1." + strings.Repeat("1", n-1) + "\n" },
		"rules in a bundle":           func(n int) string { return "package authz\n\n" + repeat(n, "allow if input.n == {i}\n") },
		"else arms of a rule": func(n int) string {
			return "package authz\n\nallow if input.n == 0\n" + repeat(n, "else := false if input.n == {j}\n")
		},
		"expressions in a body":           func(n int) string { return "package authz\n\nallow if {\n" + repeat(n, "\tinput.a{i}\n") + "}\n" },
		"expressions and calls in a body": func(n int) string { return "package authz\n\nallow if {\n" + calls(n) + "}\n" },
		"comprehensions in a body": func(n int) string {
			return "package authz\n\nallow if {\n" + repeat(n, "\t{x | some x in input.x}\n") + "}\n"
		},
		"nesting of comprehensions and every": func(n int) string {
			return "package authz\n\nallow if " + repeat(n, "[x{i} | some x{i} in input.x; ") + "true" + strings.Repeat("]", n) + "\n"
		},
		"variables of a rule": func(n int) string {
			return "package authz\n\nallow if {\n\t[" + strings.TrimSuffix(repeat(n, "x{i},\n"), ",\n") + "] = input.x\n}\n"
		},
		"parts of a reference": func(n int) string { return "package authz\n\nallow if input" + strings.Repeat(".a", n-1) + "\n" },
		"with modifiers of an expression": func(n int) string {
			return "package authz\n\nallow if input.x" + repeat(n, " with input.a{i} as 1") + "\n"
		},
		"types among the members of one collection": func(n int) string {
			return "package authz\n\ntable := {\n" + repeat(n, "\t\"a{i}\": {\"k{i}\": 1},\n") + "}\n\nallow if table[input.x]\n"
		},
		"nesting of data": func(n int) string { return strings.Repeat("{\"a\":\n", n-1) + "1" + strings.Repeat("}", n-1) },
		"values in data":  func(n int) string { return `{"a":[` + strings.TrimSuffix(strings.Repeat("\n1,", n-2), ",") + "]}" },
	}
}

// places are where the bundles above the limits are over them, but for those that are
// so on the third line of policy.rego.
func places() map[string]rules.Problem {
	policy := func(line int) rules.Problem { return rules.Problem{File: "policy.rego", Line: line} }
	return map[string]rules.Problem{
		"bytes of a module":                        policy(1),
		"bytes of Rego in a bundle, without tests": {File: "m7.rego", Line: 1},
		"rules in a bundle":                        policy(1003),
		"ordering of bodies: expressions and calls, cubed, summed over the bundle": policy(393),
		"values of an expression, shared ones counted each time":                   policy(1506),
		"values of all expressions, shared ones counted each time":                 policy(1129),
		"nesting of data": {File: "data.json", Line: 33},
		"values in data":  {File: "data.json", Line: 250_000},
	}
}

// refusal is the beginning of the message about a limit: what, how much, the limit.
var refusal = regexp.MustCompile(`^(.+): (\d+), the limit is (\d+); .`)

// calls is a body of n expressions and calls, in few expressions.
func calls(n int) string {
	var b strings.Builder
	for n > 0 {
		m := min(n, 5)
		b.WriteString("\t" + strings.Repeat("lower(", m) + "input.x" + strings.Repeat(")", m) + "\n")
		n -= m
	}
	return b.String()
}

// around are limits on sums that no text meets exactly: a bundle somewhat below and
// one above.
func around() map[string][2][]tenants.File {
	module := func(text string) []tenants.File { return []tenants.File{{Path: "policy.rego", Content: []byte(text)}} }
	bodies := func(n int) []tenants.File {
		body := "allow if {\n" + "\tinput.a\n" + calls(60) + "}\n"
		return module("package authz\n\n" + strings.Repeat(body, n))
	}
	table := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "\t\"a%d\": [%d, %d],\n", i, i, i)
		}
		return "table := {\n" + b.String() + "}\n\n"
	}
	modules := func(n int) []tenants.File {
		files := module("package authz\n\nallow := true\n")
		for i := range n {
			files = append(files, tenants.File{Path: fmt.Sprintf("m%d.rego", i), Content: []byte("package authz\n" + strings.Repeat("#\n", 32<<9))})
		}
		return files
	}
	uses := func(n int) []tenants.File {
		return module("package authz\n\n" + table(1000) + strings.Repeat("allow if table == input.x\n", n))
	}
	return map[string][2][]tenants.File{
		"bytes of Rego in a bundle, without tests":                                 {modules(7), modules(8)},
		"ordering of bodies: expressions and calls, cubed, summed over the bundle": {bodies(26), bodies(28)},
		"values of an expression, shared ones counted each time": {
			module("package authz\n\n" + table(2500) + "allow if table[input.x]\n"),
			module("package authz\n\n" + table(1500) + "twice := [table, table, table, table]\n\nallow if twice[input.x]\n"),
		},
		"values of all expressions, shared ones counted each time": {uses(70), uses(150)},
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	exact, sums := atLimit(), around()
	for _, l := range rules.Limits() {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			var below, above []tenants.File
			switch make, ok := exact[l.Name]; {
			case ok:
				below, above = limitFile(make(l.Max)), limitFile(make(l.Max+1))
			default:
				pair, ok := sums[l.Name]
				if !ok {
					t.Fatal("no case for this limit")
				}
				below, above = pair[0], pair[1]
			}
			if _, err := rules.Compile(t.Context(), mustBundle(t, nil), mustBundle(t, below), rules.Options{}); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := rules.Compile(t.Context(), mustBundle(t, nil), mustBundle(t, above), rules.Options{})
			ps, ok := rules.IsProblems(err)
			if !ok {
				t.Fatalf("above the limit: %v", err)
			}
			p, place := ps[0], rules.Problem{File: "policy.rego", Line: 3}
			if other, ok := places()[l.Name]; ok {
				place = other
			}
			if p.File != place.File || p.Line != place.Line || p.Column == 0 {
				t.Errorf("problem at %s:%d:%d, want it at %s:%d", p.File, p.Line, p.Column, place.File, place.Line)
			}
			said := refusal.FindStringSubmatch(p.Message)
			if p.Code != "limit" || said == nil || said[1] != l.Name || said[3] != fmt.Sprint(l.Max) {
				t.Fatalf("problem %+v, want the limit, its value and the place", p)
			}
			found, err := strconv.Atoi(said[2])
			if _, isSum := sums[l.Name]; err != nil || found <= l.Max || !isSum && found != l.Max+1 {
				t.Errorf("the problem says %q, which is not what was found", said[2])
			}
			if len(ps) > 1 {
				t.Errorf("%d problems, want one: %v", len(ps), err)
			}
		})
	}
}

// TestLongComment compiles the largest comment that a module has room for, as one line
// and as many.
func TestLongComment(t *testing.T) {
	t.Parallel()
	const head, tail = "package authz\n\n", "\nallow := true\n"
	room := 64<<10 - len(head) - len(tail)
	one := "#" + strings.Repeat("x", room-1)
	many := strings.Repeat("#"+strings.Repeat("x", 62)+"\n", room/64)
	if err := compileText(t, head+many+tail); err != nil {
		t.Errorf("many lines: %v", err)
	}
	ps, ok := rules.IsProblems(compileText(t, head+one+tail))
	if !ok || len(ps) != 1 || ps[0].Line != 3 || !strings.Contains(ps[0].Message, fmt.Sprintf("bytes of a line: %d, the limit is 4096", room)) {
		t.Errorf("one line: %v, want its length and the limit", ps)
	}
}

func limitFile(text string) []tenants.File {
	if strings.HasPrefix(text, "{") {
		return []tenants.File{
			{Path: "policy.rego", Content: []byte("package authz\n\nallow := true\n")},
			{Path: "data.json", Content: []byte(text)},
		}
	}
	return []tenants.File{{Path: "policy.rego", Content: []byte(text)}}
}

// TestLimitsAreDocumented holds the table in docs/rules.md to the limits.
func TestLimitsAreDocumented(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, l := range rules.Limits() {
		fmt.Fprintf(&table, "| %s | %d | %s |\n", l.Name, l.Max, l.Why)
	}
	if !strings.Contains(string(content), table.String()) {
		t.Errorf("docs/rules.md does not have this table of limits:\n%s", table.String())
	}
}
