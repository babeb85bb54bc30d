package ruletest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Suite is one bundle's report under the name that people know the bundle by: the
// tenant's id, or platform.
type Suite struct {
	Name   string `json:"name"`
	Report Report `json:"report"`
}

// WriteJUnit writes the suites as JUnit XML, as continuous integration systems read
// it. Each test is a testcase; a table's failed cases are in its failure's text.
func WriteJUnit(w io.Writer, suites []Suite) error {
	var root junitSuites
	for _, s := range suites {
		suite := junitSuite{
			Name: s.Name, Tests: len(s.Report.Tests), Failures: s.Report.Failed,
			Errors: s.Report.Errors, Skipped: s.Report.Skipped, Time: seconds(s.Report.Duration),
		}
		for _, t := range s.Report.Tests {
			suite.Cases = append(suite.Cases, junitTest(t))
		}
		root.Tests += suite.Tests
		root.Failures += suite.Failures
		root.Errors += suite.Errors
		root.Skipped += suite.Skipped
		root.Suites = append(root.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(root); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitTest(t Test) junitCase {
	c := junitCase{
		Class: t.Package, Name: t.Name, File: t.File, Line: t.Line,
		Time: seconds(t.Duration), Output: printable(t.Output),
	}
	switch t.Outcome {
	case Pass:
	case Skip:
		c.Skipped = &struct{}{}
	case Fail:
		c.Failure = &junitFailure{Message: "not true", Text: printable(failureText(t))}
		if bad := failedCases(t); len(bad) > 0 {
			c.Failure.Message = fmt.Sprintf("%d of %d cases not true", len(bad), len(t.Cases))
		}
	default:
		c.Error = &junitFailure{Message: t.Error}
	}
	return c
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Skipped *struct{}     `xml:"skipped"`
	Failure *junitFailure `xml:"failure"`
	Error   *junitFailure `xml:"error"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}
