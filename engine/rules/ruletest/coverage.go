package ruletest

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"

	"regent/tenants"
)

// coverage reports on the rules that the run is about.
func coverage(c *cover.Cover, src *sources) *Coverage {
	modules := map[string]*ast.Module{}
	for name, m := range src.modules {
		if src.own[name] && !tenants.IsTest(name) {
			modules[name] = m
		}
	}
	found := c.Report(modules)
	total := &Coverage{Files: []FileCoverage{}}
	for name := range modules {
		f := found.Files[name]
		total.Covered += f.CoveredLines
		total.Uncovered += f.NotCoveredLines
		total.Files = append(total.Files, FileCoverage{
			File:      name,
			Percent:   percent(f.CoveredLines, f.NotCoveredLines),
			Covered:   f.CoveredLines,
			Uncovered: f.NotCoveredLines,
			Missed:    lines(f.NotCovered),
		})
	}
	total.Percent = percent(total.Covered, total.Uncovered)
	slices.SortFunc(total.Files, func(a, b FileCoverage) int { return strings.Compare(a.File, b.File) })
	return total
}

// lines joins ranges, which OPA sorts by their start, that touch or overlap.
func lines(ranges []cover.Range) []Lines {
	var joined []Lines
	for _, r := range ranges {
		if n := len(joined); n > 0 && r.Start.Row <= joined[n-1].Last+1 {
			joined[n-1].Last = max(joined[n-1].Last, r.End.Row)
			continue
		}
		joined = append(joined, Lines{r.Start.Row, r.End.Row})
	}
	return joined
}
