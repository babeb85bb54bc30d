package iam_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine/iam"
)

func TestDocumentJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		json string
		want iam.Document
		text string // what it is written as, if not json
	}{
		{
			name: "lists",
			json: `{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"one","Effect":"Allow","Action":["execute-api:Invoke"],"Resource":["a","b&c"]}]}`,
			want: iam.Document{Version: iam.Version, ID: "x", Statement: []iam.Statement{
				{Sid: "one", Effect: iam.Allow, Action: iam.Strings{iam.Invoke}, Resource: iam.Strings{"a", "b&c"}},
			}},
		},
		{
			name: "single strings and a single statement",
			json: `{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"x:y","NotResource":"a"}}`,
			want: iam.Document{Version: iam.Version, Statement: []iam.Statement{
				{Effect: iam.Deny, NotAction: iam.Strings{"x:y"}, NotResource: iam.Strings{"a"}},
			}},
			text: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotAction":["x:y"],"NotResource":["a"]}]}`,
		},
		{
			name: "condition",
			json: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24"]}}}]}`,
			want: iam.Document{Version: iam.Version, Statement: []iam.Statement{{
				Effect: iam.Deny, Action: iam.Strings{"*"}, Resource: iam.Strings{"*"},
				Condition: map[string]map[string]iam.Strings{"IpAddress": {"aws:SourceIp": {"203.0.113.0/24"}}},
			}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got iam.Document
			if err := json.Unmarshal([]byte(tt.json), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Unmarshal (-want +got):\n%s", diff)
			}
			text, err := got.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			want := tt.text
			if want == "" {
				want = tt.json
			}
			if string(text) != want {
				t.Errorf("MarshalJSON:\n got %s\nwant %s", text, want)
			}
		})
	}
}

func TestDocumentNeverNull(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		doc  iam.Document
		want string
	}{
		{"zero", iam.Document{}, `{"Version":"","Statement":[]}`},
		{"zero statement", iam.Document{Statement: []iam.Statement{{}}}, `{"Version":"","Statement":[{"Effect":""}]}`},
		{
			"nil values of a condition",
			iam.Document{Statement: []iam.Statement{{Condition: map[string]map[string]iam.Strings{"Null": {"k": nil}}}}},
			`{"Version":"","Statement":[{"Effect":"","Condition":{"Null":{"k":[]}}}]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.doc)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDocumentRefuses(t *testing.T) {
	t.Parallel()
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	tests := []struct {
		name string
		json string
		want string // in the error
	}{
		{"null", `null`, "Version"},
		{"no statement", `{"Version":"2012-10-17"}`, "no Statement"},
		{"old version", `{"Version":"2008-10-17","Statement":[]}`, "Version"},
		{"unknown element", `{"Version":"2012-10-17","Statement":[],"Statements":[]}`, "Statements"},
		{"no effect", statement(`{"Action":"*","Resource":"*"}`), "Effect"},
		{"unknown effect", statement(`{"Effect":"allow","Action":"*","Resource":"*"}`), "Effect"},
		{"null effect", statement(`{"Effect":null,"Action":"*","Resource":"*"}`), "Effect"},
		{"no action", statement(`{"Effect":"Allow","Resource":"*"}`), "Statement[0]"},
		{"empty action", statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "Statement[0]"},
		{"both actions", statement(`{"Effect":"Allow","Action":"*","NotAction":"x","Resource":"*"}`), "Statement[0]"},
		{"no resource", statement(`{"Effect":"Allow","Action":"*"}`), "Statement[0]"},
		{"both resources", statement(`{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"x"}`), "Statement[0]"},
		{"number", statement(`{"Effect":"Allow","Action":"*","Resource":1}`), "string"},
		{"null resource", statement(`{"Effect":"Allow","Action":"*","Resource":null}`), "string"},
		{"null in a list", statement(`{"Effect":"Allow","Action":"*","Resource":["a",null]}`), "null"},
		{"principal", statement(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`), "Principal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got iam.Document
			err := json.Unmarshal([]byte(tt.json), &got)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Unmarshal = %+v, %v; want an error with %q", got, err, tt.want)
			}
		})
	}
}
