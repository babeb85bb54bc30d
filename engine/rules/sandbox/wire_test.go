package sandbox

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// filled returns a value of a type with something in each of its fields, so that a
// field that a message does not have shows.
func filled(t reflect.Type, n *int) reflect.Value {
	v := reflect.New(t).Elem()
	*n++
	switch t.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d é", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{json.Number("1e3"), 1.5, int64(-7), "x", nil, true, false, map[string]any{}, []any{}}))
	case reflect.Slice:
		v = reflect.Append(v, filled(t.Elem(), n), filled(t.Elem(), n))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(filled(t.Key(), n), filled(t.Elem(), n))
	case reflect.Pointer:
		v.Set(filled(t.Elem(), n).Addr())
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).Name != "Expires" { // no rule sees it
				v.Field(i).Set(filled(t.Field(i).Type, n))
			}
		}
	default:
		panic(t)
	}
	return v
}

func fill[T any]() T {
	n := 0
	return filled(reflect.TypeFor[T](), &n).Interface().(T)
}

// TestRoundTrip holds that nothing of a message gets lost, and nothing is added.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	decision := fill[engine.Decision]()
	decision.WholeKey = false // rules do not say it
	decision.Allow = false    // there are reasons
	decision.Context = map[string]any{"a": "x", "b": true, "c": json.Number("-1.5e300")}
	perms := fill[engine.Permissions]()
	for i := range perms.Cells {
		perms.Cells[i].Limits = []int{1, 0}
	}
	tests := []struct {
		name  string
		value any
		write func(*writer) error
		read  func(*reader) any
	}{
		{"input", fill[engine.Input](), func(w *writer) error { return w.input(fill[engine.Input]()) }, func(r *reader) any { return r.input() }},
		{"known", fill[engine.Known](), func(w *writer) error { return w.known(fill[engine.Known]()) }, func(r *reader) any { return r.known() }},
		{"routes", fill[[]tenants.Route](), func(w *writer) error { w.routes(fill[[]tenants.Route]()); return nil }, func(r *reader) any { return r.routes() }},
		{"decision", decision, func(w *writer) error { return w.decision(decision) }, func(r *reader) any { return r.decision() }},
		{"no decision", engine.Decision{}, func(w *writer) error { return w.decision(engine.Decision{}) }, func(r *reader) any { return r.decision() }},
		{"permissions", perms, func(w *writer) error { w.permissions(perms); return nil }, func(r *reader) any { return r.permissions() }},
		{"no permissions", engine.Permissions{}, func(w *writer) error { w.permissions(engine.Permissions{}); return nil }, func(r *reader) any { return r.permissions() }},
		{"evaluation error", fill[*rules.EvalError](), func(w *writer) error { w.evalError(fill[*rules.EvalError]()); return nil }, func(r *reader) any { return r.evalError() }},
		{"problems", fill[rules.Problems](), func(w *writer) error { w.problems(fill[rules.Problems]()); return nil }, func(r *reader) any { return r.problems() }},
		{"question", question{pairKey{"a", "b"}, time.Unix(1, 2).UTC(), 3}, func(w *writer) error { w.question(question{pairKey{"a", "b"}, time.Unix(1, 2), 3}); return nil }, func(r *reader) any { return r.question() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &writer{}
			if err := tt.write(w); err != nil {
				t.Fatal(err)
			}
			r := newReader(w.b, roomRequest)
			got := tt.read(r)
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.value, got, cmp.AllowUnexported(question{}, pairKey{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			// Whatever is cut off, it is no message any more.
			for n := range w.b {
				r := newReader(w.b[:n], roomRequest)
				tt.read(r)
				if r.end() == nil {
					t.Fatalf("%d of %d bytes are a message", n, len(w.b))
				}
			}
		})
	}
}

// TestValues holds that the other side has the Go types that it would have had here:
// how OPA writes a number depends on that.
func TestValues(t *testing.T) {
	t.Parallel()
	deep := any("x")
	for range maxDepth + 1 {
		deep = []any{deep}
	}
	tests := []struct {
		name    string
		in, out any
		fails   bool
	}{
		{"null", nil, nil, false},
		{"a number as text", json.Number("123456789012345678901234567890"), json.Number("123456789012345678901234567890"), false},
		{"a float", 0.1, 0.1, false},
		{"a large float", math.MaxFloat64, math.MaxFloat64, false},
		{"an int", 7, int64(7), false},
		{"an unsigned one", uint64(math.MaxUint64), json.Number("18446744073709551615"), false},
		{"texts", []string{"a", ""}, []any{"a", ""}, false},
		{"a map of texts", map[string]string{"a": "b"}, map[string]any{"a": "b"}, false},
		{"invalid UTF-8", "\xff\x00", "\xff\x00", false},
		{"too deep", deep, nil, true},
		{"no value", func() {}, nil, true},
		{"no number of JSON", math.NaN(), math.NaN(), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &writer{}
			if err := w.value(tt.in, 0); (err != nil) != tt.fails {
				t.Fatalf("got %v; want an error: %t", err, tt.fails)
			}
			if tt.fails {
				return
			}
			r := newReader(w.b, roomRequest)
			got := r.value(0)
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			if f, ok := got.(float64); ok && math.IsNaN(f) {
				return
			}
			if diff := cmp.Diff(tt.out, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"0": true, "-1": true, "1e5": true, "0.1": true, "-0": true, "1E+400": true,
		"": false, "-": false, "+1": false, "01": false, "1.": false, ".1": false, "1 ": false, " 1": false,
		"0x1": false, "NaN": false, "Infinity": false, "null": false, "\"1\"": false, "[1]": false, "1\n2": false, "1,2": false,
	} {
		w := &writer{}
		w.byte(kindNumber)
		w.text(text)
		r := newReader(w.b, roomRequest)
		r.value(0)
		if got := r.end() == nil; got != want {
			t.Errorf("%q as a number: %t, want %t", text, got, want)
		}
	}
}

// TestManyProblems holds that a long list is cut, and says so.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	var ps rules.Problems
	for range maxProblems + 7 {
		ps = append(ps, &rules.Problem{File: "a.rego", Line: 1, Code: "x", Message: strings.Repeat("m", 2*maxText)})
	}
	w := newFrame()
	w.problems(ps)
	if len(w.b) > maxLoaded {
		t.Errorf("%d bytes are more than are read", len(w.b))
	}
	r := newReader(w.b[headerSize:], roomRequest)
	got := r.problems()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if last := got[len(got)-1]; len(got) != maxProblems+1 || !strings.Contains(last.Message, "7 problems more") {
		t.Errorf("%d problems, the last: %v", len(got), last)
	}
}

// FuzzReader holds that whatever a child sends is read without a panic, without
// memory beyond its size, and that what is a message says the same when it is written
// again.
func FuzzReader(f *testing.F) {
	w := &writer{}
	_ = w.input(fill[engine.Input]())
	f.Add(byte(0), w.b)
	w = &writer{}
	_ = w.decision(engine.Decision{Reasons: []string{"x"}, Context: map[string]any{"a": json.Number("1")}})
	f.Add(byte(1), w.b)
	w = &writer{}
	perms := fill[engine.Permissions]()
	for i := range perms.Cells {
		perms.Cells[i].Limits = nil
	}
	w.permissions(perms)
	f.Add(byte(2), w.b)
	w = &writer{}
	w.problems(fill[rules.Problems]())
	f.Add(byte(3), w.b)
	f.Add(byte(1), []byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		r, again := newReader(b, roomRequest), &writer{}
		var first, second any
		var reread func(*reader) any
		switch kind % 4 {
		case 0:
			in := r.input()
			first, reread = in, func(r *reader) any { return r.input() }
			_ = again.input(in)
		case 1:
			d := r.decision()
			if d.Allow && len(d.Reasons) > 0 {
				t.Fatal("a yes with reasons")
			}
			first, reread = d, func(r *reader) any { return r.decision() }
			_ = again.decision(d)
		case 2:
			p := r.permissions()
			first, reread = p, func(r *reader) any { return r.permissions() }
			again.permissions(p)
		case 3:
			r.problems()
			return
		}
		if r.end() != nil {
			return
		}
		r = newReader(again.b, roomRequest)
		second = reread(r)
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		// Floats that are no number are not equal to themselves; their text is.
		if a, b := fmt.Sprintf("%#v", first), fmt.Sprintf("%#v", second); a != b {
			t.Fatalf("written again it is\n%s\nand was\n%s", b, a)
		}
	})
}
