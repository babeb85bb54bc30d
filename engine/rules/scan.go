package rules

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// scanner reads the tokens of a module before the parser does, for what has to be
// bounded before there is a syntax tree: nesting, chains of operators, the length of
// lines, strings and numbers. It takes what is no Rego at all and leaves it to the
// parser to say so.
type scanner struct {
	file string
	text []byte
	at   int
	// line counts from 1, start is where it begins.
	line, start int
	// operators counts those of the expression at hand, for every open bracket.
	operators []int
	// operand tells whether the token before ended an operand.
	operand bool
	ps      *Problems
	// failed has the limits that were reported: one problem each is enough.
	failed map[*Limit]bool
}

// scan reports what in a module's text is over a limit; with a problem the module
// must not be parsed.
func scan(file string, text []byte, ps *Problems) bool {
	s := scanner{file: file, text: text, line: 1, operators: []int{0}, ps: ps, failed: map[*Limit]bool{}}
	if s.over(moduleBytes, len(text), 0) {
		return false
	}
	for s.at < len(text) {
		if !s.token() {
			return false
		}
	}
	s.endLine()
	return len(s.failed) == 0
}

func (s *scanner) location(at int) *ast.Location {
	return &ast.Location{File: s.file, Row: s.line, Col: max(1, at-s.start+1)}
}

func (s *scanner) over(l *Limit, got, at int) bool {
	if got <= l.Max || s.failed[l] {
		return s.failed[l]
	}
	s.failed[l] = true
	return s.ps.exceeded(l, got, s.location(at))
}

func (s *scanner) endLine() { s.over(lineBytes, s.at-s.start, s.start) }

func (s *scanner) newline() {
	s.endLine()
	s.at++
	s.line, s.start = s.line+1, s.at
}

// token reads one token. It returns false where reading on makes no sense.
func (s *scanner) token() bool {
	switch c := s.text[s.at]; {
	case c == '\n':
		s.newline()
	case c == ' ' || c == '\t' || c == '\r':
		s.at++
	case c == '#':
		s.at += lengthUntil(s.text[s.at:], '\n')
	case c == '$':
		return s.dollar()
	case c == '"':
		s.quoted()
	case c == '`':
		s.raw()
	case strings.IndexByte("([{", c) >= 0:
		s.at++
		s.operators = append(s.operators, 0)
		s.operand = false
		// Deeper than this nobody has to look.
		return !s.over(nesting, len(s.operators)-1, s.at-1)
	case strings.IndexByte(")]}", c) >= 0:
		s.at++
		if s.operators = s.operators[:len(s.operators)-1]; len(s.operators) == 0 {
			s.operators = []int{0}
		}
		s.operand = true
	case isDigit(c):
		s.number()
	case isLetter(c):
		s.word()
	default:
		s.symbol(c)
	}
	return true
}

// dollar refuses template strings, which nest expressions in strings.
func (s *scanner) dollar() bool {
	if next := s.text[s.at+1:]; len(next) > 0 && (next[0] == '"' || next[0] == '`') {
		s.ps.add(limitCode, s.location(s.at), "template strings are not allowed, 50 of them in each other take more than 15 s to compile; use sprintf or concat")
		return false
	}
	s.at++
	return true
}

// quoted reads a string in quotes, which ends with its line at the latest.
func (s *scanner) quoted() {
	from := s.at
	for s.at++; s.at < len(s.text) && s.text[s.at] != '"' && s.text[s.at] != '\n'; s.at++ {
		if s.text[s.at] == '\\' && s.at+1 < len(s.text) && s.text[s.at+1] != '\n' {
			s.at++
		}
	}
	if s.at < len(s.text) && s.text[s.at] == '"' {
		s.at++
	}
	s.over(stringBytes, s.at-from-2, from)
	s.startOperand()
}

// raw reads a raw string, which may have many lines.
func (s *scanner) raw() {
	from, at := s.at, s.location(s.at)
	for s.at++; s.at < len(s.text) && s.text[s.at] != '`'; {
		if s.text[s.at] == '\n' {
			s.newline()
		} else {
			s.at++
		}
	}
	length := s.at - from - 1
	s.at = min(s.at+1, len(s.text))
	if !s.failed[stringBytes] && s.ps.exceeded(stringBytes, length, at) {
		s.failed[stringBytes] = true
	}
	s.startOperand()
}

func (s *scanner) number() {
	from := s.at
	for s.at < len(s.text) {
		c := s.text[s.at]
		sign := (c == '+' || c == '-') && strings.IndexByte("eE", s.text[s.at-1]) >= 0
		if !isDigit(c) && !isLetter(c) && c != '.' && !sign {
			break
		}
		s.at++
	}
	literal := string(s.text[from:s.at])
	if digits := countDigits(literal); !s.over(numberDigits, digits, from) && outOfRange(literal) && !s.failed[numberDigits] {
		s.failed[numberDigits] = true
		s.ps.add(limitCode, s.location(from), "%s", badLiteral(literal))
	}
	s.startOperand()
}

// word reads a keyword or a name.
func (s *scanner) word() {
	from := s.at
	for s.at < len(s.text) && (isLetter(s.text[s.at]) || isDigit(s.text[s.at])) {
		s.at++
	}
	switch string(s.text[from:s.at]) {
	case "in":
		s.operator(from)
	case "not", "some", "every", "if", "with", "as", "else", "default", "import", "package", "contains":
		s.startExpression()
	default:
		s.startOperand()
	}
}

func (s *scanner) symbol(c byte) {
	from := s.at
	s.at++
	switch c {
	case '+', '-', '*', '/', '%', '&', '|', '<', '>', '!', '=', ':':
		if s.at < len(s.text) && s.text[s.at] == '=' {
			s.at++
		} else if c == ':' {
			s.startExpression()
			return
		}
		s.operator(from)
	case ',', ';':
		s.startExpression()
	case '.':
		// The name behind it is of the same operand.
		s.operand = false
	}
}

// startOperand begins an operand; behind another one it is a new expression's.
func (s *scanner) startOperand() {
	if s.operand {
		s.startExpression()
	}
	s.operand = true
}

func (s *scanner) startExpression() {
	s.operators[len(s.operators)-1] = 0
	s.operand = false
}

func (s *scanner) operator(at int) {
	s.operators[len(s.operators)-1]++
	s.over(chain, s.operators[len(s.operators)-1], at)
	s.operand = false
}

func lengthUntil(text []byte, end byte) int {
	if i := bytes.IndexByte(text, end); i >= 0 {
		return i
	}
	return len(text)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

// countDigits counts the digits of a number in front of its exponent.
func countDigits(number string) int {
	n := 0
	for i := 0; i < len(number) && number[i] != 'e' && number[i] != 'E'; i++ {
		if isDigit(number[i]) {
			n++
		}
	}
	return n
}

// outOfRange tells whether a number is too large or too small for a double, as
// 1e400 and 1e-400 are. What is no number is not out of range.
func outOfRange(number string) bool {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return f != 0
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	return f == 0 && strings.ContainsAny(mantissa, "123456789")
}
