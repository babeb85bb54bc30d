package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"regent/tenants"
)

// showMatrix writes a matrix for people.
func (c *cli) showMatrix(m matrix, f matrixFlags) {
	shown := 0
	for _, table := range m.Tables {
		if m.Against != "" {
			table.Rows = slices.DeleteFunc(table.Rows, func(r matrixRow) bool { return !r.changed() })
			if len(table.Rows) == 0 {
				continue
			}
		}
		if shown++; shown > 1 {
			c.out.line("")
		}
		c.showTable(table, f)
	}
	if m.Against != "" {
		c.showChanges(m, shown)
	}
	told := map[string]bool{}
	for _, table := range m.Tables {
		if !table.Sampled && !told[table.Tenant] {
			told[table.Tenant] = true
			c.warn("tenant %s has no sample callers: write some in tenants/%s/%s", table.Tenant, table.Tenant, callersFile)
		}
	}
}

func (r matrixRow) changed() bool {
	return slices.ContainsFunc(r.Cells, func(cell matrixCell) bool { return cell.Change != "" })
}

// notes numbers what cells say in a few words and explains below the table.
type notes struct{ texts []string }

func (n *notes) mark(text string) string {
	i := slices.Index(n.texts, text)
	if i < 0 {
		i = len(n.texts)
		n.texts = append(n.texts, text)
	}
	return fmt.Sprintf("[%d]", i+1)
}

func (c *cli) showTable(table matrixTable, f matrixFlags) {
	c.out.line(c.out.paint(bold, table.Tenant) + fmt.Sprintf(", API %s (%s)", table.API, table.Kind))
	header := []cell{{"  METHOD", dim}, {"ROUTE", dim}}
	for _, name := range table.Callers {
		header = append(header, cell{printable(name), dim})
	}
	rows := [][]cell{header}
	var n notes
	seen := map[string]bool{}
	for _, r := range merged(table.Rows) {
		line := []cell{{text: "  " + strings.Join(r.Methods, ",")}, {text: printable(pathName(r.Path))}}
		for _, one := range r.Cells {
			line = append(line, n.cell(one, f.verbose))
			seen[one.Verdict] = true
		}
		rows = append(rows, line)
	}
	c.out.table(rows)
	for i, text := range n.texts {
		c.out.line(c.out.paint(dim, fmt.Sprintf("  [%d] ", i+1)) + printable(text))
	}
	c.legend(seen, f)
}

func pathName(path string) string {
	if path == "" {
		return "any path"
	}
	return path
}

// legend explains the words of a table that do not explain themselves.
func (c *cli) legend(seen map[string]bool, f matrixFlags) {
	said := []string{"yes: allowed", "-: denied"}
	if f.against != "" {
		said = append(said, "+: allows more", "- before a word: allows less", "~: changed")
	}
	if seen[verdictSome] {
		said = append(said, "NAME=VALUE: allowed with these parameters")
		if !f.verbose {
			said = append(said, "some: -v says which")
		}
	}
	c.out.line(c.out.paint(dim, "  "+strings.Join(said, "; ")))
}

// merged puts the methods of an ANY route that are alike in one row.
func merged(rows []matrixRow) []matrixRow {
	var out []matrixRow
	for _, r := range rows {
		i := slices.IndexFunc(out, func(o matrixRow) bool { return o.Route == r.Route && equalCells(o.Cells, r.Cells) })
		if i < 0 {
			r.Methods = slices.Clone(r.Methods)
			out = append(out, r)
			continue
		}
		out[i].Methods = append(out[i].Methods, r.Methods...)
	}
	all, groups := map[string]int{}, map[string]int{}
	for _, r := range rows {
		all[r.Route]++
	}
	for _, r := range out {
		groups[r.Route]++
	}
	for i, r := range out {
		any := strings.HasPrefix(r.Route, tenants.AnyMethod+" ") || r.Route == tenants.DefaultRoute
		switch {
		case any && groups[r.Route] == 1:
			out[i].Methods = []string{tenants.AnyMethod}
		case any && 2*len(r.Methods) > all[r.Route]:
			out[i].Methods = []string{otherMethods}
		}
	}
	// The methods that stand out come before the others.
	slices.SortStableFunc(out, func(a, b matrixRow) int {
		if a.Route != b.Route || a.Methods[0] != otherMethods && b.Methods[0] != otherMethods {
			return 0
		}
		return cmp.Compare(slices.Index(a.Methods, otherMethods), slices.Index(b.Methods, otherMethods))
	})
	return out
}

// otherMethods are most of the methods of an ANY route.
const otherMethods = "others"

func equalCells(a, b []matrixCell) bool {
	return slices.EqualFunc(a, b, func(a, b matrixCell) bool {
		same := a.Change == b.Change && equalRulings(a.ruling, b.ruling) && a.Why == b.Why
		if a.Before != nil && b.Before != nil {
			same = same && equalRulings(*a.Before, *b.Before)
		}
		return same
	})
}

// cell is a ruling in a few words, and if it has changed, what it was.
func (n *notes) cell(m matrixCell, verbose bool) cell {
	if m.Change == "" {
		text, color := n.ruling(m.ruling, verbose)
		return cell{text, color}
	}
	was, _ := n.ruling(*m.Before, true)
	text, _ := n.ruling(m.ruling, true)
	if m.Before.Verdict == verdictNo {
		was = "no"
	}
	if m.Verdict == verdictNo {
		text = "no"
	}
	sign, color := "~ ", yellow
	switch m.Change {
	case changeGained:
		sign, color = "+ ", green
	case changeLost:
		sign, color = "- ", red
	}
	return cell{sign + was + " → " + text, color}
}

// widest is how long the parameters in a cell may be without -v.
const widest = 20

func (n *notes) ruling(r ruling, verbose bool) (string, style) {
	var marks string
	for _, l := range r.Depends {
		marks += n.mark("depends: " + limitText(l))
	}
	switch r.Verdict {
	case verdictYes:
		return "yes", green
	case verdictNo:
		return "-", dim
	case verdictSome:
		text := strings.Join(r.Allowed, " | ")
		if len(text) > widest && !verbose {
			text = "some"
		}
		return strings.TrimSpace(printable(text) + " " + marks), yellow
	case verdictAbsent:
		return "no route", dim
	case verdictDepends:
		return "depends " + marks, yellow
	default:
		if r.Status != 0 {
			return fmt.Sprintf("%d %s", r.Status, n.mark(r.Why)), dim
		}
		return "? " + n.mark(r.Why), dim
	}
}

// showChanges sums a comparison up.
func (c *cli) showChanges(m matrix, shown int) {
	if len(m.Gone) > 0 {
		if shown > 0 {
			c.out.line("")
		}
		c.out.line(c.out.paint(red, "no longer there: ") + strings.Join(m.Gone, ", "))
	}
	if shown == 0 {
		c.out.line(fmt.Sprintf("nothing changes from %s for the sample callers", m.Against))
		return
	}
	if len(m.Gone) == 0 {
		c.out.line("")
	}
	c.out.line(fmt.Sprintf("from %s: %s, %s, %d changed", m.Against,
		c.out.paint(green, fmt.Sprintf("%d gained", m.Changes[changeGained])),
		c.out.paint(red, fmt.Sprintf("%d lost", m.Changes[changeLost])), m.Changes[changeOther]))
}
