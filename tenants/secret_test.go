package tenants_test

import (
	"strings"
	"testing"

	"regent/tenants"
)

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
	tests := []struct {
		name, id, reference string
		ok                  bool
	}{
		{"variable", "acme", "env:ACME_INTROSPECTION_SECRET", true},
		{"variable of an id with hyphens", "acme-eu", "env:ACME_EU_X", true},
		{"variable of another", "acme", "env:BOLT_X", false},
		{"variable whose prefix goes on", "acme", "env:ACMEX_X", false},
		{"variable in lower case", "acme", "env:acme_x", false},
		{"variable with the prefix alone", "acme", "env:ACME_", false},
		{"variable with the prefix later", "acme", "env:X_ACME_Y", false},
		{"variable without a name", "acme", "env:", false},
		{"file", "acme", "file:/run/secrets/acme/idp", true},
		{"file with a relative path", "acme", "file:acme/idp", true},
		{"file of another", "acme", "file:/run/secrets/bolt/idp", false},
		{"file of another below one's own", "acme", "file:/run/acme/bolt/idp", false},
		{"file that has the name", "acme", "file:/run/secrets/acme", false},
		{"file alone", "acme", "file:acme", false},
		{"file beside", "acme", "file:/run/acme/../bolt/idp", false},
		{"file that leads away", "acme", "file:/run/bolt/../acme/idp", false},
		{"file of a directory", "acme", "file:/run/secrets/acme/", false},
		{"file with an empty element", "acme", "file:/run//acme/idp", false},
		{"file with a dot", "acme", "file:/run/acme/.", false},
		{"file without a path", "acme", "file:", false},
		{"ARN", "acme", arn + "regent/acme/idp-AbCdEf", true},
		{"ARN of a short name", "acme", arn + "acme/idp-AbCdEf", true},
		{"ARN in China", "acme", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:acme/idp-AbCdEf", true},
		{"ARN for the government", "acme", "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:acme/idp-AbCdEf", true},
		{"ARN of another", "acme", arn + "regent/bolt/idp-AbCdEf", false},
		{"ARN of another below one's own", "acme", arn + "acme/bolt/idp-AbCdEf", false},
		{"ARN that has the name", "acme", arn + "acme-AbCdEf", false},
		{"ARN with a JSON key", "acme", arn + "acme/idp-AbCdEf:key::", false},
		{"ARN of another service", "acme", "arn:aws:ssm:eu-west-1:123456789012:parameter/acme/idp", false},
		{"ARN whose region is a host", "acme", "arn:aws:secretsmanager:evil.example/:123456789012:secret:acme/idp", false},
		{"ARN with a line break", "acme", arn + "acme/idp\n", false},
		{"ARN without a name", "acme", arn, false},
		{"the secret itself", "acme", "hunter2", false},
		{"the secret itself, with a colon", "acme", "hunter2:x", false},
		{"nothing", "acme", "", false},
		{"no tenant and a variable", "", "env:_X", false},
		{"no tenant and a file", "", "file:/run//idp", false},
		{"no id", "AC/ME", "file:/run/AC/ME/idp", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tenants.CheckSecret(tt.id, tt.reference)
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, want ok %t", err, tt.ok)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "bolt")) {
				t.Errorf("the reference is in %q", err)
			}
		})
	}
}
