package cfn_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/cfn"
	"regent/tenants/dynamo"
)

// grant is one action that a policy allows on one resource.
type grant struct{ action, resource, condition string }

// grants are what policy documents allow, each action on each resource.
func grants(documents ...any) (all []grant, wrong []string) {
	for _, d := range documents {
		document, _ := d.(map[string]any)
		statements, _ := document["Statement"].([]any)
		for _, s := range statements {
			statement, _ := s.(map[string]any)
			if statement["Effect"] != "Allow" || statement["NotAction"] != nil || statement["NotResource"] != nil {
				wrong = append(wrong, fmt.Sprintf("not a plain Allow: %v", statement))
			}
			condition := ""
			if c, ok := statement["Condition"]; ok {
				text, _ := json.Marshal(c)
				condition = string(text)
			}
			for _, action := range oneOrMore(statement["Action"]) {
				if strings.ContainsAny(action, "*?") {
					wrong = append(wrong, "a wildcard among the actions: "+action)
				}
				for _, resource := range oneOrMore(statement["Resource"]) {
					all = append(all, grant{action, resource, condition})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b grant) int {
		return strings.Compare(a.action+" "+a.resource, b.action+" "+b.resource)
	})
	return all, wrong
}

func oneOrMore(v any) (all []string) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, x := range list {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

const (
	tableARN = cfn.StackName + "-Table.Arn"
	keyUse   = `{"StringEquals":{"kms:EncryptionContext:aws:dynamodb:tableName":"regent-Table","kms:ViaService":"dynamodb.eu-west-1.amazonaws.com"}}`
	parkUse  = `{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["` + dynamo.ParkPrefix + `*"]},"Null":{"dynamodb:LeadingKeys":"false"}}`
)

// role: the function may do what it does, on what it does it on, and nothing else.
func role(parameters map[string]string, s *cfn.Stack) []string {
	r := s.Resources["Role"].Properties
	policies, _ := r["Policies"].([]any)
	var documents []any
	for _, p := range policies {
		policy, _ := p.(map[string]any)
		documents = append(documents, policy["PolicyDocument"])
	}
	got, wrong := grants(documents...)

	// Log streams have names that Lambda makes up.
	streams := "arn:aws:logs:eu-west-1:111122223333:log-group:regent-Log:log-stream:*"
	want := []grant{}
	if parameters["Store"] != "workspace" {
		for _, a := range dynamo.ReadActions() {
			want = append(want, grant{a, tableARN, ""})
		}
		for _, a := range dynamo.ParkActions() {
			want = append(want, grant{a, tableARN, parkUse})
		}
	}
	if key := parameters["TableKeyArn"]; key != "" {
		want = append(want, grant{"kms:Decrypt", key, keyUse})
	}
	want = append(want, grant{"logs:CreateLogStream", streams, ""}, grant{"logs:PutLogEvents", streams, ""})
	if secrets := parameters["SecretArns"]; secrets != "" {
		for _, arn := range strings.Split(secrets, ",") {
			want = append(want, grant{"secretsmanager:GetSecretValue", arn, ""})
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(grant{})); diff != "" {
		wrong = append(wrong, "the function's role (-want +got)\n"+diff)
	}
	for name := range r {
		if name != "Policies" && name != "AssumeRolePolicyDocument" {
			wrong = append(wrong, "the role has "+name)
		}
	}
	return wrong
}

// publisher: the managed policy is what publishing needs.
func publisher(parameters map[string]string, s *cfn.Stack) []string {
	p, there := s.Resources["PublisherPolicy"]
	if parameters["Store"] == "workspace" {
		if there {
			return []string{"a policy for a table that is not there"}
		}
		return nil
	}
	got, wrong := grants(p.Properties["PolicyDocument"])
	var want []grant
	for _, a := range dynamo.PublishActions() {
		want = append(want, grant{a, tableARN, ""})
	}
	if key := parameters["TableKeyArn"]; key != "" {
		want = append(want, grant{"kms:Decrypt", key, keyUse})
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(grant{})); diff != "" {
		wrong = append(wrong, "(-want +got)\n"+diff)
	}
	return wrong
}

// callers: authorizers of this account's APIs and of the accounts that are named may
// invoke the function, and nobody else.
func callers(parameters map[string]string, s *cfn.Stack) []string {
	accounts := []string{cfn.Account}
	if others := parameters["ApiAccounts"]; others != "" {
		accounts = append(accounts, strings.Split(others, ",")...)
	}
	want := map[string]map[string]any{}
	for _, account := range accounts {
		want[account] = map[string]any{
			"FunctionName": "regent-Authorizer", "Action": "lambda:InvokeFunction",
			"Principal": "apigateway.amazonaws.com", "SourceAccount": account,
			"SourceArn": "arn:aws:execute-api:eu-west-1:" + account + ":*/authorizers/*",
		}
	}
	got := map[string]map[string]any{}
	for _, r := range s.Of("AWS::Lambda::Permission") {
		got[fmt.Sprint(r.Properties["SourceAccount"])] = r.Properties
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return []string{"who may call (-want +got)\n" + diff}
	}
	return nil
}

// accounts: every number of accounts that the parameter takes has its permissions.
func accounts(t *cfn.Template) (wrong []string) {
	var list []string
	for n := range 10 {
		parameters := map[string]string{"ApiAccounts": strings.Join(list, ",")}
		s, err := t.Stack(parameters)
		switch {
		case n > 8 && err == nil:
			wrong = append(wrong, fmt.Sprintf("%d accounts are taken, and some get nothing", n))
		case n <= 8 && err != nil:
			wrong = append(wrong, err.Error())
		case n <= 8:
			wrong = append(wrong, callers(parameters, s)...)
		}
		list = append(list, fmt.Sprintf("%012d", 444455550000+n))
	}
	for _, bad := range []string{"*", "4444555566667", "444455556666,", ",444455556666", "444455556666,,444455556667", "444455556666, 444455556667"} {
		if _, err := t.Stack(map[string]string{"ApiAccounts": bad}); err == nil {
			wrong = append(wrong, fmt.Sprintf("ApiAccounts takes %q", bad))
		}
	}
	return wrong
}
