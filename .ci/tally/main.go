// Command tally reads `go test -json` on standard input, prints a line for each
// package and the whole output of what failed, and writes the number of cases that
// passed, failed and were skipped to the file named by -o.
//
// A case is a test, example, fuzz seed or benchmark without cases below it. It
// exits 1 if a case or a package failed, if nothing ran, or if one of the packages
// named as arguments ran no case: a suite that tests nothing is broken.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	out := flag.String("o", "", "write `passed failed skipped` to this file")
	flag.Parse()
	t, err := read(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	total := t.report(os.Stdout, flag.Args())
	if *out != "" {
		line := fmt.Sprintf("%d %d %d\n", total.passed, total.failed, total.skipped)
		if err := os.WriteFile(*out, []byte(line), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "tally:", err)
			os.Exit(2)
		}
	}
	if total.failed > 0 {
		os.Exit(1)
	}
}

// measured is the end of a benchmark's result line: how often it ran, and a number
// with its unit, which need not be a time.
var measured = regexp.MustCompile(`(^|\t) *[0-9]+\t *[0-9.eE+-]+ [^\s]+`)

// event is one line of `go test -json`, see `go doc test2json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

type tally struct {
	packages map[string]*pkg
	// build holds the compiler's output by import path.
	build map[string]string
}

type pkg struct {
	result  string
	elapsed float64
	cases   map[string]string
	// output holds what each case printed; "" is the package itself.
	output map[string]string
	failed string
}

type count struct{ passed, failed, skipped int }

func read(r io.Reader, rest io.Writer) (*tally, error) {
	t := &tally{packages: map[string]*pkg{}, build: map[string]string{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			// What is not an event comes from the go command: a fault worth seeing.
			fmt.Fprintln(rest, lines.Text())
			continue
		}
		t.add(e)
	}
	return t, lines.Err()
}

func (t *tally) add(e event) {
	if e.Action == "build-output" {
		t.build[e.ImportPath] += e.Output
	}
	if e.Package == "" {
		return
	}
	p := t.packages[e.Package]
	if p == nil {
		p = &pkg{cases: map[string]string{}, output: map[string]string{}}
		t.packages[e.Package] = p
	}
	switch e.Action {
	case "output":
		p.output[e.Test] += e.Output
		// A benchmark's events say "run" and never "pass": its result is a line.
		if strings.HasPrefix(e.Test, "Benchmark") && measured.MatchString(e.Output) {
			p.cases[e.Test] = "pass"
		}
	case "run":
		p.cases[e.Test] = "fail" // until it says otherwise: a crash says nothing
	case "pass", "fail", "skip":
		if e.Test != "" {
			p.cases[e.Test] = e.Action
			return
		}
		p.result, p.elapsed, p.failed = e.Action, e.Elapsed, e.FailedBuild
	}
}

// count counts the cases without cases below them, and those that failed by
// themselves.
func (p *pkg) count() (c count) {
	names := p.names()
	for _, name := range names {
		below := func(result string) bool {
			return slices.ContainsFunc(names, func(other string) bool {
				return strings.HasPrefix(other, name+"/") && (result == "" || p.cases[other] == result)
			})
		}
		switch result := p.cases[name]; {
		// A benchmark with benchmarks below it has no result of its own.
		case p.result == "pass" && strings.HasPrefix(name, "Benchmark") && below(""):
		case result == "fail" && !below("fail"):
			c.failed++
		case below(""):
		case result == "pass":
			c.passed++
		case result == "skip":
			c.skipped++
		}
	}
	return c
}

func (p *pkg) names() []string { return slices.Sorted(maps.Keys(p.cases)) }

// report prints every package and what failed, and returns the sum.
func (t *tally) report(w io.Writer, want []string) (total count) {
	paths := slices.Collect(maps.Keys(t.packages))
	for _, path := range want {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
			t.packages[path] = &pkg{}
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		p := t.packages[path]
		c := p.count()
		if c == (count{}) && p.result != "fail" && !slices.Contains(want, path) {
			continue
		}
		if c.failed == 0 && (p.result == "fail" || c.passed == 0) {
			c.failed++
		}
		fmt.Fprintf(w, "       %-34s %5d passed %3d failed %3d skipped %7.1fs\n", path, c.passed, c.failed, c.skipped, p.elapsed)
		if c.failed > 0 {
			t.explain(w, path, p)
		}
		total.passed, total.failed, total.skipped = total.passed+c.passed, total.failed+c.failed, total.skipped+c.skipped
	}
	if total == (count{}) {
		fmt.Fprintln(w, "       nothing ran")
		total.failed = 1
	}
	return total
}

func (t *tally) explain(w io.Writer, path string, p *pkg) {
	if len(p.cases) == 0 && p.result != "fail" {
		fmt.Fprintf(w, "%s ran no case\n", path)
		return
	}
	fmt.Fprint(w, t.build[p.failed], p.output[""])
	for _, name := range p.names() {
		if p.cases[name] == "fail" {
			fmt.Fprint(w, p.output[name])
		}
	}
}
