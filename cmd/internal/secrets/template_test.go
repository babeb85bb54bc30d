package secrets

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestTemplate holds that template.yaml lets the function read the secrets that a
// parameter names, and no others.
func TestTemplate(t *testing.T) {
	text, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Resources  struct {
			Role struct {
				Properties struct {
					Policies []yaml.Node `yaml:"Policies"`
				} `yaml:"Properties"`
			} `yaml:"Role"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, policy := range template.Resources.Role.Properties.Policies {
		if policy.Tag != "!If" {
			continue
		}
		found++
		var condition, otherwise string
		var granted struct {
			PolicyDocument struct {
				Statement []map[string]yaml.Node `yaml:"Statement"`
			} `yaml:"PolicyDocument"`
		}
		for i, into := range []any{&condition, &granted, &otherwise} {
			if err := policy.Content[i].Decode(into); err != nil {
				t.Fatal(err)
			}
		}
		if _, there := template.Conditions[condition]; !there || otherwise != "AWS::NoValue" {
			t.Errorf("if %q, else %q", condition, otherwise)
		}
		if len(granted.PolicyDocument.Statement) != 1 {
			t.Errorf("%d statements", len(granted.PolicyDocument.Statement))
		}
		for _, s := range granted.PolicyDocument.Statement {
			action, resource := s["Action"], s["Resource"]
			if action.Value != "secretsmanager:GetSecretValue" || resource.Tag != "!Ref" || resource.Value != "SecretArns" || len(s) != 3 {
				t.Errorf("grants %q on %s %q", action.Value, resource.Tag, resource.Value)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d conditional policies in the role", found)
	}
}
