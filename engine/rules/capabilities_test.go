package rules_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine/rules"
	"regent/tenants"
)

func compileText(tb testing.TB, rego string) error {
	tb.Helper()
	_, err := rules.Compile(tb.Context(), mustBundle(tb, nil), mustBundle(tb, []tenants.File{{Path: "policy.rego", Content: []byte(rego)}}), rules.Options{})
	return err
}

// TestRefusedBuiltins calls every function of OPA that is not allowed, and puts it
// in the place of one that is. Both have to name it and say why.
func TestRefusedBuiltins(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{}
	for _, b := range rules.Capabilities().Builtins {
		allowed[b.Name] = true
	}
	refused := 0
	for _, b := range ast.Builtins {
		if allowed[b.Name] || b.Infix != "" || strings.HasPrefix(b.Name, "internal.") {
			continue
		}
		refused++
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			var args, params []string
			for i := range b.Decl.FuncArgs().Args {
				args = append(args, fmt.Sprintf("input.a%d", i))
				params = append(params, "_")
			}
			list := strings.Join(args, ", ")
			for name, rego := range map[string]string{
				"called":     fmt.Sprintf("package authz\n\nallow if %s(%s) == 1\n", b.Name, list),
				"by with":    fmt.Sprintf("package authz\n\nf(%s) := 1\n\nallow if f(%s) == 1 with f as %s\n", strings.Join(params, ", "), list, b.Name),
				"a value":    fmt.Sprintf("package authz\n\nallow if input.f == %s\n", b.Name),
				"overridden": fmt.Sprintf("package authz\n\nf(%s) := 1\n\nallow if %s(%s) == 1 with %s as f\n", strings.Join(params, ", "), b.Name, list, b.Name),
			} {
				err := compileText(t, rego)
				ps, ok := rules.IsProblems(err)
				if !ok {
					t.Errorf("%s: %v, want a problem", name, err)
					continue
				}
				first, _, _ := strings.Cut(b.Name, ".")
				if ps[0].Line == 0 || name != "overridden" && !strings.Contains(err.Error(), first) {
					t.Errorf("%s: %v: does not name the function and the line", name, err)
				}
				if name == "called" && (!strings.Contains(err.Error(), "undefined function "+b.Name+": not allowed in rules; ")) {
					t.Errorf("%s: %v: does not say why", name, err)
				}
			}
		})
	}
	if refused < 80 {
		t.Errorf("%d functions are refused, want at least 80", refused)
	}
}

// TestCapabilities holds what rules may use to the list in docs/rules.md.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	c := rules.Capabilities()
	if c.AllowNet == nil || len(c.AllowNet) != 0 {
		t.Error("allow_net has to be an empty list: nil allows every host")
	}
	if !slices.Equal(c.Features, []string{ast.FeatureKeywordsInRefs, ast.FeatureRegoV1}) || len(c.FutureKeywords) > 0 {
		t.Errorf("features %v %v", c.Features, c.FutureKeywords)
	}
	var names []string
	for _, b := range c.Builtins {
		if b.Infix == "" && !strings.HasPrefix(b.Name, "internal.") && b.Name != "walk" && b.Nondeterministic && b.Name != "time.now_ns" {
			t.Errorf("%s does not follow from its arguments", b.Name)
		}
		if b.Infix == "" && !strings.HasPrefix(b.Name, "internal.") {
			names = append(names, b.Name)
		}
	}
	content, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if line := "`" + strings.Join(names, "` `") + "`"; !strings.Contains(strings.Join(strings.Fields(string(content)), " "), line) {
		t.Errorf("docs/rules.md does not have the list of functions:\n%s", line)
	}
}

// toRemove are the functions that were found, by measuring or by what they are, to
// reach out of the rules, to crash OPA, or to take seconds or gigabytes in one call. A
// star at the end stands for any rest.
const toRemove = `
http.send net.lookup_ip_addr opa.runtime rego.parse_module rego.metadata.* trace print io.jwt.* crypto.x509.*
crypto.parse_private_keys providers.aws.sign_req json.match_schema json.verify_schema json.patch graphql.* yaml.*
strings.render_template units.* bits.* product graph.* regex.template_match regex.globs_match regex.find_n
regex.find_all_string_submatch_n regex.split regex.replace net.cidr_expand net.cidr_merge net.cidr_contains_matches
rand.intn uuid.rfc4122 array.flatten json.marshal_with_options strings.replace_n indexof_n split_n
internal.template_string
`

// TestDangerousBuiltins holds that what is known to be dangerous is not allowed.
func TestDangerousBuiltins(t *testing.T) {
	t.Parallel()
	c := rules.Capabilities()
	// kept are those of them that are allowed all the same, and why; absent those that
	// this OPA does not have, and that stay away if one has them.
	kept := map[string]string{"print": "the compiler erases it: nothing is called, and rules need not change once they were debugged"}
	absent := map[string]bool{"split_n": true}
	for _, pattern := range strings.Fields(toRemove) {
		prefix, open := strings.CutSuffix(pattern, "*")
		found := 0
		for _, b := range ast.Builtins {
			if b.Name != prefix && !(open && strings.HasPrefix(b.Name, prefix)) {
				continue
			}
			found++
			if c.ContainsBuiltin(b.Name) && kept[b.Name] == "" {
				t.Errorf("%s is allowed", b.Name)
			}
		}
		if (found == 0) != absent[pattern] {
			t.Errorf("OPA has %d functions %s: the list is out of date", found, pattern)
		}
	}
	for name := range kept {
		if !c.ContainsBuiltin(name) {
			t.Errorf("%s is not allowed and needs no reason", name)
		}
	}
	if slices.Contains(c.Features, ast.FeatureTemplateStrings) {
		t.Error("template strings are allowed")
	}
}

// TestNothingIsReached compiles rules that would read a file and connect, were the
// functions there: a file with a canary in it, and a listener of our own.
func TestNothingIsReached(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan string, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			reached <- conn.RemoteAddr().String()
			_ = conn.Close()
		}
		close(reached)
	}()
	canary := filepath.Join(t.TempDir(), "canary.json")
	if err := os.WriteFile(canary, []byte(`{"type": "canary-4711"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{
		`json.match_schema({"a": 1}, {"$ref": "URL"})[0]`,
		`json.verify_schema({"$ref": "URL"})[0]`,
		`http.send({"method": "GET", "url": "URL"}).status_code == 200`,
		`graphql.schema_is_valid("URL")`,
	} {
		for _, url := range []string{"file://" + canary, "http://" + listener.Addr().String() + "/x"} {
			err := compileText(t, "package authz\n\nallow if "+strings.ReplaceAll(call, "URL", url)+"\n")
			if _, ok := rules.IsProblems(err); !ok || strings.Contains(err.Error(), "canary-4711") {
				t.Errorf("%s: %v", call, err)
			}
		}
	}
	// Schemas in annotations are read by the compiler itself, where there is a schema.
	for _, url := range []string{"file://" + canary, "http://" + listener.Addr().String() + "/x"} {
		rego := "# METADATA\n# scope: package\n# schemas:\n#   - input: {\"$ref\": \"" + url + "\"}\npackage authz\n\nallow if input.x == \"y\"\n"
		bundle := mustBundle(t, []tenants.File{{Path: "policy.rego", Content: []byte(rego)}})
		_, err := rules.Compile(t.Context(), mustBundle(t, nil), bundle, rules.Options{Schema: []byte(`{"type": "object", "properties": {"x": {"type": "string"}}}`)})
		if _, ok := rules.IsProblems(err); !ok || strings.Contains(err.Error(), "canary-4711") {
			t.Errorf("schema at %s: %v", url, err)
		}
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if from, ok := <-reached; ok {
		t.Errorf("connected from %s", from)
	}
}

// TestNewerRego refuses what later versions of Rego add, whose costs nobody measured.
func TestNewerRego(t *testing.T) {
	t.Parallel()
	for _, rego := range []string{"package authz\n\nimport rego.v2\n\nallow := true\n", "package authz\n\nimport future.keywords.not\n\nallow := true\n", "package authz\n\nallow if $\"{input.x}\" == \"\"\n"} {
		if _, ok := rules.IsProblems(compileText(t, rego)); !ok {
			t.Errorf("compiles:\n%s", rego)
		}
	}
}
