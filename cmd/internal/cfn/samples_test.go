package cfn_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/cfn"
	"regent/tenants"
	"regent/tenants/dir"
)

// sampleAPIs reads deploy/sample as a workspace, which validates its APIs.
func sampleAPIs(t *testing.T) []tenants.API {
	t.Helper()
	store, err := dir.Open(filepath.Join(root, "deploy/sample"))
	if err != nil {
		t.Fatal(err)
	}
	return store.Snapshot().APIs()
}

// samples: the sample APIs are set to what their entries say.
func samples(entries []tenants.API) func(map[string]string, *cfn.Stack) []string {
	return func(parameters map[string]string, s *cfn.Stack) []string {
		if parameters["Samples"] != "true" {
			for id := range s.Resources {
				if strings.HasPrefix(id, "Sample") {
					return []string{id + " is there without being asked for"}
				}
			}
			return nil
		}
		want := map[string]any{}
		for _, api := range entries {
			want[api.ID] = settings{api.Kind, api.Cache.TTL.String(), api.Simple, texts(api.Cache.Identity), texts(api.Routes)}
		}
		got := map[string]any{"SampleRestApiId": restSettings(s), "SampleHttpApiId": httpSettings(s)}
		if diff := cmp.Diff(want, got); diff != "" {
			return []string{"deploy/sample/regent.yaml and template.yaml (-entries +template)\n" + diff}
		}
		return nil
	}
}

// settings are what an entry and its API must agree on.
type settings struct {
	Kind             tenants.APIKind
	TTL              string
	Simple           bool
	Identity, Routes []string
}

func texts[T fmt.Stringer](list []T) (all []string) {
	for _, x := range list {
		all = append(all, x.String())
	}
	slices.Sort(all)
	return all
}

func seconds(v any) string {
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		return fmt.Sprint(v)
	}
	return (time.Duration(n) * time.Second).String()
}

const uri = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/regent-Authorizer.Arn/invocations"

func restSettings(s *cfn.Stack) any {
	a := s.Resources["SampleRestAuthorizer"].Properties
	if a["Type"] != "REQUEST" || a["AuthorizerUri"] != uri {
		return fmt.Sprintf("not a REQUEST authorizer with this function: %v", a)
	}
	var identity []string
	for source := range strings.SplitSeq(fmt.Sprint(a["IdentitySource"]), ",") {
		identity = append(identity, strings.ToLower(strings.Replace(strings.TrimSpace(source), "method.request.header.", "header:", 1)))
	}
	var routes []string
	for _, m := range s.Of("AWS::ApiGateway::Method") {
		if m.Properties["AuthorizationType"] != "CUSTOM" || m.Properties["AuthorizerId"] != "regent-SampleRestAuthorizer" {
			return fmt.Sprintf("a method without the authorizer: %v", m.Properties)
		}
		path := ""
		for id := fmt.Sprint(m.Properties["ResourceId"]); id != "regent-SampleRestApi.RootResourceId"; {
			r := s.Resources[strings.TrimPrefix(id, cfn.StackName+"-")]
			path = "/" + fmt.Sprint(r.Properties["PathPart"]) + path
			id = fmt.Sprint(r.Properties["ParentId"])
		}
		routes = append(routes, fmt.Sprint(m.Properties["HttpMethod"], " ", path))
	}
	slices.Sort(routes)
	return settings{tenants.REST, seconds(a["AuthorizerResultTtlInSeconds"]), false, identity, routes}
}

func httpSettings(s *cfn.Stack) any {
	a := s.Resources["SampleHttpAuthorizer"].Properties
	if a["AuthorizerType"] != "REQUEST" || a["AuthorizerUri"] != uri || a["AuthorizerPayloadFormatVersion"] != "2.0" {
		return fmt.Sprintf("not a REQUEST authorizer with this function: %v", a)
	}
	var identity, routes []string
	for _, source := range oneOrMore(a["IdentitySource"]) {
		identity = append(identity, strings.ToLower(strings.Replace(source, "$request.header.", "header:", 1)))
	}
	for _, r := range s.Of("AWS::ApiGatewayV2::Route") {
		if r.Properties["AuthorizationType"] != "CUSTOM" || r.Properties["AuthorizerId"] != "regent-SampleHttpAuthorizer" {
			return fmt.Sprintf("a route without the authorizer: %v", r.Properties)
		}
		routes = append(routes, fmt.Sprint(r.Properties["RouteKey"]))
	}
	slices.Sort(routes)
	return settings{tenants.HTTP, seconds(a["AuthorizerResultTtlInSeconds"]), a["EnableSimpleResponses"] == "true", identity, routes}
}
