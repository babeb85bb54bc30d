package apigw_test

import (
	"fmt"

	"regent/engine"
	"regent/engine/apigw"
	"regent/tenants"
)

func ExampleGateway_Decode() {
	req, err := apigw.Gateway{}.Decode([]byte(`{
		"version": "2.0",
		"type": "REQUEST",
		"routeArn": "arn:aws:execute-api:eu-west-1:123456789012:h4i5j6/dev/GET/pets/7",
		"routeKey": "GET /pets/{id}",
		"rawPath": "/dev/pets/7",
		"rawQueryString": "tag=a&tag=b%20c",
		"headers": {"host": "api.acme.example"},
		"requestContext": {"http": {"method": "GET", "sourceIp": "203.0.113.7"}, "stage": "dev"}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(req.Method, req.Path, "of", req.Route, req.Params)
	fmt.Println(req.Query["tag"], req.Headers["host"], req.API.Stage)
	// Output:
	// GET /pets/7 of /pets/{id} map[id:7]
	// [a b c] [api.acme.example] dev
}

// A path that could be read in two ways is marked; the engine denies it.
func ExampleGateway_Decode_ambiguous() {
	req, err := apigw.Gateway{}.Decode([]byte(`{
		"type": "REQUEST",
		"methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/files/a%2Fb",
		"resource": "/files/{name}",
		"path": "/files/a%2Fb",
		"httpMethod": "GET",
		"pathParameters": {"name": "a%2Fb"}
	}`))
	fmt.Println(err)
	fmt.Println(req.Ambiguous)
	// Output:
	// <nil>
	// the path has an encoded slash
}

func ExampleGateway_Encode() {
	req := engine.Request{
		Shape: engine.ShapeToken,
		ARN:   "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/orders/17",
	}
	reply := engine.Reply{Allow: true, PrincipalID: "alice", Context: map[string]any{"tenantId": "acme"}}
	out, err := apigw.Gateway{}.Encode(req, tenants.API{}, reply)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(out))
	// Output:
	// {"principalId":"alice","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["execute-api:Invoke"],"Resource":["arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/orders/17"]}]},"context":{"tenantId":"acme"}}
}
