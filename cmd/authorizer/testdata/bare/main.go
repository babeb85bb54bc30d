// Command bare is what a Lambda authorizer links at least: the runtime's client, OPA
// and the SDK for DynamoDB. It does nothing with them; BenchmarkStart compares how
// long it takes to ask for its first event.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/open-policy-agent/opa/v1/rego"
)

func main() {
	c, err := config.LoadDefaultConfig(context.Background(), config.WithRegion("eu-west-1"))
	if err != nil {
		panic(err)
	}
	table := dynamodb.NewFromConfig(c)
	lambda.Start(func(ctx context.Context, event map[string]any) (any, error) {
		if _, err := table.GetItem(ctx, &dynamodb.GetItemInput{}); err != nil {
			return nil, err
		}
		return rego.New(rego.Query("data.authz.allow"), rego.Input(event)).Eval(ctx)
	})
}
