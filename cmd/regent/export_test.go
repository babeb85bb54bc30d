package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"regent/tenants"
)

// TestExportLeavesHiddenFilesOut holds that files which no import keeps do not come out
// of a table: whoever can write there must not have Git or a shell run anything here.
func TestExportLeavesHiddenFilesOut(t *testing.T) {
	t.Parallel()
	var files []tenants.File
	hidden := []string{".git/hooks/post-checkout", ".envrc", "docs/.vscode/tasks.json", "node_modules/x/index.js", "docs/node_modules/y.js"}
	plain := []string{"README.md", "docs/a.md"}
	for _, p := range slices.Concat(hidden, plain) {
		files = append(files, tenants.File{Path: p, Content: []byte("x")})
	}
	kept, err := tenants.NewBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	e := &exporting{holdings: &holdings{files: kept}, to: t.TempDir()}
	if err := e.writeKept(); err != nil {
		t.Fatal(err)
	}
	for _, p := range hidden {
		if _, err := os.Lstat(filepath.Join(e.to, filepath.FromSlash(p))); err == nil {
			t.Errorf("%s was written", p)
		}
		if !slices.ContainsFunc(e.notes, func(n string) bool { return strings.Contains(n, p+" is left out") }) {
			t.Errorf("nothing was said of %s: %q", p, e.notes)
		}
	}
	for _, p := range plain {
		if _, err := os.Lstat(filepath.Join(e.to, filepath.FromSlash(p))); err != nil {
			t.Error(err)
		}
	}
	if !mayKeep("docs/node_modules") {
		t.Error("a file named node_modules may not be kept")
	}
}
