package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeObject(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       error
	}{
		{"empty", `{}`, nil},
		{"every kind", `{"a":[1,-2.5e3,"x",true,false,null,{}],"b":{"c":[]}}`, nil},
		{"every escape", `{"\"\\\/\b\f\n\r\t\u0041":"\u00e9\ud83d\ude00"}`, nil},
		{"NUL by escape", `{"a":"\u0000"}`, nil},
		{"U+FFFD", `{"a":"\ufffd�"}`, nil},
		{"duplicate", `{"a":1,"a":1}`, errDuplicate},
		{"duplicate by escape", `{"a":1,"\u0061":1}`, errDuplicate},
		{"empty names", `{"":1,"":2}`, errDuplicate},
		{"names that differ in case", `{"a":1,"A":2}`, nil},
		{"names that differ in form", `{"\u00e9":1,"e\u0301":2}`, nil},
		{"depth 3", `{"a":{"b":{}}}`, nil},
		{"depth 4", `{"a":{"b":{"c":{}}}}`, errDepth},
		{"depth 4 of arrays", `{"a":[[[]]]}`, errDepth},
		{"array", `[]`, errNotObject},
		{"nothing", ``, errNotObject},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", errJSON},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", errJSON},
		{"overlong", "{\"a\":\"\xc0\x80\"}", errJSON},
		{"lone high", `{"a":"\ud800"}`, errJSON},
		{"lone low", `{"a":"\udc00"}`, errJSON},
		{"high and letter", `{"a":"\ud800a"}`, errJSON},
		{"high and high", `{"a":"\ud800\ud800"}`, errJSON},
		{"high and escape", `{"a":"\ud800\n"}`, errJSON},
		{"unknown escape", `{"a":"\x"}`, errJSON},
		{"short escape", `{"a":"\u00"}`, errJSON},
		{"signed escape", `{"a":"\u+041"}`, errJSON},
		{"escape at the end", `{"a":"\`, errJSON},
		{"open string", `{"a":"`, errJSON},
		{"open object", `{"a":1`, errJSON},
		{"open array", `{"a":[1`, errJSON},
		{"no value", `{"a"}`, errJSON},
		{"no name", `{:1}`, errJSON},
		{"number as name", `{1:1}`, errJSON},
		{"two commas", `{"a":1,,"b":1}`, errJSON},
		{"comma at the end", `{"a":[1,]}`, errJSON},
		{"newline in a string", "{\"a\":\"\n\"}", errJSON},
		{"vertical tab as space", "{\v}", errJSON},
		{"no-break space", "{\u00a0}", errJSON},
		{"True", `{"a":True}`, errJSON},
		{"truex", `{"a":truex}`, errJSON},
		{"nul", `{"a":nul}`, errJSON},
		{"NaN", `{"a":NaN}`, errJSON},
		{"Infinity", `{"a":-Infinity}`, errJSON},
		{"plus", `{"a":+1}`, errJSON},
		{"leading zero", `{"a":01}`, errJSON},
		{"leading zero, negative", `{"a":-01}`, errJSON},
		{"zeros", `{"a":[0,-0,0.0,0e0]}`, nil},
		{"minus", `{"a":-}`, errJSON},
		{"point at the end", `{"a":1.}`, errJSON},
		{"point at the start", `{"a":.1}`, errJSON},
		{"no exponent", `{"a":1e}`, errJSON},
		{"exponent sign only", `{"a":1e+}`, errJSON},
		{"hexadecimal", `{"a":0x1}`, errJSON},
		{"underscore", `{"a":1_000}`, errJSON},
		{"exponent 308", `{"a":[1e308,1E+308,1e-308]}`, nil},
		{"exponent 309", `{"a":1e309}`, errNumber},
		{"exponent -309", `{"a":1e-309}`, errNumber},
		{"huge by its digits", `{"a":123e307}`, errNumber},
		{"endless exponent", `{"a":1e99999999999999999999}`, errNumber},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeObject([]byte(tt.text), 3)
			if !errors.Is(err, tt.want) || (err != nil) != (tt.want != nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil {
				compareWithStandard(t, []byte(tt.text), got)
			}
		})
	}
}

// compareWithStandard holds what is accepted to encoding/json's reading of it.
func compareWithStandard(t *testing.T, text []byte, got map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var want map[string]any
	if err := d.Decode(&want); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", text, err)
	}
	if d.More() {
		t.Fatalf("trailing data in %q", text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q (-encoding/json +ours):\n%s", text, diff)
	}
}
