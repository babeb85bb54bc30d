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

// lint returns what AWS's linter says of each template.
func lint(t *testing.T, parameters, templates map[string]string) map[string][]string {
	t.Helper()
	in, err := json.Marshal(map[string]any{"parameters": parameters, "templates": templates})
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
	found := lint(t, parameters(), templates)
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

// cfnLint runs cfn-lint, which transforms SAM's resources with SAM's own code, if it is
// installed. It is not a package of npm, so it is not required.
func cfnLint(t *testing.T, files ...string) string {
	t.Helper()
	path, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not installed: AWS's linter alone has looked")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--format", "parseable", "--regions", "eu-west-1", "--"}, files...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

func TestCfnLint(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(cfnLint(t, "../template.yaml")) {
		t.Error(line)
	}
}

// TestCfnLintBites shows that cfn-lint sees through the SAM resource.
func TestCfnLintBites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all, templates := mutants(t)
	var files []string
	for i, m := range all {
		file := filepath.Join(dir, strings.ReplaceAll(m.Name, " ", "-")+".yaml")
		// Fewer, for each takes a second and a half: those of the function.
		if i >= 4 {
			break
		}
		if err := os.WriteFile(file, []byte(templates[m.Name]), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	said := cfnLint(t, files...)
	for _, file := range files {
		if !strings.Contains(said, file) {
			t.Errorf("cfn-lint finds nothing in %s:\n%s", file, said)
		}
	}
}
