package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/tenants"
)

// bundleOf makes a bundle of paths and contents in turn.
func bundleOf(t *testing.T, pathsAndContents ...string) tenants.Bundle {
	t.Helper()
	var files []tenants.File
	for i := 0; i < len(pathsAndContents); i += 2 {
		files = append(files, tenants.File{Path: pathsAndContents[i], Content: []byte(pathsAndContents[i+1])})
	}
	b, err := tenants.NewBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDiffFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		old, now []string
		want     []fileChange
	}{
		{"nothing", []string{"a.rego", "x\n"}, []string{"a.rego", "x\n"}, []fileChange{}},
		{"a line", []string{"a.rego", "x\ny\n"}, []string{"a.rego", "x\nz\n"}, []fileChange{
			{"a.rego", changeEdited, 1, 1, "--- a/a.rego\n+++ b/a.rego\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n"},
		}},
		{"a file that comes", nil, []string{"b/a.rego", "x\ny\n"}, []fileChange{
			{"b/a.rego", changeAdded, 2, 0, "--- /dev/null\n+++ b/b/a.rego\n@@ -0,0 +1,2 @@\n+x\n+y\n"},
		}},
		{"a file that goes", []string{"a.rego", "x\ny"}, nil, []fileChange{
			{"a.rego", changeRemoved, 0, 2, "--- a/a.rego\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-x\n-y\n\\ No newline at end of file\n"},
		}},
		{"an empty file", nil, []string{"a.rego", ""}, []fileChange{
			{"a.rego", changeAdded, 0, 0, "--- /dev/null\n+++ b/a.rego\n"},
		}},
		{"a file that is filled", []string{"a.rego", ""}, []string{"a.rego", "x\n"}, []fileChange{
			{"a.rego", changeEdited, 1, 0, "--- a/a.rego\n+++ b/a.rego\n@@ -0,0 +1,1 @@\n+x\n"},
		}},
		{"lines that look like a diff", []string{"a.rego", "-- x\n@@ y\n"}, []string{"a.rego", "++ x\n@@ y\n"}, []fileChange{
			{"a.rego", changeEdited, 1, 1, "--- a/a.rego\n+++ b/a.rego\n@@ -1,2 +1,2 @@\n--- x\n+++ x\n @@ y\n"},
		}},
		{"several", []string{"a.rego", "x\n", "c.rego", "x\n"}, []string{"b.rego", "x\n", "c.rego", "y\n"}, []fileChange{
			{"a.rego", changeRemoved, 0, 1, "--- a/a.rego\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n"},
			{"b.rego", changeAdded, 1, 0, "--- /dev/null\n+++ b/b.rego\n@@ -0,0 +1,1 @@\n+x\n"},
			{"c.rego", changeEdited, 1, 1, "--- a/c.rego\n+++ b/c.rego\n@@ -1,1 +1,1 @@\n-x\n+y\n"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := diffFiles(bundleOf(t, tt.old...), bundleOf(t, tt.now...))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDiffsApply: what a diff says, done to the old text, makes the new one.
func TestDiffsApply(t *testing.T) {
	t.Parallel()
	const seed, rounds = 20261122, 500
	random := rand.New(rand.NewPCG(seed, 0))
	text := func() string {
		var b strings.Builder
		for range random.IntN(30) {
			fmt.Fprintf(&b, "line %d\n", random.IntN(12))
		}
		if random.IntN(4) == 0 {
			b.WriteString("no newline")
		}
		return b.String()
	}
	for i := range rounds {
		old, now := text(), text()
		changes := diffFiles(bundleOf(t, "f", old), bundleOf(t, "f", now))
		if old == now {
			continue
		}
		got, added, removed := patched(t, old, changes[0].Diff)
		if got != now || added != changes[0].Added || removed != changes[0].Removed {
			t.Fatalf("seed %d, round %d: %q with\n%s\nis %q (+%d -%d), want %q (+%d -%d)", seed, i, old, changes[0].Diff,
				got, added, removed, now, changes[0].Added, changes[0].Removed)
		}
	}
}

// patched applies a unified diff.
func patched(t *testing.T, old, diff string) (now string, added, removed int) {
	t.Helper()
	left := strings.SplitAfter(old, "\n")
	_, hunks, _ := strings.Cut(diff, "\n+++ ")
	_, hunks, _ = strings.Cut(hunks, "\n")
	at := 0
	var last byte
	var out []string
	for line := range strings.Lines(hunks) {
		switch line[0] {
		case '@':
			var from, n, to, m int
			if _, err := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &from, &n, &to, &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			for ; at < from-1; at++ {
				out = append(out, left[at])
			}
		case '\\': // about the line before; context and what is removed are taken from the old text
			if last == '+' {
				out[len(out)-1] = strings.TrimSuffix(out[len(out)-1], "\n")
			}
		case ' ':
			out = append(out, left[at])
			at++
		case '-':
			removed++
			at++
		case '+':
			added++
			out = append(out, line[1:])
		}
		last = line[0]
	}
	out = append(out, left[min(at, len(left)):]...)
	return strings.Join(out, ""), added, removed
}

func TestShowDiffs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &cli{out: newWriter(&out)}
	long := strings.Repeat("é", 2*lineLimit)
	files := diffFiles(bundleOf(t, "f", "a\n"), bundleOf(t, "f", long+"\nb\x1b[2J\nc\nd\n"))
	if left := c.showDiffs(files, 6); left != 2 {
		t.Errorf("%d lines left, want 2", left)
	}
	want := "--- a/f\n+++ b/f\n@@ -1,1 +1,4 @@\n-a\n+" + strings.Repeat("é", lineLimit-2) + "…\n+b\ufffd[2J\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Reset()
	if left := c.showDiffs(files, 0); left != 0 || !strings.Contains(out.String(), long+"\n") || !strings.HasSuffix(out.String(), "+d\n") {
		t.Errorf("not all of it: %d lines left\n%s", left, out.String())
	}
}

// TestDuring: on a terminal, and only there, it says what takes long, and wipes it away.
func TestDuring(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[bool]string{true: "\r\x1b[Kchecking acme …\r\x1b[K", false: ""} {
		var errs bytes.Buffer
		p := &proposal{owner: "acme", c: &cli{err: &writer{w: &errs, terminal: terminal}}}
		if err := p.during("checking", func() error { return nil }); err != nil || errs.String() != want {
			t.Errorf("terminal %t: %q, %v; want %q", terminal, errs.String(), err, want)
		}
	}
}

func TestDiffData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		old, now []string
		roots    []string
		want     []dataChange
	}{
		{"nothing, in another notation", []string{"data.yaml", "a: [1, {b: c}]"}, []string{"data.json", `{"a": [1, {"b": "c"}]}`}, nil, []dataChange{}},
		{"a value", []string{"data.yaml", "a: {b: 1}"}, []string{"data.yaml", "a: {b: 2}"}, nil, []dataChange{
			{"a.b", changeEdited, 1, 2},
		}},
		{"members", []string{"data.yaml", "a: {old: 1}"}, []string{"data.yaml", `a: {"/x y": true}`}, nil, []dataChange{
			{`a["/x y"]`, changeAdded, nil, true}, {"a.old", changeRemoved, 1, nil},
		}},
		{"another type", []string{"data.yaml", "a: [1]"}, []string{"data.yaml", "a: {b: 1}"}, nil, []dataChange{
			{"a", changeEdited, []any{1}, map[string]any{"b": 1}},
		}},
		{"an element at the front", []string{"data.yaml", "a: [x, y]"}, []string{"data.yaml", "a: [w, x, y]"}, nil, []dataChange{
			{"a[0]", changeAdded, nil, "w"},
		}},
		{"an element that is there twice", []string{"data.yaml", "a: [x, x]"}, []string{"data.yaml", "a: [x]"}, nil, []dataChange{
			{"a[1]", changeRemoved, "x", nil},
		}},
		{"another order", []string{"data.yaml", "a: [x, y]"}, []string{"data.yaml", "a: [y, x]"}, nil, []dataChange{
			{"a", changeMoved, []any{"x", "y"}, []any{"y", "x"}},
		}},
		{"by directories", []string{"data.yaml", "a: {c: 1}"}, []string{"data.yaml", "a: {c: 1}", "a/b/data.yml", "x: 1"}, nil, []dataChange{
			{"a.b", changeAdded, nil, map[string]any{"x": 1}},
		}},
		{"below the roots of the platform", nil, []string{"lib/data.yaml", "lib: {x: 1}", "platform/limits/data.json", `{"y": 2}`}, []string{"platform", "lib"}, []dataChange{
			{"lib", changeAdded, nil, map[string]any{"x": 1}}, {"limits", changeAdded, nil, map[string]any{"y": 2}},
		}},
		{"rules and what cannot be read", []string{"data.yaml", "a: ["}, []string{"a.rego", "package a"}, nil, []dataChange{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := diffData(bundleOf(t, tt.old...), bundleOf(t, tt.now...), tt.roots...)
			if diff := cmp.Diff(canonical(tt.want), canonical(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindRevision(t *testing.T) {
	t.Parallel()
	reg := newMemory()
	digest := func(hex string) tenants.Digest { return tenants.Digest("sha256:" + hex) }
	reg.owned["acme"] = []tenants.Revision{{Digest: digest("abcd11")}, {Digest: digest("abcd22")}, {Digest: digest("ffff33")}}
	a := tenants.Activation{From: digest("abcd11"), To: digest("ffff33")}
	tests := []struct {
		word string
		want tenants.Digest
		err  string
	}{
		{"active", digest("ffff33"), ""},
		{"previous", digest("abcd11"), ""},
		{"ffff", digest("ffff33"), ""},
		{"FFFF3", digest("ffff33"), ""},
		{"sha256:abcd2", digest("abcd22"), ""},
		{"abcd", "", `"abcd" is the beginning of 2 revisions of acme`},
		{"abc", "", `"abc" is too short: a revision is named by 4 digits or more`},
		{"", "", `"" is too short: a revision is named by 4 digits or more`},
		{"0000", "", `acme has no revision "0000"`},
	}
	for _, tt := range tests {
		got, err := findRevision(t.Context(), reg, "acme", a, tt.word)
		if got != tt.want || err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
			t.Errorf("%q is %q, %v; want %q, %q", tt.word, got, err, tt.want, tt.err)
		}
	}
	for _, word := range []string{wordActive, wordPrevious} {
		if got, err := findRevision(t.Context(), reg, "acme", tenants.Activation{}, word); err == nil {
			t.Errorf("%s is %q without an activation", word, got)
		}
	}
}

// TestRecorded: what people write of themselves has limits, and no lines of its own.
func TestRecorded(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"publish", "activate", "rollback"} {
		for flag, most := range map[string]int{"author": maxAuthor, "message": maxMessage} {
			reg := newMemory()
			for length, want := range map[int]string{most: "the store has no tenant", most + 1: "--" + flag + " is longer than"} {
				var out, errs bytes.Buffer
				c := &cli{stdin: strings.NewReader(""), out: newWriter(&out), err: newWriter(&errs), tables: func(string) (tenants.Registry, error) { return reg, nil }}
				root := c.root()
				args := []string{verb, "acme", "--store", "dynamodb:table", "--" + flag, strings.Repeat("a", length), "--from", smallWorkspace(t)}
				if verb == "activate" {
					args = append(args, "abcd")
				}
				root.SetArgs(args)
				if status := c.report(root.ExecuteContext(t.Context())); status != exitTrouble || !strings.Contains(errs.String(), want) {
					t.Errorf("%s --%s of %d: status %d, want %q:\n%s", verb, flag, length, status, want, errs.String())
				}
			}
		}
	}
	if got, want := oneLine("a\n* b\x1b[2J\tc "), "a * b\ufffd[2J c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
