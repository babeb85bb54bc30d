package iam_test

import (
	"fmt"

	"regent/engine/iam"
)

func ExampleParseARN() {
	arn, err := iam.ParseARN("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/users/urn:x:7")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(arn.API, arn.Stage, arn.Method, arn.Path)
	fmt.Println(arn.StagePattern())
	// Output:
	// a1b2c3 prod GET users/urn:x:7
	// arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/*
}

func ExampleDocument_Evaluate() {
	const api = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/"
	doc := iam.Document{Version: iam.Version, Statement: []iam.Statement{
		{Effect: iam.Allow, Action: iam.Strings{iam.Invoke}, Resource: iam.Strings{api + "GET/orders/*"}},
		{Effect: iam.Deny, Action: iam.Strings{iam.Invoke}, Resource: iam.Strings{api + "GET/orders/*/audit"}},
	}}
	for _, request := range []string{"GET/orders/17/items", "GET/orders/17/audit", "DELETE/orders/17"} {
		fmt.Println(request, "→", doc.Evaluate(iam.Invoke, api+request))
	}
	// Output:
	// GET/orders/17/items → allowed
	// GET/orders/17/audit → explicit deny
	// DELETE/orders/17 → implicit deny
}
