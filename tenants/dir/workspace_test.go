package dir_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"regent/tenants/dir"
)

// Each file in testdata is a workspace, and what loading it says: the errors under
// "want" (none if that is empty or missing) and the warnings under "warnings".
func TestWorkspaces(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			workspace, want, wantWarnings := parseCase(t, name)
			snapshot, err := dir.Load(workspace, "DIR")
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if (snapshot == nil) != (err != nil) {
				t.Errorf("snapshot %v with error %v", snapshot, err)
			}
			if snapshot == nil {
				return
			}
			var warnings strings.Builder
			for _, w := range snapshot.Warnings() {
				warnings.WriteString(w.String() + "\n")
			}
			if diff := cmp.Diff(wantWarnings, warnings.String()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// parseCase takes what is expected out of a case and leaves the workspace.
func parseCase(t *testing.T, name string) (workspace fs.FS, want, warnings string) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var files []txtar.File
	for _, f := range archive.Files {
		switch f.Name {
		case "want":
			want = string(f.Data)
		case "warnings":
			warnings = string(f.Data)
		default:
			files = append(files, f)
		}
	}
	workspace, err = txtar.FS(&txtar.Archive{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return workspace, want, warnings
}
