package cfn_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"regent/cmd/internal/cfn"
	"regent/cmd/internal/config"
	"regent/engine/rules/sandbox"
	"regent/tenants/dynamo"
)

// The checks below hold template.yaml to the code. Each returns what is wrong with a
// template, so that the mutations in deploy/mutations.yaml can show that it bites.

const root = "../../.."

// stacks are the sets of parameters that are looked at, by name.
func stacks() map[string]map[string]string {
	return map[string]map[string]string{
		"defaults":  nil,
		"workspace": {"Store": "workspace"},
		"everything": {
			"TableKeyArn":             keyARN,
			"TableDeletionProtection": "true",
			"ApiAccounts":             "444455556666",
			"SecretArns":              secretARN + "," + secretARN + "2",
			"ReservedConcurrency":     "50",
			"AlarmTopicArn":           topicARN,
			"Samples":                 "true",
			"LogLevel":                "debug",
		},
	}
}

const (
	keyARN    = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"
	secretARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:regent/acme/introspection-AbCdEf"
	topicARN  = "arn:aws:sns:eu-west-1:111122223333:alarms"
)

// check is one thing that must hold for a stack with these parameters.
type check struct {
	name string
	find func(parameters map[string]string, s *cfn.Stack) []string
}

func checks(t *testing.T) []check {
	written := writtenMetrics(t)
	return []check{
		{"environment", environment},
		{"function", function},
		{"table", table},
		{"role", role},
		{"publisher", publisher},
		{"callers", callers},
		{"filters", filters},
		{"alarms", func(p map[string]string, s *cfn.Stack) []string { return alarms(p, s, written) }},
		{"samples", samples(sampleAPIs(t))},
		{"outputs", outputs},
	}
}

// problems are everything that is wrong with a template.
func problems(text string, checks []check) []string {
	template, err := cfn.Parse([]byte(text))
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(stacks())) {
		parameters := stacks()[name]
		stack, err := template.Stack(parameters)
		if err != nil {
			all = append(all, name+": "+err.Error())
			continue
		}
		for _, c := range checks {
			for _, p := range c.find(parameters, stack) {
				all = append(all, fmt.Sprintf("%s: %s: %s", name, c.name, p))
			}
		}
	}
	for _, p := range choices(template) {
		all = append(all, "choices: "+p)
	}
	for _, p := range accounts(template) {
		all = append(all, "accounts: "+p)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	for _, p := range problems(read(t, "template.yaml"), checks(t)) {
		t.Error(p)
	}
}

// mutation is a way to break template.yaml, and what finds it.
type mutation struct {
	Name string `yaml:"name"`
	// Old is replaced by New, in every place.
	Old string `yaml:"old"`
	New string `yaml:"new"`
	// Found is "test", for the checks here, or "lint", for those of deploy.
	Found string `yaml:"found"`
	// Says is in what is found.
	Says string `yaml:"says"`
}

func TestTemplateMutations(t *testing.T) {
	t.Parallel()
	var all []mutation
	if err := yaml.Unmarshal([]byte(read(t, "deploy/mutations.yaml")), &all); err != nil {
		t.Fatal(err)
	}
	text, checks, ran := read(t, "template.yaml"), checks(t), 0
	for _, m := range all {
		if m.Found == "lint" {
			continue
		}
		ran++
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			if m.Found != "test" || m.Says == "" || !strings.Contains(text, m.Old) {
				t.Fatalf("not a mutation of template.yaml that test or lint finds: %+v", m)
			}
			found := problems(strings.ReplaceAll(text, m.Old, m.New), checks)
			if !slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, m.Says) }) {
				t.Errorf("nothing says %q: %q", m.Says, found)
			}
		})
	}
	if ran == 0 {
		t.Error("no mutation")
	}
}

// variables are the function's environment.
func variables(s *cfn.Stack) []string {
	var environ []string
	e, _ := s.Resources["Authorizer"].Properties["Environment"].(map[string]any)
	of, _ := e["Variables"].(map[string]any)
	for name, value := range of {
		environ = append(environ, fmt.Sprint(name, "=", value))
	}
	return environ
}

// environment: the function starts with what it is given, and finds its store.
func environment(parameters map[string]string, s *cfn.Stack) (wrong []string) {
	c, err := config.FromEnviron(variables(s))
	if err != nil {
		return []string{"the function would not start: " + err.Error()}
	}
	want := config.Store{Scheme: config.SchemeDynamoDB, Name: cfn.StackName + "-Table"}
	if parameters["Store"] == "workspace" {
		want = config.Store{Scheme: config.SchemeDir, Name: "workspace"}
	}
	if c.Store != want {
		wrong = append(wrong, fmt.Sprintf("the store is %s, want %s", c.Store, want))
	}
	if c.AllowPrivate {
		wrong = append(wrong, "providers may be at private addresses")
	}
	return wrong
}

// choices: the function starts with each value that a parameter allows.
func choices(t *cfn.Template) (wrong []string) {
	for name, p := range t.Parameters {
		for _, v := range p.AllowedValues {
			s, err := t.Stack(map[string]string{name: v})
			if err == nil {
				_, err = config.FromEnviron(variables(s))
			}
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s=%s: %v", name, v, err))
			}
		}
	}
	return wrong
}

// httpAPITimeout is what an HTTP API waits for its authorizer.
const httpAPITimeout = 10 * time.Second

// function: what `make package` makes runs, and answers before API Gateway gives up.
func function(parameters map[string]string, s *cfn.Stack) (wrong []string) {
	f := s.Resources["Authorizer"]
	want := map[string]any{
		"CodeUri": "dist/package/", "Handler": "bootstrap", "Runtime": "provided.al2023", "Architectures": []any{"arm64"},
		"Role": "regent-Role.Arn", "LoggingConfig": map[string]any{"LogGroup": "regent-Log"},
	}
	for name, w := range want {
		if diff := cmp.Diff(w, f.Properties[name]); diff != "" {
			wrong = append(wrong, fmt.Sprintf("%s (-want +got)\n%s", name, diff))
		}
	}
	seconds, err := strconv.Atoi(fmt.Sprint(f.Properties["Timeout"]))
	timeout := time.Duration(seconds) * time.Second
	if err != nil || timeout >= httpAPITimeout || timeout <= config.MaxEvalTimeout-time.Second {
		wrong = append(wrong, fmt.Sprintf("a timeout of %v s is not below the %s of an HTTP API, or leaves no time", f.Properties["Timeout"], httpAPITimeout))
	}
	reserved, there := f.Properties["ReservedConcurrentExecutions"]
	if wanted, want := parameters["ReservedConcurrency"]; want != there || want && reserved != wanted {
		wrong = append(wrong, fmt.Sprintf("reserved concurrency is %v", reserved))
	}
	// Beside the child process that evaluates rules the function has 128 MB for itself.
	memory, err := strconv.Atoi(fmt.Sprint(f.Properties["MemorySize"]))
	if need := sandbox.DefaultMemory>>20 + 128; err != nil || memory < need {
		wrong = append(wrong, fmt.Sprintf("%v MB are less than the %d that rules may use", f.Properties["MemorySize"], need))
	}
	if logs := s.Of("AWS::Logs::LogGroup"); len(logs) != 1 || logs[0].Properties["RetentionInDays"] != "30" || logs[0].DeletionPolicy != "Retain" {
		wrong = append(wrong, "the log group has no retention, or goes with the stack")
	}
	return wrong
}

// table: it is what tenants/dynamo works on, and hard to lose.
func table(parameters map[string]string, s *cfn.Stack) []string {
	tables := s.Of("AWS::DynamoDB::Table")
	if parameters["Store"] == "workspace" {
		if len(tables) != 0 {
			return []string{"a table that nothing reads"}
		}
		return nil
	}
	schema := dynamo.TableSchema()
	want := cfn.Resource{Type: "AWS::DynamoDB::Table", DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain", Properties: map[string]any{
		"BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{
			map[string]any{"AttributeName": schema.PartitionKey, "AttributeType": "S"},
			map[string]any{"AttributeName": schema.SortKey, "AttributeType": "S"},
		},
		"KeySchema": []any{
			map[string]any{"AttributeName": schema.PartitionKey, "KeyType": "HASH"},
			map[string]any{"AttributeName": schema.SortKey, "KeyType": "RANGE"},
		},
		"TimeToLiveSpecification":          map[string]any{"AttributeName": schema.TTLAttribute, "Enabled": "true"},
		"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": "true"},
		"DeletionProtectionEnabled":        "true",
	}}
	if key := parameters["TableKeyArn"]; key != "" {
		want.Properties["SSESpecification"] = map[string]any{"SSEEnabled": "true", "SSEType": "KMS", "KMSMasterKeyId": key}
	}
	if len(schema.Indexes) > 0 {
		return []string{"tenants/dynamo has indexes now: template.yaml needs them, and so does this test"}
	}
	if diff := cmp.Diff([]cfn.Resource{want}, tables); diff != "" {
		return []string{"(-want +got)\n" + diff}
	}
	return nil
}

// outputs: other stacks find what they need.
func outputs(parameters map[string]string, s *cfn.Stack) []string {
	want := map[string]string{"AuthorizerArn": "regent-Authorizer.Arn", "AuthorizerUri": uri, "LogGroup": "regent-Log"}
	if parameters["Store"] != "workspace" {
		want["TableName"], want["TableArn"], want["PublisherPolicyArn"] = "regent-Table", tableARN, "regent-PublisherPolicy"
	}
	if parameters["Samples"] == "true" {
		want["SampleRestApiId"], want["SampleHttpApiId"] = "regent-SampleRestApi", "regent-SampleHttpApi"
		want["SampleRestUrl"] = "https://regent-SampleRestApi.execute-api.eu-west-1.amazonaws.com/prod/orders/17"
		want["SampleHttpUrl"] = "regent-SampleHttpApi.ApiEndpoint/orders/17"
	}
	if diff := cmp.Diff(want, s.Outputs); diff != "" {
		return []string{"(-want +got)\n" + diff}
	}
	return nil
}

// TestPackageIsWhatTheTemplateDeploys holds CodeUri and Architectures to the Makefile.
func TestPackageIsWhatTheTemplateDeploys(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("make", "-n", "package", "WORKSPACE=policies")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"cp dist/arm64/bootstrap dist/package/bootstrap", `cp -R "policies" dist/package/workspace`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("make package does not run %q:\n%s", want, out)
		}
	}
}

// TestEverythingIsDocumented asks docs/deploy.md for every parameter and output.
func TestEverythingIsDocumented(t *testing.T) {
	t.Parallel()
	template, err := cfn.Parse([]byte(read(t, "template.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, "docs/deploy.md")
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(template.Parameters)), template.Outputs) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/deploy.md does not tell of %s", name)
		}
	}
}
