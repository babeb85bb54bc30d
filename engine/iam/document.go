package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"regent/internal/jsontext"
)

// Document is an IAM policy document. The zero value grants nothing.
type Document struct {
	// Version is the policy language version: Version.
	Version string `json:"Version"`
	// ID is optional.
	ID string `json:"Id,omitempty"`
	// Statement lists the statements; their order has no meaning.
	Statement []Statement `json:"Statement"`
}

// Statement grants or refuses actions on resources. It has either Action or
// NotAction, and either Resource or NotResource.
type Statement struct {
	// Sid is an optional name.
	Sid    string `json:"Sid,omitempty"`
	Effect Effect `json:"Effect"`
	// Action lists patterns of actions, NotAction the actions that are left out.
	Action    Strings `json:"Action,omitempty"`
	NotAction Strings `json:"NotAction,omitempty"`
	// Resource lists patterns of resources, NotResource the resources that are left
	// out.
	Resource    Strings `json:"Resource,omitempty"`
	NotResource Strings `json:"NotResource,omitempty"`
	// Condition maps operators to condition keys to values.
	Condition map[string]map[string]Strings `json:"Condition,omitempty"`
}

// Effect is what a statement does. Whatever is not Allow refuses.
type Effect string

// The effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Strings is a list of strings. In JSON it is written as a list; a single string
// is read as a list of one.
type Strings []string

// UnmarshalJSON reads a string or a list of strings.
func (l *Strings) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		*l = make(Strings, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	var list []*string
	if err := json.Unmarshal(b, &list); err != nil || list == nil {
		return errors.New("policy: want a string or a list of strings")
	}
	*l = make(Strings, len(list))
	for i, s := range list {
		if s == nil {
			return errors.New("policy: null in a list of strings")
		}
		(*l)[i] = *s
	}
	return nil
}

// MarshalJSON writes a list, never null.
func (l Strings) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return marshal([]string(l))
}

// UnmarshalJSON reads "Allow" or "Deny", spelled like that.
func (e *Effect) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil || (s != string(Allow) && s != string(Deny)) {
		return errors.New(`policy: Effect is neither "Allow" nor "Deny"`)
	}
	*e = Effect(s)
	return nil
}

// UnmarshalJSON reads a document. It refuses what IAM refuses: an unknown version
// or effect, and statements that are not about exactly one of Action and NotAction
// and one of Resource and NotResource. Elements that it does not know are errors,
// because ignoring one could widen what a statement grants.
func (d *Document) UnmarshalJSON(b []byte) error {
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := decodeStrict(b, &raw); err != nil {
		return err
	}
	if raw.Version != Version {
		return fmt.Errorf("policy: Version is %q: want %q", raw.Version, Version)
	}
	list := raw.Statement
	// A single statement may stand without its list.
	if bytes.HasPrefix(list, []byte("{")) {
		list = append(append([]byte("["), list...), ']')
	}
	var statements []Statement
	if err := decodeStrict(list, &statements); err != nil {
		return err
	}
	for i, s := range statements {
		if !s.wellFormed() {
			return fmt.Errorf("policy: Statement[%d] needs Effect, one of Action and NotAction, and one of Resource and NotResource", i)
		}
	}
	*d = Document{Version: raw.Version, ID: raw.ID, Statement: statements}
	return nil
}

func decodeStrict(b []byte, v any) error {
	if len(b) == 0 {
		return errors.New("policy: no Statement")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

// wellFormed reports whether a statement says what it is about.
func (s Statement) wellFormed() bool {
	return (s.Effect == Allow || s.Effect == Deny) &&
		(len(s.Action) > 0) != (len(s.NotAction) > 0) &&
		(len(s.Resource) > 0) != (len(s.NotResource) > 0)
}

// MarshalJSON writes the document; Statement is a list, never null.
func (d Document) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil) }

// AppendJSON appends what MarshalJSON writes. Documents as they are made here are
// written without encoding/json, which would take most of the time of making one.
func (d Document) AppendJSON(b []byte) ([]byte, error) {
	if written, ok := d.written(b); ok {
		return written, nil
	}
	type plain Document
	if d.Statement == nil {
		d.Statement = []Statement{}
	}
	text, err := marshal(plain(d))
	return append(b, text...), err
}

// written appends the document by hand. It returns false for what documents made here
// do not have.
func (d Document) written(b []byte) ([]byte, bool) {
	if d.ID != "" {
		return nil, false
	}
	b = jsontext.Append(append(b, `{"Version":`...), d.Version)
	b = append(b, `,"Statement":[`...)
	for i, s := range d.Statement {
		if s.Sid != "" || len(s.NotAction) > 0 || len(s.Condition) > 0 {
			return nil, false
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.Append(append(b, `{"Effect":`...), string(s.Effect))
		b = appendList(b, `,"Action":[`, s.Action)
		b = appendList(b, `,"Resource":[`, s.Resource)
		b = append(appendList(b, `,"NotResource":[`, s.NotResource), '}')
	}
	return append(b, `]}`...), true
}

func appendList(b []byte, name string, list Strings) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, name...)
	for i, text := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.Append(b, text)
	}
	return append(b, ']')
}

// marshal leaves <, > and & as they are: paths may hold them, a reply has no HTML in
// it, and its bytes are counted.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
