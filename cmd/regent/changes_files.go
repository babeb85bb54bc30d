package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"regent/tenants"
)

// The kinds of change of a file or of a value in the data.
const (
	changeAdded   = "added"
	changeRemoved = "removed"
	changeEdited  = "changed"
	changeMoved   = "moved" // a list has the same elements in another order
)

// fileChange is a file that two bundles do not have alike. Its JSON form is stable.
type fileChange struct {
	// Path is relative to the bundle's root.
	Path string `json:"path"`
	// Change is added, removed or changed.
	Change string `json:"change"`
	// Added and Removed count lines.
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// Diff is in the unified format, with three lines around each change.
	Diff string `json:"diff"`
}

// diffFiles compares two bundles file by file, in the order of paths.
func diffFiles(old, now tenants.Bundle) []fileChange {
	was, is := contents(old), contents(now)
	changes := []fileChange{}
	for _, path := range paths(old, now) {
		before, had := was[path]
		after, has := is[path]
		f := fileChange{Path: path, Change: changeEdited}
		from, to := "a/"+path, "b/"+path
		switch {
		case !had:
			f.Change, from = changeAdded, "/dev/null"
		case !has:
			f.Change, to = changeRemoved, "/dev/null"
		case bytes.Equal(before, after):
			continue
		}
		f.Diff = unified(from, before, to, after)
		f.Added, f.Removed = countLines(f.Diff)
		changes = append(changes, f)
	}
	return changes
}

// contents are a bundle's files by path.
func contents(b tenants.Bundle) map[string][]byte {
	all := make(map[string][]byte, len(b.Files()))
	for _, f := range b.Files() {
		all[f.Path] = f.Content
	}
	return all
}

// paths are the files of two bundles, sorted, each once.
func paths(a, b tenants.Bundle) []string {
	var all []string
	for _, f := range slices.Concat(a.Files(), b.Files()) {
		all = append(all, f.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// unified is a diff as git and patch know it.
func unified(from string, before []byte, to string, after []byte) string {
	switch {
	case len(before) == 0:
		return whole(from, to, "+", after)
	case len(after) == 0:
		return whole(from, to, "-", before)
	}
	text := string(diff.Diff(from, before, to, after))
	_, text, _ = strings.Cut(text, "\n") // its first line repeats the names
	return text
}

// whole is the diff of a file that comes or goes, sign being + or -.
func whole(from, to, sign string, content []byte) string {
	text := fmt.Sprintf("--- %s\n+++ %s\n", from, to)
	lines := strings.SplitAfter(string(content), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return text
	}
	at := fmt.Sprintf("@@ -0,0 +1,%d @@\n", len(lines))
	if sign == "-" {
		at = fmt.Sprintf("@@ -1,%d +0,0 @@\n", len(lines))
	}
	text += at + sign + strings.Join(lines, sign)
	if last != "" {
		text += "\n\\ No newline at end of file\n"
	}
	return text
}

// countLines counts the lines that a diff adds and removes.
func countLines(text string) (added, removed int) {
	at := strings.Index(text, "\n@@ ")
	if at < 0 {
		return 0, 0
	}
	for line := range strings.Lines(text[at+1:]) {
		switch line[0] {
		case '+':
			added++
		case '-':
			removed++
		}
	}
	return added, removed
}

// fileRows are a line for each file.
func fileRows(files []fileChange) (rows [][]cell) {
	for _, f := range files {
		color := map[string]style{changeAdded: green, changeRemoved: red, changeEdited: yellow}[f.Change]
		rows = append(rows, []cell{{"  " + f.Change, color}, {text: printable(f.Path)}, {text: fmt.Sprintf("+%d -%d", f.Added, f.Removed)}})
	}
	return rows
}

// showDiffs writes the files' diffs, at most limit lines of them, 0 for all. It
// returns how many lines were left out.
func (c *cli) showDiffs(files []fileChange, limit int) (left int) {
	shown := 0
	for _, f := range files {
		for line := range strings.Lines(f.Diff) {
			if shown++; limit > 0 && shown > limit {
				left++
				continue
			}
			line = strings.TrimSuffix(line, "\n")
			if limit > 0 {
				line = cut(line, lineLimit)
			}
			c.out.line(c.out.paint(diffStyle(line), printable(line)))
		}
	}
	return left
}

// lineLimit is how much of a line of a diff is shown to somebody who did not ask for it.
const lineLimit = 300

// cut is a text's first runes.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func diffStyle(line string) style {
	switch {
	case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		return bold
	case strings.HasPrefix(line, "@@"):
		return cyan
	case strings.HasPrefix(line, "+"):
		return green
	case strings.HasPrefix(line, "-"):
		return red
	default:
		return plain
	}
}
