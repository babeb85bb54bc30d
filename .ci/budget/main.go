// Command budget runs the benchmarks that measure DESIGN.md §14 and prints a table in
// Markdown: each row's budget, what was measured, and whether it holds. Every number is
// a ratio or a difference within one run of one benchmark, or a size.
//
//	go run ./.ci/budget                     print the table
//	go run ./.ci/budget -w docs/performance.md   put it between the marks of that page
//
// A row whose benchmark did not run, or did not report its metric, is an error: a
// budget that nobody measures is not kept.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	count := flag.Int("count", 3, "how often each benchmark is run")
	benchtime := flag.String("benchtime", "1s", "how long each run takes")
	page := flag.String("w", "", "the `page` whose table is replaced")
	flag.Parse()
	if err := run(*count, *benchtime, *page, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "budget:", err)
		os.Exit(1)
	}
}

func run(count int, benchtime, page string, out, progress io.Writer) error {
	all := rows()
	found := map[string]results{}
	for _, pkg := range packages(all) {
		fmt.Fprintln(progress, "measuring", pkg)
		r, err := measure(pkg, patterns(all, pkg), count, benchtime, progress)
		if err != nil {
			return err
		}
		found[pkg] = r
	}
	table, err := report(all, found)
	if err != nil {
		return err
	}
	text := conditions(count, benchtime) + "\n\n" + table
	if page == "" {
		_, err = io.WriteString(out, text)
		return err
	}
	before, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	after, err := replaced(string(before), text)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(after), 0o644)
}

// measure runs a package's benchmarks.
func measure(pkg, pattern string, count int, benchtime string, progress io.Writer) (results, error) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", pattern, "-benchtime", benchtime, "-timeout", "60m",
		fmt.Sprintf("-count=%d", count), pkg)
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&text, progress), progress
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", pkg, err)
	}
	return parse(text.String()), nil
}

// packages are those that the rows name, each once, in order.
func packages(all []row) (found []string) {
	for _, r := range all {
		if !slices.Contains(found, r.pkg) {
			found = append(found, r.pkg)
		}
	}
	return found
}

// patterns is what `go test -bench` wants for the rows of a package.
func patterns(all []row, pkg string) string {
	var names []string
	for _, r := range all {
		name, _, _ := strings.Cut(r.bench, "/")
		if r.pkg == pkg && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// Marks around the table in a page.
const (
	begin = "<!-- budgets: written by make bench -->"
	end   = "<!-- end of budgets -->"
)

var errNoMarks = errors.New("the page has no marks for the table: " + begin + " and " + end)

// replaced puts text between the marks of a page.
func replaced(page, text string) (string, error) {
	head, rest, ok := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", errNoMarks
	}
	return head + begin + "\n" + strings.TrimRight(text, "\n") + "\n" + end + tail, nil
}
