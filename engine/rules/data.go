package rules

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkData reports what in a data file is over a limit. Its size is bounded by its
// bundle's, tenants.MaxBundle.
func checkData(file string, doc any, ps *Problems) bool {
	m := extent{}
	m.value(doc, 1)
	loc := &ast.Location{File: file}
	if m.number != "" {
		ps.add(limitCode, loc, "%s", m.number)
	}
	deep := ps.exceeded(dataDepth, m.depth, loc)
	return !ps.exceeded(dataValues, m.values, loc) && !deep && m.number == ""
}

// extent is what a JSON document comes to.
type extent struct {
	values, depth int
	// number says what is wrong with one of the numbers.
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
	switch digits := countDigits(number); {
	case digits > numberDigits.Max:
		m.number = numberDigits.message(digits)
	case outOfRange(number):
		m.number = fmt.Sprintf("%s is no double-precision number; %s", number, numberDigits.hint)
	}
}
