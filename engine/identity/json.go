package identity

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of JSON that comes from outside.
const (
	maxNumber   = 64  // bytes of one number
	maxExponent = 308 // of a number, up or down: the range of a float64
)

var (
	errJSON      = errors.New("not strict JSON")
	errDuplicate = errors.New("a member is there twice")
	errDepth     = errors.New("nested too deeply")
	errNumber    = errors.New("a number is out of range")
	errNotObject = errors.New("not a JSON object")
)

// decodeObject reads one JSON object and nothing else. Unlike encoding/json it
// refuses what two readers could understand in two ways: duplicate members (also
// when spelled with escapes), invalid UTF-8 and lone surrogates. Objects and arrays
// may be nested depth levels, the outermost included. Numbers are json.Number, and
// keep their spelling.
func decodeObject(b []byte, depth int) (map[string]any, error) {
	if !utf8.Valid(b) {
		return nil, errJSON
	}
	d := decoder{b: b}
	d.space()
	if d.peek() != '{' {
		return nil, errNotObject
	}
	object, err := d.object(depth)
	if err != nil {
		return nil, err
	}
	if d.space(); d.i != len(d.b) {
		return nil, errJSON
	}
	return object, nil
}

type decoder struct {
	b []byte
	i int
}

// peek returns the next byte, 0 at the end; a NUL is not valid JSON anywhere.
func (d *decoder) peek() byte {
	if d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// accept steps over c, after any space.
func (d *decoder) accept(c byte) bool {
	d.space()
	if d.peek() != c {
		return false
	}
	d.i++
	return true
}

func (d *decoder) value(depth int) (any, error) {
	d.space()
	switch c := d.peek(); {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.string()
	case c == '-' || isDigit(c):
		return d.number()
	case d.word("true"):
		return true, nil
	case d.word("false"):
		return false, nil
	case d.word("null"):
		return nil, nil
	default:
		return nil, errJSON
	}
}

func (d *decoder) word(w string) bool {
	if len(d.b)-d.i < len(w) || string(d.b[d.i:d.i+len(w)]) != w {
		return false
	}
	d.i += len(w)
	return true
}

func (d *decoder) object(depth int) (map[string]any, error) {
	if depth <= 0 {
		return nil, errDepth
	}
	d.i++
	object := map[string]any{}
	if d.accept('}') {
		return object, nil
	}
	for {
		if d.space(); d.peek() != '"' {
			return nil, errJSON
		}
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		if !d.accept(':') {
			return nil, errJSON
		}
		if _, twice := object[name]; twice {
			return nil, errDuplicate
		}
		if object[name], err = d.value(depth - 1); err != nil {
			return nil, err
		}
		if d.accept('}') {
			return object, nil
		}
		if !d.accept(',') {
			return nil, errJSON
		}
	}
}

func (d *decoder) array(depth int) ([]any, error) {
	if depth <= 0 {
		return nil, errDepth
	}
	d.i++
	array := []any{}
	if d.accept(']') {
		return array, nil
	}
	for {
		v, err := d.value(depth - 1)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
		if d.accept(']') {
			return array, nil
		}
		if !d.accept(',') {
			return nil, errJSON
		}
	}
}

// string reads a string; d is at its opening quote.
func (d *decoder) string() (string, error) {
	d.i++
	start := d.i
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return string(d.b[start : d.i-1]), nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", errJSON
		default:
			d.i++
		}
	}
	return "", errJSON
}

// escaped goes on with a string that has an escape in it; d is at the first.
func (d *decoder) escaped(start int) (string, error) {
	s := append([]byte(nil), d.b[start:d.i]...)
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return string(s), nil
		case c == '\\':
			r, ok := d.escape()
			if !ok {
				return "", errJSON
			}
			s = utf8.AppendRune(s, r)
		case c < 0x20:
			return "", errJSON
		default:
			s = append(s, c)
			d.i++
		}
	}
	return "", errJSON
}

// escape reads one escape sequence, or two that form a surrogate pair.
func (d *decoder) escape() (rune, bool) {
	d.i++
	c := d.peek()
	d.i++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		r, ok := d.hex4()
		if !ok || !utf16.IsSurrogate(r) {
			return r, ok
		}
		if !d.word(`\u`) {
			return 0, false
		}
		low, ok := d.hex4()
		r = utf16.DecodeRune(r, low)
		return r, ok && r != utf8.RuneError
	default:
		return 0, false
	}
}

func (d *decoder) hex4() (rune, bool) {
	if len(d.b)-d.i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range d.b[d.i : d.i+4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	d.i += 4
	return r, true
}

// number reads a number and keeps its spelling. Spellings that are long or out of
// a float64's range are refused: arithmetic on them is a way to burn time.
func (d *decoder) number() (json.Number, error) {
	start := d.i
	if d.peek() == '-' {
		d.i++
	}
	whole := d.digits()
	if whole == 0 || (whole > 1 && d.b[d.i-whole] == '0') {
		return "", errJSON
	}
	if d.peek() == '.' {
		d.i++
		if d.digits() == 0 {
			return "", errJSON
		}
	}
	exponent := -1
	if c := d.peek(); c == 'e' || c == 'E' {
		d.i++
		if c := d.peek(); c == '+' || c == '-' {
			d.i++
		}
		exponent = d.i
		if d.digits() == 0 {
			return "", errJSON
		}
	}
	if d.i-start > maxNumber {
		return "", errNumber
	}
	text := string(d.b[start:d.i])
	if exponent >= 0 {
		n, err := strconv.Atoi(string(d.b[exponent:d.i]))
		if err != nil || n > maxExponent {
			return "", errNumber
		}
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return "", errNumber
		}
	}
	return json.Number(text), nil
}

func (d *decoder) digits() int {
	start := d.i
	for isDigit(d.peek()) {
		d.i++
	}
	return d.i - start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
