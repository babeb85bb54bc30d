package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// document is one YAML file being read strictly. It collects what is wrong and
// remembers where each field was, so that validation errors can point there.
type document struct {
	file string
	errs *Errors
	// where has the node of every field by its path, such as "selectors.hosts[0]".
	where map[string]*yaml.Node
	// told are the paths that already have an error.
	told map[string]bool
}

// read is the reading of one node, which is the field at the path at.
type read func(n *yaml.Node, at string)

// fields says how to read the value of each key of a mapping.
type fields map[string]read

// parseDocument parses one YAML document. It returns nil if there is nothing to read.
func parseDocument(file string, content []byte, errs *Errors) (*document, *yaml.Node) {
	d := &document{file: file, errs: errs, where: map[string]*yaml.Node{}, told: map[string]bool{}}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		errs.addf(file, "the file is empty")
		return d, nil
	case err != nil:
		errs.add(syntaxError(file, err))
		return d, nil
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		errs.add(syntaxError(file, err))
		return d, nil
	default:
		d.failHint(&second, "", "write one document in each file", "a second YAML document starts here")
	}
	if !d.plain(&root) || len(root.Content) != 1 {
		return d, nil
	}
	return d, root.Content[0]
}

var (
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	// parserError are the messages for which the yaml package counts lines from 0,
	// and leaves out line 0. For others it counts from 1.
	parserError = regexp.MustCompile(`^did not find expected (<document start>|node content|'-' indicator|key|',' or '[\]}]')$`)
)

func syntaxError(file string, err error) FileError {
	e := FileError{File: file, Message: "not YAML: " + err.Error()}
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return e
	}
	e.Message = "not YAML: " + m[2]
	line, _ := strconv.Atoi(m[1]) // "" is no line
	if parserError.MatchString(m[2]) {
		line++
	}
	if line > 0 {
		e.Line, e.Column = line, 1
	}
	if strings.HasPrefix(m[2], "did not find expected ',' or ") {
		e.Hint = "put values with { or } in them in quotes"
	}
	return e
}

// plain refuses what would make a file mean more than it shows: aliases, which can
// also grow without bound, and tags other than those of plain values.
func (d *document) plain(n *yaml.Node) bool {
	ok := true
	if n.Kind == yaml.AliasNode {
		d.failHint(n, "", "write the value out", "aliases (*%s) are not supported", cut(n.Value))
		return false
	}
	switch tag := n.ShortTag(); tag {
	case "", "!!map", "!!seq", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge":
	default:
		d.fail(n, "", "tag %s is not supported", cut(tag))
		ok = false
	}
	for _, child := range n.Content {
		ok = d.plain(child) && ok
	}
	return ok
}

func (d *document) fail(n *yaml.Node, at, format string, args ...any) {
	d.failHint(n, at, "", format, args...)
}

func (d *document) failHint(n *yaml.Node, at, hint, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if at != "" {
		d.told[at] = true
		message = at + ": " + message
	}
	d.errs.add(FileError{File: d.file, Line: n.Line, Column: n.Column, Message: message, Hint: hint})
}

// validated adds the errors of a Validate method of what was read at a path,
// unless the reading itself found fault with the same field.
func (d *document) validated(at string, err error) {
	if err == nil || d.where[""] == nil {
		return // nothing wrong, or nothing read
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		field, message := at, err.Error()
		var fe *tenants.FieldError
		if errors.As(err, &fe) {
			field, message = join(at, fe.Field), fe.Message
		}
		if !d.covered(field) {
			d.fail(d.nearest(field), field, "%s", message)
		}
	}
}

// covered reports whether a field, or one that it is part of, has an error.
func (d *document) covered(field string) bool {
	for ; field != ""; field = parent(field) {
		if d.told[field] {
			return true
		}
	}
	return false
}

// nearest returns the node of a field, or of the innermost one around it.
func (d *document) nearest(field string) *yaml.Node {
	for ; field != ""; field = parent(field) {
		if n := d.where[field]; n != nil {
			return n
		}
	}
	if n := d.where[""]; n != nil {
		return n
	}
	return &yaml.Node{}
}

func parent(field string) string {
	i := strings.LastIndexAny(field, ".[")
	return field[:max(0, i)]
}

func join(at, key string) string {
	if at == "" || key == "" {
		return at + key
	}
	return at + "." + key
}

// mapping reads a mapping with known keys.
func (d *document) mapping(n *yaml.Node, at string, known fields) {
	if !d.is(n, yaml.MappingNode, at, "a mapping") {
		return
	}
	d.where[at] = n
	d.pairs(n, at, func(key, value *yaml.Node) {
		field := join(at, key.Value)
		readValue, ok := known[key.Value]
		if !ok {
			d.unknown(key, at, known)
			return
		}
		d.where[field] = value
		readValue(value, field)
	})
}

// pairs calls visit for each key of a mapping and refuses keys that are there twice.
func (d *document) pairs(n *yaml.Node, at string, visit func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			d.failHint(key, at, "put it in quotes", "a key must be a string, this is %s", describe(key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.fail(key, "", "key %q is there twice, first on line %d", cut(key.Value), line)
			d.told[join(at, key.Value)] = true
			continue
		}
		seen[key.Value] = key.Line
		visit(key, value)
	}
}

func (d *document) unknown(key *yaml.Node, at string, known fields) {
	names := slices.Sorted(maps.Keys(known))
	hint := "known keys here: " + strings.Join(names, ", ")
	if near := nearestName(key.Value, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		// The key that was meant is then missing; saying so would be noise.
		d.told[join(at, near)] = true
	}
	d.failHint(key, "", hint, "unknown key %q", cut(key.Value))
}

// nearestName returns the name that a misspelling probably means, or "".
func nearestName(s string, names []string) string {
	best, near := 2+max(0, len(s)-1)/3, "" // one slip, and another for each three letters
	for _, name := range names {
		if n := levenshtein.ComputeDistance(strings.ToLower(s), name); n < best {
			best, near = n, name
		}
	}
	return near
}

func (d *document) is(n *yaml.Node, kind yaml.Kind, at, want string) bool {
	if n.Kind == kind {
		return true
	}
	d.fail(n, at, "want %s, this is %s", want, describe(n))
	return false
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "the number " + cut(n.Value)
	case "!!bool":
		return "the boolean " + n.Value
	case "!!timestamp":
		return "the date " + n.Value
	case "!!merge":
		return "a merge key"
	default:
		return fmt.Sprintf("the string %q", cut(n.Value))
	}
}

// cut keeps messages to a line.
func cut(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}

// list reads a list into p.
func list[T any](d *document, p *[]T, item func(*T) read) read {
	return func(n *yaml.Node, at string) {
		if !d.is(n, yaml.SequenceNode, at, "a list") {
			return
		}
		out := make([]T, len(n.Content))
		for i, child := range n.Content {
			field := fmt.Sprintf("%s[%d]", at, i)
			d.where[field] = child
			item(&out[i])(child, field)
		}
		if len(out) > 0 {
			*p = out
		}
	}
}

// text reads a string into p.
func text[T ~string](d *document, p *T) read {
	return parsed(d, p, func(s string) (T, error) { return T(s), nil })
}

// texts reads a list of strings into p.
func texts(d *document, p *[]string) read {
	return list(d, p, func(p *string) read { return text(d, p) })
}

// parsed reads a string that has a form of its own into p.
func parsed[T any](d *document, p *T, parse func(string) (T, error)) read {
	return func(n *yaml.Node, at string) {
		if !d.is(n, yaml.ScalarNode, at, "a string") {
			return
		}
		switch n.ShortTag() {
		case "!!str":
		case "!!null":
			d.fail(n, at, "want a string, this is empty")
			return
		default:
			d.failHint(n, at, fmt.Sprintf("put it in quotes: %q", n.Value), "want a string, this is %s", describe(n))
			return
		}
		v, err := parse(n.Value)
		if err != nil {
			d.fail(n, at, "%v", err)
			return
		}
		*p = v
	}
}

// boolean reads true or false into p.
func boolean(d *document, p *bool) read {
	return func(n *yaml.Node, at string) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.fail(n, at, "want true or false, this is %s", describe(n))
			return
		}
		*p = strings.EqualFold(n.Value, "true")
	}
}

// integer reads a whole number into p.
func integer(d *document, p *int) read {
	return func(n *yaml.Node, at string) {
		var v int
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&v) != nil {
			d.fail(n, at, "want a whole number, this is %s", describe(n))
			return
		}
		*p = v
	}
}
