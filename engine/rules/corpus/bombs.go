package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"regent/tenants"
)

// What a bomb comes to.
const (
	// Refused is a policy that rules.Compile refuses at once, by its limits or its
	// capabilities, or because it is wrong.
	Refused = "refused"
	// Contained is a policy that compiles and must not allow; evaluating it may take
	// the process with it, so it is evaluated in a child only.
	Contained = "contained"
	// Harmless is a policy that compiles and that is held in the process: it is decided,
	// or ends with an evaluation error, a guard's or OPA's own at the deadline.
	Harmless = "harmless"
)

// Bomb is a hostile policy, in package authz.
type Bomb struct {
	// Name is unique; its first letter is the class: b passes every static limit, c is
	// a control that must be cancelled, d shared structure, e strings that grow, g graphs, j
	// JSON functions, k compile time, n numbers, p parsing, q GraphQL, r patterns, s files and
	// network, x crypto, addresses and time, y YAML and JSON, z panics.
	Name string `json:"name"`
	// About is what it tries.
	About string `json:"about"`
	// Expect is Refused, Contained or Harmless.
	Expect string `json:"expect"`
	// By is a text in the problem that a Refused bomb is refused with, or in the
	// evaluation error that a Harmless one ends with; a Harmless one without is decided.
	By string `json:"by,omitempty"`
	// Allows tells that it is decided, and is a yes. Nothing else may be one.
	Allows bool `json:"allows,omitempty"`
	// Rego is the module's text.
	Rego []byte `json:"-"`
	// Generate describes the text of a module that is too long to be kept.
	Generate []Piece `json:"generate,omitempty"`
}

// Piece is a text, repeated. {i} in it stands for the number of the repetition, from
// 0, and {j} for the one after.
type Piece struct {
	Text string `json:"text"`
	// Times is how often; 0 means once, as it is.
	Times int `json:"times,omitempty"`
	// Join is put between repetitions.
	Join string `json:"join,omitempty"`
}

// Bombs reads the index of a directory of hostile policies, and the policies. A
// policy that the index does not name is an error.
func Bombs(dir string) ([]Bomb, error) {
	content, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, fmt.Errorf("bombs: %w", err)
	}
	var bombs []Bomb
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&bombs); err != nil {
		return nil, fmt.Errorf("bombs: index.json: %w", err)
	}
	stored, err := filepath.Glob(filepath.Join(dir, "*.rego"))
	if err != nil {
		return nil, fmt.Errorf("bombs: %w", err)
	}
	read := 0
	for i := range bombs {
		b := &bombs[i]
		if b.Rego, err = b.read(dir); err != nil {
			return nil, fmt.Errorf("bombs: %s: %w", b.Name, err)
		}
		if b.Generate == nil {
			read++
		}
	}
	if len(bombs) == 0 || read != len(stored) {
		return nil, fmt.Errorf("bombs: %d in the index, %d of them in files, but %d files", len(bombs), read, len(stored))
	}
	return bombs, nil
}

func (b Bomb) read(dir string) ([]byte, error) {
	switch {
	case b.Expect != Refused && b.Expect != Contained && b.Expect != Harmless:
		return nil, fmt.Errorf("expect is %q", b.Expect)
	case b.Expect == Refused && b.By == "" || b.Expect == Contained && b.By != "":
		return nil, errors.New("by belongs to refused, and to harmless where it ends with an error")
	case b.Allows && (b.Expect != Harmless || b.By != ""):
		return nil, errors.New("allows belongs to harmless that is decided")
	case b.Generate == nil:
		return os.ReadFile(filepath.Join(dir, b.Name+".rego"))
	}
	var text bytes.Buffer
	for _, p := range b.Generate {
		p.write(&text)
	}
	return text.Bytes(), nil
}

func (p Piece) write(b *bytes.Buffer) {
	if p.Times == 0 {
		b.WriteString(p.Text)
		return
	}
	for i := range p.Times {
		if i > 0 {
			b.WriteString(p.Join)
		}
		b.WriteString(strings.NewReplacer("{i}", strconv.Itoa(i), "{j}", strconv.Itoa(i+1)).Replace(p.Text))
	}
}

// Bundle returns the policy as a tenant's bundle, with the file policy.rego.
func (b Bomb) Bundle() (tenants.Bundle, error) {
	return tenants.NewBundle([]tenants.File{{Path: "policy.rego", Content: b.Rego}})
}
