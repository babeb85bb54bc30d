package rules

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// guardOperands refuses numbers that take long to calculate with.
func guardOperands(args []*ast.Term) error {
	for _, t := range args {
		if n, ok := t.Value.(ast.Number); ok {
			if err := checkNumber(string(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// guardNumbers refuses such numbers in a collection.
func guardNumbers(args []*ast.Term) error {
	check := func(t *ast.Term) error { return guardOperands([]*ast.Term{t}) }
	switch v := args[0].Value.(type) {
	case *ast.Array:
		return v.Iter(check)
	case ast.Set:
		return v.Iter(check)
	}
	return nil
}

func checkNumber(number string) error {
	if len(number) <= maxOperand && strings.IndexFunc(number, func(r rune) bool { return r == 'e' || r == 'E' }) < 0 {
		return nil
	}
	if digits := countDigits(number); digits > maxOperand {
		return fmt.Errorf("a number of %d digits, the limit is %d", digits, maxOperand)
	}
	if outOfRange(number) {
		return fmt.Errorf("%s is no double-precision number", cutTo(number, 40))
	}
	return nil
}

func guardToNumber(args []*ast.Term) error {
	s, ok := args[0].Value.(ast.String)
	if !ok {
		return nil
	}
	if err := guardTexts(args); err != nil {
		return err
	}
	return checkNumber(string(s))
}

// guardRange refuses long ranges. Bounds that are no whole numbers are left to OPA.
func guardRange(args []*ast.Term) error {
	if err := guardOperands(args); err != nil {
		return err
	}
	var bounds [3]int
	bounds[2] = 1
	for i, t := range args {
		n, ok := t.Value.(ast.Number)
		if !ok {
			return nil
		}
		if bounds[i], ok = n.Int(); !ok {
			return fmt.Errorf("%s is no bound of a range", n)
		}
	}
	if bounds[2] <= 0 {
		return nil
	}
	from, to := min(bounds[0], bounds[1]), max(bounds[0], bounds[1])
	if count := uint64(to-from)/uint64(bounds[2]) + 1; count > maxRange || count == 0 {
		return fmt.Errorf("a range of %d numbers, the limit is %d", count, maxRange)
	}
	return nil
}

// guardUnmarshal refuses JSON that is long or deep, or has numbers that take long to
// calculate with.
func guardUnmarshal(args []*ast.Term) error {
	s, ok := args[0].Value.(ast.String)
	if !ok {
		return nil
	}
	if err := guardTexts(args); err != nil {
		return err
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case c == '[' || c == '{':
			if depth++; depth > maxJSONDepth {
				return fmt.Errorf("JSON nested deeper than %d", maxJSONDepth)
			}
		case c == ']' || c == '}':
			depth--
		case isDigit(c):
			from := i
			for i < len(s) && strings.IndexByte("0123456789+-.eE", s[i]) >= 0 {
				i++
			}
			if err := checkNumber(string(s[from:i])); err != nil {
				return err
			}
			i--
		}
	}
	return nil
}
