package main

import (
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

var built = &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
	{Path: "example.com/b", Version: "v1.2.0", Sum: "h1:b="},
	{Path: "example.com/a", Version: "v0.1.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v0.1.1", Sum: "h1:f="}},
}}

func TestCompare(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, packages, want string }{
		{"the same, as often as there are packages", "example.com/fork v0.1.1\nexample.com/b v1.2.0\nexample.com/b v1.2.0\n\n", ""},
		{"one less", "example.com/b v1.2.0\n", "other modules"},
		{"one more", "example.com/fork v0.1.1\nexample.com/b v1.2.0\nexample.com/c v1.0.0\n", "other modules"},
		{"another version", "example.com/fork v0.1.1\nexample.com/b v1.2.1\n", "other modules"},
		{"nothing to compare with", "\n", "no module"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := compare(built, strings.NewReader(tt.packages))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(document("bootstrap", built))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"component":{"type":"application","name":"bootstrap"}},"components":[` +
		`{"type":"library","name":"std","version":"1.26.8","purl":"pkg:golang/std@1.26.8"},` +
		`{"type":"library","name":"example.com/b","version":"v1.2.0","purl":"pkg:golang/example.com/b@v1.2.0","properties":[{"name":"go:sum","value":"h1:b="}]},` +
		`{"type":"library","name":"example.com/fork","version":"v0.1.1","purl":"pkg:golang/example.com/fork@v0.1.1","properties":[{"name":"go:sum","value":"h1:f="}]}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestRun reads the binary of this test.
func TestRun(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(self, false, nil, &out); err != nil || !strings.Contains(out.String(), `"pkg:golang/std@`) {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := run("main_test.go", false, nil, &out); err == nil {
		t.Error("a file that is no binary has modules")
	}
}
