package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// writer is a place for output: it knows whether it is a terminal. Lines of several
// goroutines do not mix.
type writer struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	color    bool
}

func newWriter(w io.Writer) *writer {
	out := &writer{w: w}
	if f, ok := w.(*os.File); ok {
		out.terminal = term.IsTerminal(int(f.Fd()))
	}
	// https://no-color.org
	out.color = out.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return out
}

// Write writes as it is.
func (o *writer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// line writes a line. A terminal or pipe that is gone has nobody to tell it to.
func (o *writer) line(text string) { _, _ = o.Write([]byte(text + "\n")) }

// json writes a value as indented JSON. What could steer a terminal is escaped, C1
// controls and direction marks too, which JSON itself would let through.
func (o *writer) json(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := o.Write(escaped(b.Bytes()))
	return err
}

// escaped writes the characters of a JSON text that are not printable as \u escapes.
func escaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r == '\n' || unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, "\\u%04x", unit)
		}
	}
	return out
}

// style is an ANSI code.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (o *writer) paint(s style, text string) string {
	if !o.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// cell is a piece of a table. Its text must be printable.
type cell struct {
	text  string
	style style
}

func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, t := range texts {
		row[i].text = t
	}
	return row
}

// table writes rows with aligned columns, two spaces apart. The rows of a terminal's
// table may have colours, which text/tabwriter would count as width.
func (o *writer) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line, space := "", ""
		for i, c := range row {
			if c.text != "" {
				line += space + o.paint(c.style, c.text)
				space = ""
			}
			space += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2)
		}
		b.WriteString(line + "\n")
	}
	_, _ = o.Write([]byte(b.String()))
}

// printable replaces control characters: names, paths and reasons come from tenants
// and clients, who must not steer the terminal that they are shown on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// plural is "1 test" or "2 tests".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
