// Package jsontext appends strings in JSON to replies that are written by hand, because
// encoding/json would take most of the time of making them.
package jsontext

import (
	"bytes"
	"encoding/json"
)

// Append appends s as a JSON string, like encoding/json without its escapes for HTML:
// paths may hold <, > and &, a reply has no HTML in it, and its bytes are counted.
func Append(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(b, escaped(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func escaped(s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always has a form in JSON
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
