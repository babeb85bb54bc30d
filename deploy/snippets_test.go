package deploy

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"go.yaml.in/yaml/v3"
)

// The snippets of docs/cross-account.md are held to the entries of the same page, and to
// what tools say of them.
const page = "../docs/cross-account.md"

// snippet returns the block of code below a comment of the page.
func snippet(t *testing.T, comment string) string {
	t.Helper()
	text := read(t, page)
	pattern := regexp.MustCompile("<!-- " + regexp.QuoteMeta(comment) + " -->\n```[a-z]+\n((?s:.*?))```")
	match := pattern.FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("%s has no block below <!-- %s -->", page, comment)
	}
	return match[1]
}

// authorizer is what an authorizer and an API's entry must agree on.
type authorizer struct {
	Kind     string
	TTL      string
	Simple   bool
	Identity []string
	Routes   []string
}

// entries are the APIs that the page registers, by kind.
func entries(t *testing.T) map[string]authorizer {
	t.Helper()
	var file struct {
		APIs []struct {
			Kind   string `yaml:"kind"`
			Simple bool   `yaml:"simple"`
			Cache  struct {
				TTL      string   `yaml:"ttl"`
				Identity []string `yaml:"identity"`
			} `yaml:"cache"`
			Routes []string `yaml:"routes"`
		} `yaml:"apis"`
	}
	if err := yaml.Unmarshal([]byte(snippet(t, "file: regent.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]authorizer{}
	for _, a := range file.APIs {
		ttl, err := time.ParseDuration(a.Cache.TTL)
		if err != nil {
			t.Fatal(err)
		}
		all[a.Kind] = authorizer{a.Kind, ttl.String(), a.Simple, a.Cache.Identity, a.Routes}
	}
	if len(all) != 2 {
		t.Fatalf("want a rest and an http entry: %v", all)
	}
	return all
}

// seconds reads a TTL of any type that a decoder makes of a number.
func seconds(v any) string {
	d, err := time.ParseDuration(fmt.Sprint(v) + "s")
	if err != nil {
		return fmt.Sprint(v)
	}
	return d.String()
}

// sources reads identity sources as API Gateway's resources have them.
func sources(list ...string) (all []string) {
	for _, s := range list {
		for _, one := range strings.Split(s, ",") {
			one = strings.TrimSpace(one)
			one = strings.TrimPrefix(strings.TrimPrefix(one, "method.request."), "$request.")
			kind, name, _ := strings.Cut(one, ".")
			all = append(all, kind+":"+strings.ToLower(name))
		}
	}
	return all
}

func compare(t *testing.T, got map[string]authorizer) {
	t.Helper()
	if diff := cmp.Diff(entries(t), got); diff != "" {
		t.Errorf("the entries and the authorizers (-entries +snippet)\n%s", diff)
	}
}

// template is as much of a CloudFormation template as the snippets need.
type template struct {
	Resources map[string]struct {
		Type       string         `yaml:"Type"`
		Properties map[string]any `yaml:"Properties"`
	} `yaml:"Resources"`
}

func TestSAMSnippet(t *testing.T) {
	t.Parallel()
	text := snippet(t, "snippet: sam")
	var sam template
	decode(t, text, &sam)
	got := map[string]authorizer{}
	for id, kind := range map[string]string{"RestApi": "rest", "HttpApi": "http"} {
		auth := path(sam.Resources[id].Properties, "Auth")
		name := fmt.Sprint(path(auth, "DefaultAuthorizer"))
		a := path(auth, "Authorizers", name)
		if path(a, "FunctionArn") != "AuthorizerArn" {
			t.Errorf("%s does not point at the function: %v", id, a)
		}
		if kind == "rest" && (path(a, "DisableFunctionDefaultPermissions") != true || path(a, "FunctionPayloadType") != "REQUEST") {
			t.Errorf("%s would make a permission for another account's function, or is no REQUEST authorizer", id)
		}
		if kind == "http" && path(a, "EnableFunctionDefaultPermissions") != nil {
			t.Errorf("%s would make a permission for another account's function", id)
		}
		var identity []string
		headers, _ := path(a, "Identity", "Headers").([]any)
		for _, h := range headers {
			identity = append(identity, "header:"+strings.ToLower(fmt.Sprint(h)))
		}
		got[kind] = authorizer{
			Kind: kind, TTL: seconds(path(a, "Identity", "ReauthorizeEvery")),
			Simple: path(a, "EnableSimpleResponses") == true, Identity: identity, Routes: samRoutes(sam, id),
		}
	}
	compare(t, got)
}

// samRoutes are the routes of one API, in the events of functions.
func samRoutes(sam template, api string) (routes []string) {
	for _, r := range sam.Resources {
		events, _ := r.Properties["Events"].(map[string]any)
		for _, e := range events {
			p := path(e, "Properties")
			if path(p, "RestApiId") == api || path(p, "ApiId") == api {
				routes = append(routes, strings.ToUpper(fmt.Sprint(path(p, "Method")))+" "+fmt.Sprint(path(p, "Path")))
			}
		}
	}
	return routes
}

// path goes down a document by keys; nil if one is not there.
func path(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// decode reads YAML; the tags of CloudFormation's functions are left aside.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	text = regexp.MustCompile(`!(Ref|Sub|GetAtt|ImportValue) `).ReplaceAllString(text, "")
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// TestCDKSnippet compiles and synthesises the program, and lints what comes of it, and
// the permission with it.
func TestCDKSnippet(t *testing.T) {
	t.Parallel()
	out := node(t, []byte(snippet(t, "snippet: cdk")), "synth.mjs")
	var stack template
	if err := json.Unmarshal(out, &stack); err != nil {
		t.Fatal(err)
	}
	got := map[string]authorizer{"rest": {Kind: "rest"}, "http": {Kind: "http"}}
	for id, r := range stack.Resources {
		p := r.Properties
		switch r.Type {
		case "AWS::Lambda::Permission":
			t.Errorf("%s is a permission for another account's function", id)
		case "AWS::ApiGateway::Authorizer":
			a := got["rest"]
			a.TTL, a.Identity = seconds(p["AuthorizerResultTtlInSeconds"]), sources(fmt.Sprint(p["IdentitySource"]))
			got["rest"] = a
			pointsAtRegent(t, p)
		case "AWS::ApiGatewayV2::Authorizer":
			a := got["http"]
			a.TTL, a.Simple = seconds(p["AuthorizerResultTtlInSeconds"]), p["EnableSimpleResponses"] == true
			list, _ := p["IdentitySource"].([]any)
			for _, s := range list {
				a.Identity = append(a.Identity, sources(fmt.Sprint(s))...)
			}
			got["http"] = a
			pointsAtRegent(t, p)
		case "AWS::ApiGateway::Method", "AWS::ApiGatewayV2::Route":
			kind, route := "http", fmt.Sprint(p["RouteKey"])
			if r.Type == "AWS::ApiGateway::Method" {
				kind, route = "rest", fmt.Sprint(p["HttpMethod"])+" "+resourcePath(stack, p["ResourceId"])
			}
			if p["AuthorizationType"] != "CUSTOM" || p["AuthorizerId"] == nil {
				t.Errorf("%s is not guarded", id)
			}
			a := got[kind]
			a.Routes = append(a.Routes, route)
			got[kind] = a
		}
	}
	compare(t, got)
	templates := map[string]string{"orders": string(out), "permission": snippet(t, "snippet: permission")}
	for name, problems := range lint(t, nil, templates, handwrittenAccount, handwrittenARN) {
		for _, problem := range problems {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

const regentARN = "arn:aws:lambda:eu-west-1:111122223333:function:regent-Authorizer-AbCdEf"

func pointsAtRegent(t *testing.T, p map[string]any) {
	t.Helper()
	uri, err := json.Marshal(p["AuthorizerUri"])
	if err != nil || !strings.Contains(string(uri), regentARN+"/invocations") {
		t.Errorf("the authorizer does not point at the function: %s", uri)
	}
}

// resourcePath is the path of a REST API's resource.
func resourcePath(stack template, ref any) string {
	id, ok := path(ref, "Ref").(string)
	if !ok {
		return ""
	}
	p := stack.Resources[id].Properties
	return resourcePath(stack, p["ParentId"]) + "/" + fmt.Sprint(p["PathPart"])
}

func TestPermissionSnippet(t *testing.T) {
	t.Parallel()
	text := snippet(t, "snippet: permission")
	var stack template
	decode(t, text, &stack)
	p := stack.Resources["OrdersMayAsk"].Properties
	account, arn := fmt.Sprint(p["SourceAccount"]), fmt.Sprint(p["SourceArn"])
	if !strings.HasPrefix(arn, "arn:aws:execute-api:eu-west-1:"+account+":") || !strings.HasSuffix(arn, "/authorizers/*") {
		t.Errorf("the source ARN %s does not belong to the source account %s", arn, account)
	}
}

// TestTerraformSnippet reads the syntax. The provider, which knows the resources, cannot
// be had without a network.
func TestTerraformSnippet(t *testing.T) {
	t.Parallel()
	text := snippet(t, "snippet: terraform")
	file, problems := hclparse.NewParser().ParseHCL([]byte(text), "main.tf")
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	got := map[string]authorizer{"rest": {Kind: "rest"}, "http": {Kind: "http"}}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		t.Fatal("not HCL's own syntax")
	}
	for _, block := range body.Blocks {
		if block.Type != "resource" {
			continue
		}
		switch a := attributes(t, text, block); block.Labels[0] {
		case "aws_api_gateway_authorizer":
			rest := got["rest"]
			rest.TTL, rest.Identity = seconds(a["authorizer_result_ttl_in_seconds"]), sources(a["identity_source"])
			got["rest"] = rest
			terraformPointsAtRegent(t, a)
		case "aws_apigatewayv2_authorizer":
			http := got["http"]
			http.TTL, http.Simple = seconds(a["authorizer_result_ttl_in_seconds"]), a["enable_simple_responses"] == "true"
			http.Identity = sources(strings.NewReplacer("[", "", "]", "", `"`, "").Replace(a["identity_sources"]))
			got["http"] = http
			terraformPointsAtRegent(t, a)
		case "aws_api_gateway_method":
			rest := got["rest"]
			// The path is the resource's, which is not in the snippet.
			rest.Routes = append(rest.Routes, a["http_method"]+" /orders/{id}")
			got["rest"] = rest
			if a["authorization"] != "CUSTOM" || a["authorizer_id"] != "aws_api_gateway_authorizer.regent.id" {
				t.Errorf("%s is not guarded", block.Labels)
			}
		case "aws_apigatewayv2_route":
			http := got["http"]
			http.Routes = append(http.Routes, a["route_key"])
			got["http"] = http
			if a["authorization_type"] != "CUSTOM" || a["authorizer_id"] != "aws_apigatewayv2_authorizer.regent.id" {
				t.Errorf("%s is not guarded", block.Labels)
			}
		default:
			t.Errorf("resource %s is not looked at", block.Labels)
		}
	}
	compare(t, got)
}

func terraformPointsAtRegent(t *testing.T, a map[string]string) {
	t.Helper()
	if a["authorizer_uri"] != "local.authorizer_uri" || a["authorizer_type"]+a["type"] != "REQUEST" {
		t.Errorf("not a REQUEST authorizer that points at the function: %v", a)
	}
}

// attributes are the texts of a block's attributes; literals without their quotes.
func attributes(t *testing.T, text string, block *hclsyntax.Block) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, a := range block.Body.Attributes {
		all[name] = string(a.Expr.Range().SliceBytes([]byte(text)))
		if v, problems := a.Expr.Value(&hcl.EvalContext{}); !problems.HasErrors() && v.Type().FriendlyName() == "string" {
			all[name] = v.AsString()
		}
	}
	return all
}

// TestTerraformSnippetFormat asks terraform itself, if it is installed.
func TestTerraformSnippetFormat(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	cmd := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", "-")
	cmd.Stdin = strings.NewReader(snippet(t, "snippet: terraform"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}
