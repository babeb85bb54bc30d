package regent_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/tenants/dynamo/dynamotest"
)

// The documentation is held to what the programs do. In a Markdown file,
//
//   - a block ```console is a session: each line that begins with "$ " is run, and the
//     lines below it must be what it prints, on either output;
//   - a comment <!-- file: PATH --> or <!-- append: PATH --> before a block makes or
//     extends that file with the block's text.
//
// All of a file happens in one empty directory and one shell, from top to bottom, with
// regent on the path; "go run ./cmd/regent" is another name for it. Where a command sets
// REGENT_STORE to a table, there is a server that speaks DynamoDB's protocol. Durations,
// times, ids, digests, tokens and counts may differ.

// documents are the Markdown files that are checked.
func documents(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "policies/README.md", "testdata/e2e/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	return files
}

func TestDocumentedSessions(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the command line")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "regent"), "./cmd/regent")
	// As the other builds are made, so that nothing is compiled for this test alone.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	walkthrough := false
	for _, file := range documents(t) {
		steps := sessionSteps(t, file)
		walkthrough = walkthrough || file == "README.md" && slices.ContainsFunc(steps, func(s step) bool {
			return s.command == "go run ./cmd/regent demo" && s.want != ""
		})
		if len(steps) == 0 {
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var env []string
			if slices.ContainsFunc(steps, func(s step) bool { return strings.Contains(s.command, "REGENT_STORE=dynamodb:") }) {
				env = dynamotest.Environment(dynamotest.Endpoint(t))
			}
			got := runSteps(t, bin, env, steps)
			for i, s := range steps {
				if diff := cmp.Diff(normal(s.want), normal(got[i])); s.command != "" && diff != "" {
					t.Errorf("%s:%d: $ %s (-documented +real):\n%s", file, s.line, s.command, diff)
				}
			}
		})
	}
	if !walkthrough {
		t.Error("README.md does not show what go run ./cmd/regent demo prints")
	}
}

// step is a command of a session, or a file to be written.
type step struct {
	line    int
	command string
	// want is what the command prints, or the file's text.
	want string
	// path is the file's; extend tells that its text is added.
	path   string
	extend bool
}

var directive = regexp.MustCompile(`^<!-- (file|append): (\S+) -->$`)

// sessionSteps reads the steps of a Markdown file.
func sessionSteps(t *testing.T, file string) []step {
	t.Helper()
	var steps []step
	var next *step
	inside, kind := false, ""
	for i, line := range lines(t, file) {
		switch fence, info := strings.CutPrefix(line, "```"); {
		case info && !inside:
			inside, kind = true, fence
			if next != nil {
				kind = "file"
				steps = append(steps, *next)
				next = nil
			}
		case info:
			inside, kind = false, ""
		case kind == "console" && strings.HasPrefix(line, "$ "):
			steps = append(steps, step{line: i + 1, command: line[2:]})
		case kind == "console" || kind == "file":
			if len(steps) == 0 {
				t.Fatalf("%s:%d: output of no command", file, i+1)
			}
			steps[len(steps)-1].want += line + "\n"
		case !inside:
			if m := directive.FindStringSubmatch(line); m != nil {
				next = &step{line: i + 1, path: m[2], extend: m[1] == "append"}
			}
		}
	}
	return steps
}

// runSteps returns what each step prints. env is for documents that use a table.
func runSteps(t *testing.T, bin string, env []string, steps []step) []string {
	t.Helper()
	const mark = "\x01"
	var script strings.Builder
	for _, s := range steps {
		script.WriteString("printf '" + mark + "'\n")
		if s.path == "" {
			script.WriteString(strings.ReplaceAll(s.command, "go run ./cmd/regent", "regent") + "\n")
			continue
		}
		to := ">"
		if s.extend {
			to = ">>"
		}
		script.WriteString("cat " + to + " '" + s.path + "' <<'END OF FILE'\n" + s.want + "END OF FILE\n")
	}
	shell := exec.Command("bash", "-c", script.String())
	shell.Dir = t.TempDir()
	shell.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "REGENT_") })
	shell.Env = append(append(shell.Env, "PATH="+bin+":"+os.Getenv("PATH")), env...)
	var out bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &out
	// What a command's status should be shows in what it prints.
	_ = shell.Run()
	got := strings.Split(out.String(), mark)[1:]
	if len(got) != len(steps) {
		t.Fatalf("%d of %d steps were run:\n%s", len(got), len(steps), out.String())
	}
	return got
}

var variable = []struct {
	form *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`), "TOKEN"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`sha256:[0-9a-f…]+`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGEST"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ns|µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`\b\d+ (passed|tests|files?|bundles|tenants|APIs)\b`), "N $1"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(`(?m)^ | $`), ""},
}

// normal puts names for what differs from one run to the next.
func normal(output string) []string {
	for _, v := range variable {
		output = v.form.ReplaceAllString(output, v.as)
	}
	return strings.Split(strings.TrimSpace(output), "\n")
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code    = regexp.MustCompile("`[^`]*`")
	heading = regexp.MustCompile(`^#+ (.*)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func TestLinksResolve(t *testing.T) {
	t.Parallel()
	links := 0
	for _, file := range documents(t) {
		inside := false
		for i, line := range lines(t, file) {
			if strings.HasPrefix(line, "```") {
				inside = !inside
			}
			if inside {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				links++
				path, anchor, _ := strings.Cut(m[1], "#")
				target := file
				if path != "" {
					target = filepath.Join(filepath.Dir(file), path)
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s:%d: %s leads nowhere", file, i+1, m[1])
				} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
					t.Errorf("%s:%d: %s has no heading #%s", file, i+1, target, anchor)
				}
			}
		}
	}
	if links == 0 {
		t.Error("no document has a link")
	}
}

// anchors are the names of a document's headings, as GitHub makes them.
func anchors(t *testing.T, file string) []string {
	t.Helper()
	var names []string
	for _, line := range lines(t, file) {
		if m := heading.FindStringSubmatch(line); m != nil {
			name := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
			names = append(names, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return names
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
