package engine

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"regent/tenants"
)

// TestKeyHasAll changes every field that Permissions is given, one at a time: none is left
// out of the key, so a field that is added later cannot be forgotten.
func TestKeyHasAll(t *testing.T) {
	t.Parallel()
	// What follows from others, or is no matter for the rules.
	left := []string{
		"Input.Segments", "Input.Params", // from the path and the route
		"Input.Headers", "Input.Query", // Known has those that count
		"Input.Identity.Expires",
	}
	known := func() Known {
		return Known{
			Input: Input{
				Tenant:   InputTenant{ID: "acme", Attributes: map[string]any{"a": "b"}},
				Identity: Identity{Kind: JWT, Subject: "s", Issuer: "i", Scopes: []string{"x"}, Claims: map[string]any{"c": json.Number("1")}, Expires: time.Unix(1, 0)},
				API:      Target{Kind: tenants.REST, ID: "a", Stage: "b", Account: "c", Region: "d"},
				Method:   "GET", Path: "/a", Segments: []string{"a"}, Route: "/a", Params: map[string]string{"p": "q"},
				Query: map[string][]string{"q": {"1"}}, Headers: map[string]string{"h": "1"}, SourceIP: "203.0.113.7",
			},
			Headers: map[string]string{"h": "1"}, Query: map[string][]string{"q": {"1"}}, AbsentHeader: "authorization", AbsentQuery: "token",
			Method: true, Route: true, Path: true, SourceIP: true, RouteMethod: "GET",
		}
	}
	plain := keyOf(t, known())
	var unseen []string
	fields(reflect.TypeFor[Known](), "", nil, func(name string, index []int) {
		k := known()
		alter(t, name, reflect.ValueOf(&k).Elem().FieldByIndex(index))
		if keyOf(t, k) == plain {
			unseen = append(unseen, name)
		}
	})
	slices.Sort(left)
	slices.Sort(unseen)
	if !slices.Equal(unseen, left) {
		t.Errorf("the key does not have %v, want it to lack %v only", unseen, left)
	}
}

func keyOf(t *testing.T, known Known) string {
	t.Helper()
	var k keyText
	if err := k.known(known); err != nil {
		t.Fatal(err)
	}
	return string(k)
}

// fields calls do with the fields of a struct and of those in it.
func fields(typ reflect.Type, prefix string, index []int, do func(name string, index []int)) {
	for f := range typ.Fields() {
		at := append(slices.Clone(index), f.Index...)
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[time.Time]() {
			fields(f.Type, prefix+f.Name+".", at, do)
			continue
		}
		do(prefix+f.Name, at)
	}
}

// alter gives a field another value.
func alter(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *bool:
		*x = !*x
	case *[]string:
		*x = append(*x, "more")
	case *map[string]any:
		*x = map[string]any{"other": nil}
	case *map[string]string:
		*x = map[string]string{"other": ""}
	case *map[string][]string:
		*x = map[string][]string{"other": nil}
	case *time.Time:
		*x = x.Add(1)
	default:
		if v.Kind() != reflect.String {
			t.Fatalf("%s: nothing is known of a %s", name, v.Type())
		}
		v.SetString(v.String() + "x")
	}
}

// TestKeyKeepsApart holds that values which differ look different.
func TestKeyKeepsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]any{}
	for _, v := range []any{
		nil, false, true, "", "0", "a", "\xfe", "\xff", json.Number("0"), json.Number("1"), json.Number("1.0"), 0, 1, -1, 0.0, 1.0, int64(1),
		[]any{}, []any{nil}, []any{nil, nil}, []any{[]any{}}, []any{"a", "b"}, []any{"ab"}, []any{"a"}, []any{"", "ab"}, []string{"a"},
		map[string]any{}, map[string]any{"a": nil}, map[string]any{"": "a"}, map[string]any{"a": ""}, map[string]any{"a": []any{}},
		map[string]any{"a": map[string]any{}}, map[string]any{"a": nil, "b": nil}, strings.Repeat("a", 200),
	} {
		var k keyText
		if err := k.value(v); err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(k)]; ok {
			t.Errorf("%#v looks like %#v", v, other)
		}
		seen[string(k)] = v
	}
	var k keyText
	if k.value(map[string]any{"a": []any{func() {}}}) == nil {
		t.Error("a value that is not JSON has a key")
	}
}

// TestRememberedIsSmall holds that what is remembered has no more limits than are logged.
func TestRememberedIsSmall(t *testing.T) {
	t.Parallel()
	if c := (complete{limits: logged(make([]Limit, 1000))}); len(c.limits) != maxIncomplete || cap(c.limits) > 2*maxIncomplete {
		t.Errorf("%d limits are kept, with room for %d", len(c.limits), cap(c.limits))
	}
	if logged(nil) != nil {
		t.Error("no limits are some")
	}
}
