package ruletest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Style is how WritePretty writes. The zero value suits a file or a pipe.
type Style struct {
	// Color uses ANSI colours, for a terminal.
	Color bool
	// Verbose shows tests that pass or are skipped too, and the cases of tables.
	Verbose bool
}

// WritePretty writes the suites for people: what failed and where, one line of
// numbers for each suite, and the lines that no test reached.
func WritePretty(w io.Writer, suites []Suite, style Style) error {
	p := &printer{w: w, style: style}
	for i, s := range suites {
		if i > 0 {
			p.line("")
		}
		p.suite(s)
	}
	return p.err
}

type printer struct {
	w     io.Writer
	style Style
	err   error
}

func (p *printer) suite(s Suite) {
	p.line("%s", p.paint("1", printable(s.Name)))
	for _, t := range s.Report.Tests {
		if p.style.Verbose || t.Outcome == Fail || t.Outcome == Error {
			p.test(t)
		}
	}
	p.numbers(s.Report)
	if c := s.Report.Coverage; c != nil {
		for _, f := range c.Files {
			if len(f.Missed) > 0 {
				p.line("  %s %s: lines %s", p.paint("33", "not covered"), printable(f.File), join(f.Missed))
			}
		}
	}
}

func (p *printer) test(t Test) {
	p.line("  %s %s  %s:%d  %s", p.outcome(t.Outcome), printable(t.Name), printable(t.File), t.Line, p.paint("2", round(t.Duration)))
	if p.style.Verbose {
		for _, c := range t.Cases {
			p.line("        %s %s", p.outcome(c.Outcome), printable(c.Name))
		}
	}
	if t.Error != "" {
		p.indented(t.Error)
	}
	if t.Outcome == Fail {
		p.indented(failureText(t))
	}
	if t.Output != "" {
		p.indented("print: " + strings.TrimSuffix(t.Output, "\n"))
	}
}

func (p *printer) numbers(r Report) {
	if len(r.Tests) == 0 {
		p.line("  %s", p.paint("33", "no tests"))
		return
	}
	parts := []string{fmt.Sprintf("%d passed", r.Passed)}
	for _, n := range []struct {
		count int
		word  string
		color string
	}{{r.Failed, "failed", "31"}, {r.Errors, "in error", "31"}, {r.Skipped, "skipped", "33"}} {
		if n.count > 0 {
			parts = append(parts, p.paint(n.color, fmt.Sprintf("%d %s", n.count, n.word)))
		}
	}
	line := "  " + strings.Join(parts, ", ") + " in " + round(r.Duration)
	if r.Coverage != nil {
		line += fmt.Sprintf(", coverage %g %%", r.Coverage.Percent)
	}
	p.line("%s", line)
}

func (p *printer) outcome(o Outcome) string {
	color := map[Outcome]string{Pass: "32", Fail: "31", Error: "31", Skip: "33"}[o]
	return p.paint(color, fmt.Sprintf("%-5s", strings.ToUpper(string(o))))
}

func (p *printer) indented(text string) {
	for line := range strings.SplitSeq(printable(text), "\n") {
		p.line("        %s", line)
	}
}

func (p *printer) paint(code, text string) string {
	if !p.style.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// failureText says where a failed test stopped, case by case for a table.
func failureText(t Test) string {
	if t.Failure != nil {
		return t.Failure.String()
	}
	var parts []string
	for _, c := range failedCases(t) {
		text := "case " + c.Name
		if c.Failure != nil {
			text += "\n  " + strings.ReplaceAll(c.Failure.String(), "\n", "\n  ")
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n")
}

func failedCases(t Test) []Case {
	return slices.DeleteFunc(slices.Clone(t.Cases), func(c Case) bool { return c.Outcome != Fail })
}

// String returns the place and, below it, the expression with its values.
func (f Failure) String() string { return fmt.Sprintf("%s:%d:\n%s", f.File, f.Line, f.Text) }

func join(missed []Lines) string {
	var parts []string
	for _, l := range missed {
		parts = append(parts, l.String())
	}
	return strings.Join(parts, ", ")
}

func round(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

// printable replaces control characters: names, values and what print wrote are a
// tenant's text, which must not steer the terminal it is shown on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
