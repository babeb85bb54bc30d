package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// parameters make everything in the template that can be made, with values that fit.
func parameters() map[string]string {
	return map[string]string{
		"TableKeyArn":         "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555",
		"ApiAccounts":         "444455550000,444455550001,444455550002,444455550003,444455550004,444455550005,444455550006,444455550007",
		"SecretArns":          "arn:aws:secretsmanager:eu-west-1:111122223333:secret:regent/acme/introspection-AbCdEf",
		"ReservedConcurrency": "50",
		"AlarmTopicArn":       "arn:aws:sns:eu-west-1:111122223333:alarms",
		"Samples":             "true",
	}
}

// expand does what the SAM transform does with the one resource that is SAM's own: AWS's
// linter knows next to nothing of those. Everything else of the template stays.
func expand(t *testing.T, template string) string {
	t.Helper()
	for _, change := range []struct{ sam, plain string }{
		{"Transform: AWS::Serverless-2016-10-31\n", ""},
		{"Type: AWS::Serverless::Function", "Type: AWS::Lambda::Function"},
		{"CodeUri: dist/package/", "Code: {S3Bucket: bucket, S3Key: key}"},
	} {
		if strings.Count(template, change.sam) != 1 {
			t.Fatalf("template.yaml has not exactly one %q: what the SAM transform makes of it must be said here", change.sam)
		}
		template = strings.Replace(template, change.sam, change.plain, 1)
	}
	if strings.Contains(template, "AWS::Serverless") {
		t.Fatal("template.yaml has another resource of SAM's, which would not be linted")
	}
	return template
}

// Rules of AWS's linter that are not asked.
const (
	// unreachable finds, with the parameters given, one side of each condition.
	unreachable = "W1028"
	// handwrittenARN takes the pattern of an account's authorizers for an ARN by hand.
	handwrittenARN = "W9002"
	// handwrittenAccount finds the other account in snippets, where it has to be.
	handwrittenAccount = "W9013"
)

// lint returns what AWS's linter says of each template, without some rules.
func lint(t *testing.T, parameters, templates map[string]string, without ...string) map[string][]string {
	t.Helper()
	in, err := json.Marshal(map[string]any{"parameters": parameters, "without": without, "templates": templates})
	if err != nil {
		t.Fatal(err)
	}
	var found map[string][]string
	if err := json.Unmarshal(node(t, in, "lint.mjs"), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != len(templates) {
		t.Fatalf("linted %d templates of %d", len(found), len(templates))
	}
	return found
}

// node runs a script and returns its standard output.
func node(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal("node_modules is not there: run npm ci in deploy")
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mutation is a way to break template.yaml; mutations.yaml says more.
type mutation struct {
	Name  string `yaml:"name"`
	Old   string `yaml:"old"`
	New   string `yaml:"new"`
	Found string `yaml:"found"`
	Says  string `yaml:"says"`
}

// mutants are template.yaml with each mutation that a linter must find.
func mutants(t *testing.T) (all []mutation, templates map[string]string) {
	t.Helper()
	template := read(t, "../template.yaml")
	if err := yaml.Unmarshal([]byte(read(t, "mutations.yaml")), &all); err != nil {
		t.Fatal(err)
	}
	templates = map[string]string{}
	kept := all[:0]
	for _, m := range all {
		if m.Found != "lint" {
			continue
		}
		if m.Says == "" || !strings.Contains(template, m.Old) {
			t.Fatalf("not a mutation of template.yaml: %+v", m)
		}
		kept = append(kept, m)
		templates[m.Name] = strings.ReplaceAll(template, m.Old, m.New)
	}
	if len(kept) == 0 {
		t.Fatal("no mutation")
	}
	return kept, templates
}

// TestLint has AWS's linter look at template.yaml, and at each of its mutants. A warning
// fails: some of what would break a deployment is no more to it.
func TestLint(t *testing.T) {
	t.Parallel()
	all, templates := mutants(t)
	templates["template.yaml"] = read(t, "../template.yaml")
	for name, text := range templates {
		templates[name] = expand(t, text)
	}
	found := lint(t, parameters(), templates, unreachable, handwrittenARN)
	for _, problem := range found["template.yaml"] {
		t.Error(problem)
	}
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			if says := strings.Join(found[m.Name], "\n"); !strings.Contains(says, m.Says) {
				t.Errorf("nothing says %q:\n%s", m.Says, says)
			}
		})
	}
}

// TestCfnLint runs cfn-lint, which transforms SAM's resources with SAM's own code, over
// template.yaml, the SAM snippet, and two mutants that show that it sees through the
// transform. It is no package of npm, so it is used only where it is installed.
func TestCfnLint(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed: AWS's linter alone has looked")
	}
	all, templates := mutants(t)
	good := map[string]string{"template": read(t, "../template.yaml"), "snippet": snippet(t, "snippet: sam")}
	bad := map[string]string{}
	for _, m := range all[:2] {
		bad[strings.ReplaceAll(m.Name, " ", "-")] = templates[m.Name]
	}
	dir := t.TempDir()
	args := []string{"--format", "parseable", "--regions", "eu-west-1", "--"}
	for _, set := range []map[string]string{good, bad} {
		for name, text := range set {
			file := filepath.Join(dir, name+".yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
	}
	// It ends with a status above 0, for it must find the mutants.
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err == nil {
		t.Error("cfn-lint finds nothing in the mutants")
	}
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSuffix(filepath.Base(strings.SplitN(line, ":", 2)[0]), ".yaml")
		if _, ok := bad[name]; !ok {
			t.Error(line)
		}
	}
	for name := range bad {
		if !strings.Contains(string(out), name) {
			t.Errorf("cfn-lint does not find %s:\n%s", name, out)
		}
	}
}
