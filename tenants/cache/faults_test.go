package cache_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"regent/tenants"
	"regent/tenants/cache"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
)

// table is a cache over a table behind a proxy, with an administrator's store beside it
// and a clock that is moved by hand.
type table struct {
	*cache.Store
	admin *dynamo.Store
	proxy *dynamotest.Proxy
	now   atomic.Int64 // seconds
}

func newTable(t *testing.T) *table {
	t.Helper()
	name := dynamotest.Table(t)
	tb := &table{
		admin: dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: name, Administer: true}),
		proxy: dynamotest.NewProxy(t, dynamotest.Endpoint(t)),
	}
	storetest.Fill(t, tb.admin, storetest.Standard())
	behind := dynamotest.OpenAt(t, tb.proxy.URL, dynamo.Options{Table: name})
	var err error
	tb.Store, err = cache.New(cache.Config{
		Store: behind, Now: func() time.Time { return time.Unix(1_800_000_000+tb.now.Load(), 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// ask says what came of a question about acme: its version, "stale", "error"; and the
// store's code.
func (tb *table) ask(t *testing.T) string {
	t.Helper()
	stale := &tenants.Staleness{}
	got, err := tb.Tenant(tenants.WithStaleness(t.Context(), stale), "acme")
	tb.Settle(t.Context())
	said := fmt.Sprintf("v%d", got.Version)
	if err != nil {
		said = "error"
	}
	if _, why := stale.Oldest(); why != nil {
		said, err = said+" stale", why
	}
	var coded *dynamo.Error
	if errors.As(err, &coded) {
		said += " " + coded.Code
	}
	return said
}

// TestFaultyTable walks down the ladder while the table is in every kind of trouble
// (DDB-01 to DDB-04): the last good answer to an hour, an error beyond, and at once the
// new answer when the trouble is over.
func TestFaultyTable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault dynamotest.Kind
		code  string
	}{
		{dynamotest.Throttled, "ThrottlingException"},
		{dynamotest.Exceeded, "ProvisionedThroughputExceededException"},
		{dynamotest.InternalError, "InternalServerError"},
		{dynamotest.Denied, "AccessDeniedException"},
		{dynamotest.NoTable, "ResourceNotFoundException"},
		{dynamotest.Invalid, "ValidationException"},
		{dynamotest.Hang, "Timeout"},
		{dynamotest.Reset, "Connection"},
		{dynamotest.Truncated, "Connection"},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			// The standard seed's record is at version 2: written, and activated.
			if got := tb.ask(t); got != "v2" {
				t.Fatalf("with a table that is well: %s", got)
			}
			stored, err := tb.admin.Tenant(t.Context(), "acme")
			if err == nil {
				_, err = tb.admin.PutTenant(t.Context(), stored)
			}
			if err != nil {
				t.Fatal(err)
			}
			tb.proxy.Add(dynamotest.Fault{Kind: tt.fault})
			for _, step := range []struct {
				at   int64 // seconds since the first answer
				want string
			}{
				{5, "v2"},
				{12, "v2"},
				{61, "v2 stale " + tt.code},
				{3599, "v2 stale " + tt.code},
				{3601, "error " + tt.code},
			} {
				tb.now.Store(step.at)
				start := time.Now()
				if got := tb.ask(t); got != step.want {
					t.Errorf("after %d s: %s, want %s", step.at, got, step.want)
				}
				// The store's own 400 ms and this machine's.
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("after %d s: answered after %s", step.at, took)
				}
			}
			tb.proxy.Clear()
			if got := tb.ask(t); got != "v3" {
				t.Errorf("with the trouble over: %s", got)
			}
		})
	}
}

// TestLaggingReads holds that an eventually consistent read that lags behind takes
// nothing back (DDB-10).
func TestLaggingReads(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	if got := tb.ask(t); got != "v2" {
		t.Fatal(got)
	}
	stored, err := tb.admin.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	stored.Status = tenants.Suspended
	if stored, err = tb.admin.PutTenant(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	tb.now.Store(70)
	if got := tb.ask(t); got != "v3" {
		t.Fatal(got)
	}
	// From here on the table answers as it did before the suspension.
	tb.proxy.Add(dynamotest.Fault{Kind: dynamotest.Edited, Operation: "GetItem", Contains: "TENANT#acme", Edit: func(answer map[string]any) {
		if item, ok := answer["Item"].(map[string]any); ok {
			item["version"] = map[string]any{"N": "2"}
		}
	}})
	for _, step := range []struct {
		at   int64
		want string
	}{{82, "v3"}, {100, "v3"}, {135, "v3 stale"}} {
		tb.now.Store(step.at)
		if got := tb.ask(t); got != step.want {
			t.Errorf("after %d s: %s, want %s", step.at, got, step.want)
		}
	}
	got, err := tb.Tenant(t.Context(), "acme")
	if err != nil || got.Status != tenants.Suspended {
		t.Errorf("the tenant is %s, %v: a suspension that was seen is gone", got.Status, err)
	}
	if tb.Stats().Older == 0 {
		t.Error("no older record was counted: the proxy made none")
	}
	tb.proxy.Clear()
	tb.now.Store(150)
	if got := tb.ask(t); got != "v3" {
		t.Errorf("with reads that do not lag: %s", got)
	}
}
