package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"regent/cmd/internal/gateway"
	"regent/tenants"
)

func Example() {
	token := tenants.Source{Kind: "header", Name: "authorization"}
	g, err := gateway.New(tenants.API{
		ID: "a1b2c3", Kind: tenants.HTTP, Credential: token, Tenant: []tenants.Source{{Kind: "issuer"}},
		Cache: tenants.Cache{TTL: time.Minute, Identity: []tenants.Source{token}},
	}, gateway.Options{
		Authorize: func(context.Context, []byte) ([]byte, error) {
			return []byte(`{"principalId": "alice", "policyDocument": {"Version": "2012-10-17", "Statement": [
				{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:*:*:a1b2c3/local/GET/orders*"}]}}`), nil
		},
		OnRequest: func(t gateway.Trace) {
			fmt.Printf("%s %s: %d %s, authorizer %s\n", t.Method, t.Path, t.Status, t.Outcome, t.Authorizer)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/orders/17", "/orders/18", "/admin"} {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Header.Set("Authorization", "t1")
		g.ServeHTTP(httptest.NewRecorder(), r)
	}
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/orders", http.NoBody))
	// Output:
	// GET /orders/17: 200 allowed, authorizer invoked
	// GET /orders/18: 200 allowed, authorizer cached
	// GET /admin: 403 implicit deny, authorizer cached
	// GET /orders: 401 identity source missing, authorizer not asked
}
