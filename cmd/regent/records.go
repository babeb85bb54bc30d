package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"regent/tenants"
)

// The states that a record can end in.
const (
	recordNew       = "new"
	recordChanged   = "changed"
	recordUnchanged = "unchanged"
	recordDeleted   = "deleted"
)

// recordChange is what came of writing a tenant's or an API's record. Its JSON form is
// stable; further fields may come.
type recordChange struct {
	// Kind is tenant or API; of an import also policy (a tenant's rules), platform or
	// files.
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	// State is new, changed, unchanged or deleted.
	State string `json:"state"`
	// Version is the record's, after the change.
	Version int64 `json:"version,omitempty"`
	// Fields are those that differ.
	Fields []fieldChange `json:"fields,omitempty"`
	// Clashes are what a write at the same time brought about, which has to be undone.
	Clashes []string `json:"clashes,omitempty"`
}

// name is "tenant acme", or "platform" where there is only one.
func (r recordChange) name() string { return strings.TrimSpace(r.Kind + " " + r.ID) }

// fieldChange is one field that differs between two records. A field that one of them
// has not is nil there.
type fieldChange struct {
	Field  string `json:"field"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// compareRecords lists the fields in which two records differ, by their JSON form and in the
// order of their names. Lists are compared as wholes.
func compareRecords(before, after any) (found []fieldChange) {
	b, a := map[string]any{}, map[string]any{}
	flatten("", generic(before), b)
	flatten("", generic(after), a)
	for field, value := range a {
		if was, there := b[field]; !there || !equalJSON(was, value) {
			found = append(found, fieldChange{field, b[field], value})
		}
	}
	for field, was := range b {
		if _, there := a[field]; !there {
			found = append(found, fieldChange{Field: field, Before: was})
		}
	}
	slices.SortFunc(found, func(x, y fieldChange) int { return strings.Compare(x.Field, y.Field) })
	return found
}

// generic is a record as JSON has it; nil for nil.
func generic(record any) (v any) {
	text, err := json.Marshal(record)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		panic(err) // records are made of JSON values
	}
	return v
}

func flatten(at string, v any, into map[string]any) {
	object, ok := v.(map[string]any)
	if !ok {
		if v != nil {
			into[at] = v
		}
		return
	}
	for name, value := range object {
		field := name
		if at != "" {
			field = at + "." + name
		}
		flatten(field, value, into)
	}
}

func equalJSON(a, b any) bool { return jsonText(a) == jsonText(b) }

// jsonText is a value on one line; empty for what is not there.
func jsonText(v any) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(text)
}

// recordLine is a change in a line: "tenant acme: changed (version 4)".
func (c *cli) recordLine(r recordChange) {
	color := map[string]style{recordNew: green, recordChanged: yellow, recordDeleted: red}[r.State]
	line := r.name() + ": " + c.out.paint(color, r.State)
	if r.Version > 0 && r.State != recordUnchanged {
		line += fmt.Sprintf(" (version %d)", r.Version)
	}
	c.out.line(line)
}

// finish shows what came of a write: as JSON, or as a line.
func (c *cli) finish(r recordChange) error {
	for _, clash := range r.Clashes {
		c.warn("%s", clash)
	}
	if c.json {
		return c.out.json(r)
	}
	c.recordLine(r)
	return nil
}

// preview shows on standard error what a write will change.
func (c *cli) preview(r recordChange) {
	c.say("%s: %s", r.name(), r.State)
	c.err.table(fieldRows(r.Fields, "  "))
}

func fieldRows(fields []fieldChange, indent string) (rows [][]cell) {
	for _, f := range fields {
		mark, color, text := "~", yellow, jsonText(f.Before)+" → "+jsonText(f.After)
		switch {
		case f.Before == nil:
			mark, color, text = "+", green, jsonText(f.After)
		case f.After == nil:
			mark, color, text = "-", red, jsonText(f.Before)
		}
		const most = 160
		if runes := []rune(text); len(runes) > most {
			text = string(runes[:most]) + "…"
		}
		rows = append(rows, []cell{{indent + mark, color}, {text: printable(f.Field)}, {text: printable(text)}})
	}
	return rows
}

// outrun explains a conditional write that came second.
func outrun(err error) error {
	if !errors.Is(err, tenants.ErrConflict) {
		return err
	}
	return &failure{err: err, hints: []string{"nothing was changed; look at what is there now, and do it again if it is still right"}}
}

// absentHere is the error about a record that the store does not have.
func absentHere(kind, id string, known []string) error {
	return &failure{err: fmt.Errorf("there is no %s %q", kind, id), hints: []string{didYouMean(id, known)}}
}

// maxRecord bounds what is read as a record, in bytes; reading it bounds it further.
const maxRecord = 4 << 20

// readRecord reads a file, or standard input for "-". The name is for messages.
func (c *cli) readRecord(path string) (name string, content []byte, err error) {
	name, in := path, c.stdin
	if path == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return "", nil, &failure{err: fmt.Errorf("read record: %w", err), hints: []string{"name a file, or - for standard input"}}
		}
		defer f.Close()
		in = f
	}
	if content, err = io.ReadAll(io.LimitReader(in, maxRecord)); err != nil {
		return "", nil, fmt.Errorf("read record: %w", err)
	}
	return name, content, nil
}

// group is a verb that only has others below it.
func group(use, short, long string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		DisableFlagsInUseLine: true,
		Args:                  unknownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help() // its only error is of writing
			return exitStatus(exitTrouble)
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(below...)
	return cmd
}
