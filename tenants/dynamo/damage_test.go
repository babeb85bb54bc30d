package dynamo_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
func b(v []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: v} }

func set(name string, v types.AttributeValue) func(dynamotest.Item) {
	return func(it dynamotest.Item) { it[name] = v }
}

func unset(name string) func(dynamotest.Item) {
	return func(it dynamotest.Item) { delete(it, name) }
}

// data changes the piece of a bundle in an item.
func data(change func([]byte) []byte) func(dynamotest.Item) {
	return func(it dynamotest.Item) {
		piece := it["data"].(*types.AttributeValueMemberB).Value
		it["data"] = b(change(bytes.Clone(piece)))
	}
}

// What is stored is damaged, and must be refused: neither served nor said not to exist.
func TestDamage(t *testing.T) {
	t.Parallel()
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	const tenant, chunk, other = "TENANT", "CHUNK#000", "CHUNK#001"
	tests := []struct {
		id, name, sk string
		ask          string
		change       func(dynamotest.Item)
		want         string
	}{
		{"DDB-06", "a piece cut short", chunk, "Large", data(func(b []byte) []byte { return b[:len(b)-1] }), "has not the 358400 bytes"},
		{"DDB-06", "a byte too many", chunk, "Large", data(func(b []byte) []byte { return append(b, 0) }), "has not the 358400 bytes"},
		{"DDB-06", "no data", other, "Large", unset("data"), "that the first piece tells"},
		{"DDB-06", "data that is text", other, "Large", set("data", s("x")), "that the first piece tells"},
		{"DDB-06", "one piece fewer", chunk, "Large", set("count", n("1")), "no bundle is so"},
		{"DDB-06", "one piece more", chunk, "Large", set("count", n("3")), "no bundle is so"},
		{"DDB-06", "no pieces", chunk, "Bundle", set("count", n("0")), "no bundle is so"},
		{"DDB-06", "more pieces than there can be", chunk, "Bundle", set("count", n("65536")), "no bundle is so"},
		{"DDB-06", "a packed length of 0", chunk, "Bundle", set("packed", n("0")), "no bundle is so"},
		{"DDB-06", "a packed length below 0", chunk, "Bundle", set("packed", n("-1")), "no bundle is so"},
		{"DDB-06", "a length beyond 64 bits", chunk, "Bundle", set("packed", n("18446744073709551617")), "packed is not a whole number"},
		{"DDB-06", "another bundle's piece", chunk, "Bundle", anotherBundle(t), "its content is that of"},
		{"DDB-07", "a bit of the head", chunk, "Bundle", data(flip(0)), "not gzip"},
		{"DDB-07", "a bit of the content", chunk, "Large", data(flip(2000)), "(publish the same files again to repair it)"},
		{"DDB-07", "a bit of the end", chunk, "Bundle", data(flip(-1)), "damaged"},
		{"DDB-07", "no number of pieces", chunk, "Bundle", unset("count"), "count is not a whole number"},
		{"DDB-07", "no packed length", chunk, "Bundle", unset("packed"), "packed is not a whole number"},
		{"DDB-07", "no unpacked length", chunk, "Bundle", unset("unpacked"), "unpacked is not a whole number"},
		{"DDB-07", "a length that is text", chunk, "Bundle", set("unpacked", s("1024")), "unpacked is not a whole number"},
		{"DDB-07", "more unpacked than declared", chunk, "Bundle", set("unpacked", n("1023")), "more than the declared 1023"},
		{"DDB-07", "less unpacked than declared", chunk, "Bundle", set("unpacked", n("1000000")), "not the declared 1000000"},
		{"DDB-07", "more than anything has", chunk, "Bundle", set("unpacked", n("8388609")), "no bundle is so"},
		{"DDB-07", "10 MB of nothing", chunk, "Bundle", bomb(t, "2048"), "more than the declared 2048"},
		{"DDB-08", "no format", chunk, "Bundle", unset("format"), "its format is not 1"},
		{"DDB-08", "format 2", chunk, "Bundle", set("format", n("2")), "its format is not 1"},
		{"DDB-08", "a format that is text", chunk, "Bundle", set("format", s("1")), "its format is not 1"},
		{"DDB-08", "no format of the other pieces", other, "Large", unset("format"), "its format is not 1"},

		{"DDB-08", "a record of format 2", tenant, "Tenant", set("format", n("2")), "its format is not 1"},
		{"DDB-08", "a record without format", tenant, "Tenant", unset("format"), "its format is not 1"},
		{"DDB-08", "a record with more to it", tenant, "Tenant", set("doc", s(`{"id": "acme", "status": "active", "deny_all": true}`)), `unknown field "deny_all"`},
		{"DDB-08", "two documents", tenant, "Tenant", set("doc", s(`{"id": "acme"} {"id": "acme"}`)), "more than one JSON value"},
		{"DDB-08", "no document", tenant, "Tenant", unset("doc"), "doc: EOF"},
		{"DDB-08", "another tenant's document", tenant, "Tenant", set("doc", s(`{"id": "bolt", "status": "active"}`)), `the document of tenant "bolt"`},
		{"DDB-08", "another tenant's document, by its host", tenant, "Select", set("doc", s(`{"id": "bolt", "status": "active"}`)), `the document of tenant "bolt"`},
		{"DDB-08", "no version", tenant, "Tenant", unset("version"), "version is not a number from 1"},
		{"DDB-08", "version 0", tenant, "Tenant", set("version", n("0")), "version is not a number from 1"},
		{"DDB-08", "version 1.5", tenant, "Tenant", set("version", n("1.5")), "version is not a number from 1"},
		{"DDB-08", "a revision that is none", tenant, "Tenant", set("revision", s("sha256:0")), "do not name one digest"},
		{"DDB-08", "a revision that nobody activated", tenant, "Tenant", set("revision", s("sha256:"+strings.Repeat("0", 64))), "do not name one digest"},
		{"DDB-08", "a selector that names no id", "SELECTOR", "Select", set("tenant", s("ACME")), `"ACME" is not a tenant's id`},
		{"DDB-08", "a platform without a revision", "PLATFORM", "Platform", unset("revision"), "no revision is in force"},
	}
	for _, tt := range tests {
		t.Run(tt.id+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			pieces := 0
			if tt.ask == "Large" {
				pieces = 2
			}
			f := newFixture(t, pieces)
			pk := map[string]string{
				tenant: "TENANT#acme", chunk: "BUNDLE#" + string(f.policy), other: "BUNDLE#" + string(f.large),
				"SELECTOR": "SELECTOR#host#acme.example", "PLATFORM": "PLATFORM",
			}[tt.sk]
			if tt.ask == "Large" {
				pk = "BUNDLE#" + string(f.large)
			}
			dynamotest.Edit(t, f.table, pk, tt.sk, tt.change)
			store := dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: f.table, Limits: patient()})
			err := f.ask(t.Context(), store, tt.ask)
			var failed *dynamo.Error
			if !errors.As(err, &failed) || !failed.Permanent || errors.Is(err, tenants.ErrNotFound) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want an *Error with %q", err, tt.want)
			}
		})
	}
}

// patient are limits for tests that are about something else: this machine may be busy.
func patient() dynamo.Limits { return dynamo.PatientLimits() }

func anotherBundle(t *testing.T) func(dynamotest.Item) {
	t.Helper()
	table := dynamotest.Table(t)
	store := dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Administer: true})
	bundle, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte("package authz\n\nallow := true\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.PutRevision(t.Context(), "other", bundle, tenants.Revision{Digest: bundle.Digest()}); err != nil {
		t.Fatal(err)
	}
	foreign := dynamotest.Get(t, table, "BUNDLE#"+string(bundle.Digest()), "CHUNK#000")
	return func(it dynamotest.Item) {
		for _, name := range []string{"data", "packed", "unpacked", "count"} {
			it[name] = foreign[name]
		}
	}
}

// bomb is small and unpacks to much.
func bomb(t *testing.T, declared string) func(dynamotest.Item) {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return func(it dynamotest.Item) {
		it["data"], it["packed"], it["unpacked"] = b(packed.Bytes()), n(itoa(packed.Len())), n(declared)
	}
}

// Publishing the same files again repairs what is damaged.
func TestDamagedBundleIsRepaired(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sk string
		change   func(dynamotest.Item)
	}{
		{"the content", "CHUNK#001", data(func(b []byte) []byte { b[7] ^= 1; return b })},
		{"the length", "CHUNK#000", set("packed", n("7"))},
		{"no format", "CHUNK#000", unset("format")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, 2)
			dynamotest.Edit(t, f.table, "BUNDLE#"+string(f.large), tt.sk, tt.change)
			store := dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: f.table, Administer: true})
			if err := f.ask(t.Context(), store, "Large"); err == nil {
				t.Fatal("the damage does not show")
			}
			bundle, err := tenants.NewBundle(largeOf(2))
			if err != nil {
				t.Fatal(err)
			}
			if err := store.PutRevision(t.Context(), f.tenant, bundle, tenants.Revision{Digest: bundle.Digest()}); err != nil {
				t.Fatal(err)
			}
			if err := f.ask(t.Context(), store, "Large"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Pieces beyond those that the first one counts are nobody's.
func TestExtraPiecesAreNotRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2)
	extra := dynamotest.Get(t, f.table, "BUNDLE#"+string(f.large), "CHUNK#001")
	extra["sk"] = s("CHUNK#002")
	dynamotest.Put(t, f.table, extra)
	store := dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: f.table, Limits: patient()})
	if err := f.ask(t.Context(), store, "Large"); err != nil {
		t.Error(err)
	}
}
