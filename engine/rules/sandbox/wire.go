package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
)

// errWire is what a message that cannot be read comes to. It says no more: the
// bytes may be anybody's.
var errWire = errors.New("not a message of this protocol")

// maxDepth bounds how deep values in a message are nested.
const maxDepth = 64

// writer appends to a message. Texts and lists are behind their length.
type writer struct{ b []byte }

func (w *writer) byte(b byte)      { w.b = append(w.b, b) }
func (w *writer) uint(n uint64)    { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)      { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) length(n int)     { w.uint(uint64(n)) }
func (w *writer) bytes(b []byte)   { w.length(len(b)); w.b = append(w.b, b...) }
func (w *writer) text(s string)    { w.length(len(s)); w.b = append(w.b, s...) }
func (w *writer) texts(s []string) { writeList(w, s, (*writer).text) }

func (w *writer) bool(b bool) {
	if b {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// writeList writes a list; a nil one is told from one that is empty.
func writeList[T any](w *writer, list []T, one func(*writer, T)) {
	if list == nil {
		w.length(0)
		return
	}
	w.length(len(list) + 1)
	for _, v := range list {
		one(w, v)
	}
}

// writeMap writes a map in any order; a nil one is told from one that is empty.
func writeMap[T any](w *writer, m map[string]T, one func(*writer, T)) {
	if m == nil {
		w.length(0)
		return
	}
	w.length(len(m) + 1)
	for k, v := range m {
		w.text(k)
		one(w, v)
	}
}

// The kinds of a value.
const (
	kindNull = iota
	kindFalse
	kindTrue
	kindNumber // a json.Number, as text
	kindFloat
	kindInt
	kindText
	kindList
	kindObject
)

// value writes what JSON and YAML have, so that the other side reads the same Go
// types: OPA writes a number as its Go type has it.
func (w *writer) value(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("a value is nested deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		w.byte(kindNull)
	case bool:
		if v {
			w.byte(kindTrue)
		} else {
			w.byte(kindFalse)
		}
	case json.Number:
		w.byte(kindNumber)
		w.text(string(v))
	case float64:
		w.byte(kindFloat)
		w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(v))
	case int:
		w.byte(kindInt)
		w.int(int64(v))
	case int64:
		w.byte(kindInt)
		w.int(v)
	case string:
		w.byte(kindText)
		w.text(v)
	case []any:
		w.byte(kindList)
		w.length(len(v))
		for _, e := range v {
			if err := w.value(e, depth+1); err != nil {
				return err
			}
		}
	case []string:
		w.byte(kindList)
		w.length(len(v))
		for _, e := range v {
			w.byte(kindText)
			w.text(e)
		}
	case map[string]any:
		return w.object(v, depth)
	default:
		return w.roundTrip(v, depth)
	}
	return nil
}

// roundTrip writes a value of another type as OPA reads it: through JSON.
func (w *writer) roundTrip(v any, depth int) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return err
	}
	return w.value(plain, depth)
}

func (w *writer) object(m map[string]any, depth int) error {
	w.byte(kindObject)
	w.length(len(m))
	for k, e := range m {
		w.text(k)
		if err := w.value(e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// reader reads a message. After the first thing that does not fit, everything it
// returns is zero and err tells so: callers check once, at the end.
type reader struct {
	b []byte
	// s is the same as b, so that texts share one allocation. What is kept for longer than
	// the message has to be a copy.
	s  string
	at int
	// room is what lists and maps may still take in memory, in bytes: an element of a few
	// bytes in a message can be one of many in Go.
	room int
	err  error
}

// newReader reads b into at most so many bytes of lists and maps.
func newReader(b []byte, room int) *reader { return &reader{b: b, s: string(b), room: room} }

// charge takes room for n elements before they are allocated.
func (r *reader) charge(n int, size uintptr) {
	if r.room -= n * int(size); r.room < 0 {
		r.fail()
	}
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errWire
	}
	r.at = len(r.b)
}

// end reports what went wrong, or that something is left over.
func (r *reader) end() error {
	if r.err == nil && r.at != len(r.b) {
		r.fail()
	}
	return r.err
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail()
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b[r.at:])
	if size <= 0 {
		r.fail()
		return 0
	}
	r.at += size
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b[r.at:])
	if size <= 0 {
		r.fail()
		return 0
	}
	r.at += size
	return n
}

func (r *reader) bool() bool {
	switch r.byte() {
	case 0:
	case 1:
		return true
	default:
		r.fail()
	}
	return false
}

// length reads a length or count. Every element has a byte at least, so a count
// beyond what is left is no message, and nothing is allocated for it.
func (r *reader) length() int {
	n := r.uint()
	if n > uint64(len(r.b)-r.at)+1 {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.length()
	if n > len(r.b)-r.at {
		r.fail()
		return ""
	}
	r.at += n
	return r.s[r.at-n : r.at]
}

// bytes returns a part of the message, not a copy.
func (r *reader) bytes() []byte {
	n := r.length()
	if n > len(r.b)-r.at {
		r.fail()
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

func (r *reader) texts() []string { return readList(r, (*reader).text) }

func readList[T any](r *reader, one func(*reader) T) []T {
	n := r.length()
	if n == 0 {
		return nil
	}
	r.charge(n-1, reflect.TypeFor[T]().Size())
	if r.err != nil {
		return nil
	}
	list := make([]T, 0, n-1)
	for range n - 1 {
		if r.err != nil {
			return nil
		}
		list = append(list, one(r))
	}
	return list
}

// perMember and perValue are what a map takes for a name, its place and one of Go's small
// values, and a list for a value, in bytes.
const (
	perMember = 64
	perValue  = 32
)

func readMap[T any](r *reader, one func(*reader) T) map[string]T {
	n := r.length()
	if n == 0 {
		return nil
	}
	r.charge(n-1, perMember+reflect.TypeFor[T]().Size())
	if r.err != nil {
		return nil
	}
	m := make(map[string]T, n-1)
	for range n - 1 {
		if r.err != nil {
			return nil
		}
		k := r.text()
		m[k] = one(r)
	}
	return m
}

func (r *reader) value(depth int) any {
	if depth > maxDepth {
		r.fail()
		return nil
	}
	switch r.byte() {
	case kindNull:
		return nil
	case kindFalse:
		return false
	case kindTrue:
		return true
	case kindNumber:
		return r.number()
	case kindFloat:
		return r.float()
	case kindInt:
		return r.int()
	case kindText:
		return r.text()
	case kindList:
		n := r.length()
		r.charge(n, perValue)
		if r.err != nil {
			return nil
		}
		list := make([]any, 0, n)
		for i := 0; i < n && r.err == nil; i++ {
			list = append(list, r.value(depth+1))
		}
		return list
	case kindObject:
		return r.members(depth)
	default:
		r.fail()
		return nil
	}
}

// object reads what writer.object wrote.
func (r *reader) object(depth int) map[string]any {
	if r.byte() != kindObject {
		r.fail()
		return nil
	}
	return r.members(depth)
}

func (r *reader) members(depth int) map[string]any {
	n := r.length()
	r.charge(n, perMember+perValue)
	if r.err != nil {
		return nil
	}
	m := make(map[string]any, n)
	for i := 0; i < n && r.err == nil; i++ {
		k := r.text()
		m[k] = r.value(depth + 1)
	}
	return m
}

func (r *reader) float() float64 {
	if len(r.b)-r.at < 8 {
		r.fail()
		return 0
	}
	r.at += 8
	return math.Float64frombits(binary.BigEndian.Uint64(r.b[r.at-8 : r.at]))
}

// number reads a JSON number; nothing else goes by that type.
func (r *reader) number() json.Number {
	s := r.text()
	digit := func(b byte) bool { return b >= '0' && b <= '9' }
	if s == "" || s[0] != '-' && !digit(s[0]) || !digit(s[len(s)-1]) || !json.Valid([]byte(s)) {
		r.fail()
		return ""
	}
	return json.Number(s)
}
