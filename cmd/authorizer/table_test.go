package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/lambdaapi"
	"regent/engine"
	"regent/tenants"
	"regent/tenants/dir"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
)

// deployment is a function whose store is a table behind a proxy.
type deployment struct {
	*lambdaapi.Function
	admin   *dynamo.Store
	proxy   *dynamotest.Proxy
	relay   *relay // between the two
	issuer  *devissuer.Issuer
	get     []byte // an event that the first revision allows
	token   string
	lines   int
	replies []string
}

// deploy fills a table with the workspace of the process test and starts the function
// on it, with a ladder of 1 s, 2 s and 1 h.
func deploy(t *testing.T, path string, env ...string) *deployment {
	t.Helper()
	is, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{issuer: is, proxy: dynamotest.NewProxy(t, dynamotest.Endpoint(t))}
	d.relay = newRelay(t, d.proxy.URL)
	table := dynamotest.Table(t)
	d.admin = dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Administer: true})
	storetest.Fill(t, d.admin, seed(t, workspace(t, is, string(is.JWKS()))))
	env = append([]string{
		"REGENT_STORE=dynamodb:" + table, "REGENT_REFRESH=1s", "REGENT_MUST_REFRESH=2s", "REGENT_MAX_STALE=1h", "REGENT_EVAL_TIMEOUT=2s",
	}, env...)
	d.Function, err = lambdaapi.Start(lambdaapi.Config{Path: path, Dir: t.TempDir(), Env: append(dynamotest.Environment(d.relay.url), env...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	d.token = mint(t, is, issuer, time.Now().Add(time.Hour))
	d.get = event("api.acme.example", "a1b2c3", "GET", "/orders/17", d.token)
	return d
}

// seed reads a workspace as what a store holds.
func seed(t testing.TB, path string) storetest.Seed {
	t.Helper()
	store, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := store.Snapshot()
	s := storetest.Seed{APIs: snapshot.APIs(), Platform: snapshot.PlatformBundle().Files()}
	for _, record := range snapshot.Tenants() {
		bundle, err := snapshot.TenantBundle(record.ID)
		if err != nil {
			t.Fatal(err)
		}
		record.Revision, record.Version = "", 0
		s.Tenants = append(s.Tenants, storetest.Tenant{Record: record, Policy: bundle.Files()})
	}
	return s
}

// ask sends an event and returns its outcome and the record of it.
func (d *deployment) ask(t *testing.T, event []byte) (string, engine.Record) {
	t.Helper()
	reply, err := d.InvokeBy(t.Context(), event, time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d.lines++
	d.replies = append(d.replies, fmt.Sprintf("%s %v", reply.Payload, reply.Error))
	lines, err := d.AwaitLines(ctx, d.lines)
	if err != nil {
		t.Fatal(err)
	}
	var record engine.Record
	if err := json.Unmarshal([]byte(lines[d.lines-1]), &record); err != nil {
		t.Fatal(err)
	}
	if allowed := strings.Contains(string(reply.Payload), `"Allow"`); allowed != (record.Result.Outcome == "allow") {
		t.Errorf("answered %s %v, logged %+v", reply.Payload, reply.Error, record.Result)
	}
	return record.Result.Outcome, record
}

func (d *deployment) want(t *testing.T, when, outcome string) engine.Record {
	t.Helper()
	got, record := d.ask(t, d.get)
	if got != outcome {
		t.Errorf("%s: %s %+v, want %s", when, got, record.Error, outcome)
	}
	return record
}

// patience is how long a table that is well may seem not to be: the store's limits are
// a function's, and this machine may have much else to do.
const patience = 30 * time.Second

// eventually wants an outcome of the first event whose record is as it should be, which
// one that speaks of a table in trouble is not.
func (d *deployment) eventually(t *testing.T, when, outcome string, as func(engine.Record) bool) engine.Record {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		got, record := d.ask(t, d.get)
		if !as(record) && time.Now().Before(end) {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if got != outcome || !as(record) {
			t.Errorf("%s: %s %+v %+v, want %s", when, got, record.Error, record.Stale, outcome)
		}
		return record
	}
}

// well tells that the table could be read.
func well(r engine.Record) bool { return r.Stale == nil && r.Result.Outcome != "trouble" }

// activate brings rules into force for acme.
func (d *deployment) activate(t *testing.T, text string) tenants.Digest {
	t.Helper()
	bundle, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte("package authz\n\n" + text + "\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.admin.PutRevision(t.Context(), "acme", bundle, tenants.Revision{Digest: bundle.Digest(), Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	last, err := d.admin.Active(t.Context(), "acme")
	if err == nil {
		_, err = d.admin.Activate(t.Context(), "acme", tenants.Activation{To: bundle.Digest(), Version: last.Version})
	}
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Digest()
}

// freeze freezes the function for a while, and does something meanwhile.
func (d *deployment) freeze(t *testing.T, while time.Duration, do func()) {
	t.Helper()
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	over := time.After(while)
	do()
	<-over
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
}

const (
	pastRefresh     = 1100 * time.Millisecond
	pastMustRefresh = 2100 * time.Millisecond
)

func testTable(t *testing.T, path string) {
	t.Parallel()
	t.Run("Freeze", func(t *testing.T) { testFreeze(t, path) })
	t.Run("LostConnections", func(t *testing.T) { testLostConnections(t, path) })
	t.Run("Trouble", func(t *testing.T) { testTableTrouble(t, path) })
	t.Run("Names", func(t *testing.T) { testNames(t, path) })
	t.Run("Hostile", func(t *testing.T) { testHostile(t, path) })
	t.Run("NoTable", func(t *testing.T) { testNoTable(t, path) })
}

// testFreeze holds that nothing that changed while the function was frozen is
// overlooked (LAM-01, LAM-02).
func testFreeze(t *testing.T, path string) {
	t.Parallel()
	d := deploy(t, path)
	d.eventually(t, "the first event", "allow", well)
	var digest tenants.Digest
	d.freeze(t, pastMustRefresh, func() { digest = d.activate(t, "allow := false") })
	record := d.eventually(t, "a revision that was activated during the freeze", "deny", well)
	if got := record.Bundles["acme"].Revision; got != string(digest) {
		t.Errorf("revision %s decided, want %s", got, digest)
	}
	// A shorter freeze: the old answer once, and what was begun with it is there for the
	// next event, though the function is frozen right after each of them.
	// Past must refresh is too late for that.
	for try := 0; ; try++ {
		d.freeze(t, pastRefresh, func() { d.activate(t, fmt.Sprintf("allow := true\n\ntry := %d", try)) })
		begun := time.Now()
		d.ask(t, d.get)
		d.freeze(t, 0, func() {})
		outcome, record := d.ask(t, d.get)
		if outcome == "allow" && record.Stale == nil && time.Since(begun) < pastMustRefresh-pastRefresh {
			break
		}
		if try == 2 {
			t.Errorf("the event after the one past refresh: %s, want allow", outcome)
			break
		}
		d.freeze(t, pastMustRefresh, func() { d.activate(t, fmt.Sprintf("allow := false\n\ntry := %d", try)) })
		d.eventually(t, "once more", "deny", well)
	}
	d.freeze(t, pastMustRefresh, func() {
		tenant, err := d.admin.Tenant(t.Context(), "acme")
		if err == nil {
			tenant.Status = tenants.Suspended
			_, err = d.admin.PutTenant(t.Context(), tenant)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if record := d.eventually(t, "a tenant that was suspended during the freeze", "deny", well); record.Result.Code != "tenant_suspended" {
		t.Errorf("denied for %s", record.Result.Code)
	}
}

// testLostConnections holds that connections which ended during a freeze, with a word
// or without, cost a retry and nothing else (LAM-03).
func testLostConnections(t *testing.T, path string) {
	t.Parallel()
	d := deploy(t, path)
	d.eventually(t, "the first event", "allow", well)
	for _, way := range []struct {
		name string
		lose func() int
	}{{"with FIN", d.relay.close}, {"without FIN", d.relay.lose}} {
		for try := 0; ; try++ {
			d.freeze(t, pastMustRefresh, func() {
				if n := way.lose(); n == 0 {
					t.Errorf("%s: there were no connections to lose", way.name)
				}
			})
			record := d.want(t, way.name, "allow")
			if record.Stale == nil {
				break
			}
			// A machine with much else to do may be to blame once or twice.
			if try == 2 {
				t.Errorf("%s: the answer is stale: %+v", way.name, record.Stale)
				break
			}
			d.eventually(t, way.name+", after a while", "allow", well)
		}
	}
}

// testTableTrouble holds that a blip is a 500 and no more (AGW-02), that a table in
// trouble is answered for from memory and said so (DDB-01), and that a revision whose
// bundle cannot be read does not take the one before away.
func testTableTrouble(t *testing.T, path string) {
	t.Parallel()
	d := deploy(t, path)
	d.proxy.Add(dynamotest.Fault{Kind: dynamotest.Unavailable})
	record := d.want(t, "cold, and the table is away", "trouble")
	if record.Result.Code != "store" || record.Error == nil || !strings.Contains(record.Error.Message, "503") {
		t.Errorf("logged as %+v %+v", record.Result, record.Error)
	}
	d.proxy.Clear()
	d.eventually(t, "the table is back", "allow", well)

	d.proxy.Add(dynamotest.Fault{Kind: dynamotest.Throttled})
	record = d.eventually(t, "warm, and the table is throttled", "allow", func(r engine.Record) bool { return r.Stale != nil })
	if record.Stale == nil || record.Stale.Store != "ThrottlingException" || record.Stale.AgeSeconds < 2 {
		t.Errorf("logged as stale: %+v", record.Stale)
	}
	d.proxy.Clear()
	first := record.Bundles["acme"].Revision

	second := d.activate(t, "allow := input.method == \"GET\"")
	d.proxy.Add(dynamotest.Fault{Kind: dynamotest.Missing, Contains: "BUNDLE#"})
	record = d.eventually(t, "the new revision's bundle is not all there", "allow", func(r engine.Record) bool {
		return r.Stale != nil && r.Stale.Revision != ""
	})
	if got := record.Bundles["acme"].Revision; got != first || record.Stale == nil || record.Stale.Revision != string(second) {
		t.Errorf("revision %s decided, stale %+v; want %s in place of %s", got, record.Stale, first, second)
	}
	d.proxy.Clear()
	record = d.eventually(t, "the bundle is there", "allow", well)
	if got := record.Bundles["acme"].Revision; got != string(second) || record.Stale != nil {
		t.Errorf("revision %s decided, stale %+v; want %s", got, record.Stale, second)
	}
}

// testNames holds that a name which nobody has costs the table one look, and a name
// that nobody can have none (TEN-06, TEN-07).
func testNames(t *testing.T, path string) {
	t.Parallel()
	// Nothing but names is to be read again meanwhile.
	d := deploy(t, path, "REGENT_REFRESH=5m", "REGENT_MUST_REFRESH=5m")
	d.eventually(t, "the first event", "allow", well)
	reads := func() int { return d.proxy.Requests("") }
	for _, tt := range []struct {
		name, host string
		most       int // a look, and one that is consistent
	}{
		{"unknown", "nobody.example", 2 * 3}, // each of them may be tried again twice
		{"two hosts", "a.example b.example", 0},
		{"a path", "a.example/b", 0},
		{"too long", strings.Repeat("a", 513), 0},
	} {
		before := reads()
		for range 10 {
			event := event(tt.host, "a1b2c3", "GET", "/orders/17", d.token)
			if _, record := d.ask(t, event); record.Result.Code != "tenant_unknown" {
				t.Errorf("%s: %+v", tt.name, record.Result)
			}
		}
		if n := reads() - before; n > tt.most {
			t.Errorf("%s: asked ten times, the table was read %d times, want %d", tt.name, n, tt.most)
		}
	}
	before := reads()
	for range 10 {
		d.want(t, "known", "allow")
	}
	if n := reads() - before; n != 0 {
		t.Errorf("a known tenant: the table was read %d times", n)
	}
}

// testNoTable holds that a table which is not there does not keep the function from
// starting, and that the log says what is wrong.
func testNoTable(t *testing.T, path string) {
	t.Parallel()
	d := deploy(t, path, "REGENT_STORE=dynamodb:nowhere")
	record := d.want(t, "no such table", "trouble")
	if record.Error.Store != "ResourceNotFoundException" || !strings.Contains(record.Error.Message, "there is no such table") {
		t.Errorf("logged as %+v", record.Error)
	}
}
