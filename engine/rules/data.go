package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/tenants"
)

// checkData reports what in a data file is over a limit, and where. Its size is
// bounded by its bundle's, tenants.MaxBundle.
func checkData(f tenants.File, doc any, ps *Problems) bool {
	m := extent{}
	m.value(doc, 1)
	if m.depth <= dataDepth.Max && m.values <= dataValues.Max && m.number == "" {
		return true
	}
	at := findLines(f)
	if m.number != "" {
		ps.add(limitCode, at.location(at.number), "%s", cmp.Or(at.bad, m.number))
	}
	ps.exceeded(dataDepth, m.depth, at.location(at.depth))
	ps.exceeded(dataValues, m.values, at.location(at.values))
	return false
}

// extent is what a JSON document comes to.
type extent struct {
	values, depth int
	// number says what is wrong with one of the numbers, the same one each time.
	number string
}

func (m *extent) value(v any, depth int) {
	m.values++
	m.depth = max(m.depth, depth)
	switch v := v.(type) {
	case map[string]any:
		for _, elem := range v {
			m.value(elem, depth+1)
		}
	case []any:
		for _, elem := range v {
			m.value(elem, depth+1)
		}
	case json.Number:
		m.literal(string(v))
	case float64:
		m.literal(strconv.FormatFloat(v, 'g', -1, 64))
	}
}

func (m *extent) literal(number string) {
	if bad := badLiteral(number); bad != "" && (m.number == "" || bad < m.number) {
		m.number = bad
	}
}

// badLiteral says what is wrong with a number that is written out; "" for nothing.
func badLiteral(number string) string {
	switch digits := countDigits(number); {
	case digits > numberDigits.Max:
		return numberDigits.message(digits)
	case outOfRange(number):
		return numberDigits.say(cutTo(number, 40) + " is no double-precision number")
	}
	return ""
}

// dataLines are the lines on which a data file is over its limits: of the first value
// that is too deep, the first that is one too many, and the first bad number. They
// are 1 where nobody looks: in YAML, whose reader does not tell.
type dataLines struct {
	file                  tenants.File
	depth, values, number int
	// bad says what is wrong with that number.
	bad string
	// count has the values so far.
	count int
}

func (l *dataLines) location(line int) *ast.Location {
	return &ast.Location{File: l.file.Path, Row: line, Col: 1}
}

func findLines(f tenants.File) *dataLines {
	l := &dataLines{file: f}
	if strings.HasSuffix(f.Path, ".json") {
		d := json.NewDecoder(bytes.NewReader(f.Content))
		d.UseNumber()
		_ = l.value(d, 1) // It was read before.
	}
	l.depth, l.values, l.number = max(1, l.depth), max(1, l.values), max(1, l.number)
	return l
}

// value reads a value, and notes its line if it is the first over a limit.
func (l *dataLines) value(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	line := func() int { return 1 + bytes.Count(l.file.Content[:d.InputOffset()], []byte("\n")) }
	if l.count++; l.count == dataValues.Max+1 {
		l.values = line()
	}
	if depth > dataDepth.Max && l.depth == 0 {
		l.depth = line()
	}
	switch token := token.(type) {
	case json.Number:
		if bad := badLiteral(string(token)); bad != "" && l.number == 0 {
			l.number, l.bad = line(), bad
		}
	case json.Delim:
		return l.members(d, token == '{', depth)
	}
	return nil
}

// members reads what is in brackets, and the closing one.
func (l *dataLines) members(d *json.Decoder, named bool, depth int) error {
	for d.More() {
		if named {
			if _, err := d.Token(); err != nil {
				return err
			}
		}
		if err := l.value(d, depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}
