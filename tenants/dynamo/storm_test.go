package dynamo_test

import (
	"strconv"
	"sync"
	"testing"

	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// DDB-05: however many requests fail, retries do not add to the storm.
func TestRetryStorm(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 0)
	for _, tt := range []struct {
		name  string
		fault dynamotest.Fault
	}{
		{"every request is throttled", dynamotest.Fault{Kind: dynamotest.Throttled}},
		{"every request is a 500", dynamotest.Fault{Kind: dynamotest.InternalError}},
		{"every connection is reset", dynamotest.Fault{Kind: dynamotest.Reset}},
		{"throttled after half of them", dynamotest.Fault{Kind: dynamotest.Throttled, After: 300}},
		{"every other is throttled", dynamotest.Fault{Kind: dynamotest.Throttled, Every: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const requests, callers = 600, 8
			proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
			proxy.Add(tt.fault)
			// The limits of a function, but for the time, of which this machine may need more.
			limits := dynamo.FunctionLimits()
			limits.Attempt, limits.Connect, limits.Total = patient().Attempt, patient().Connect, patient().Total
			store := dynamotest.OpenAt(t, proxy.URL, dynamo.Options{Table: f.table, Limits: limits})
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					for range requests / callers {
						_, _ = store.Platform(t.Context()) // one item
					}
				})
			}
			group.Wait()
			attempts := proxy.Requests("")
			if attempts < requests || attempts > requests*11/10 {
				t.Errorf("%d attempts for %d requests, want at most 1.1 each", attempts, requests)
			}
		})
	}
}
