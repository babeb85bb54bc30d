package main

import (
	"context"
	"errors"
	"slices"

	"regent/tenants"
)

// The changes of a ruling from one workspace to another.
const (
	// changeGained: requests are allowed that were not, and none is lost.
	changeGained = "gained"
	// changeLost: requests are no longer allowed, and none is gained.
	changeLost = "lost"
	// changeOther: some of both, or nobody can say.
	changeOther = "changed"
)

// compare puts the rulings of the workspace that j judges beside a table's, and adds
// the routes that only that workspace has.
func (j *judge) compare(ctx context.Context, table *matrixTable, callers sampleCallers) error {
	gone := ruling{Verdict: verdictAbsent}
	api, err := j.snapshot.API(ctx, table.API)
	t, tenantErr := j.snapshot.Tenant(ctx, table.Tenant)
	there := err == nil && tenantErr == nil && recognises(api, t)
	if err = errors.Join(err, tenantErr); err != nil && !errors.Is(err, tenants.ErrNotFound) {
		return err
	}
	if !there {
		api.Routes = nil
	} else {
		table.addMissing(api, gone)
	}
	for col, s := range callers.Callers {
		all, other := map[tenants.Route]ruling{}, gone
		if there {
			if all, other, err = j.rule(ctx, api, t, s, callers.File); err != nil {
				return err
			}
		}
		for i := range table.Rows {
			row, was := &table.Rows[i], gone
			if there && hasRoute(api, tenants.Route{Method: row.Methods[0], Path: row.Path}) {
				was = lookUp(all, other, row)
			}
			cell := &row.Cells[col]
			if cell.Change = change(was, cell.ruling); cell.Change != "" {
				cell.Before = &was
			}
		}
	}
	return nil
}

// hasRoute reports whether an API has a route for a method and a template.
func hasRoute(api tenants.API, r tenants.Route) bool {
	return slices.ContainsFunc(routesOf(api), func(own tenants.Route) bool {
		return own.Path == r.Path && slices.Contains(methodsOf(own, api.Routes), r.Method)
	})
}

// addMissing adds the rows that only another version of the API has.
func (table *matrixTable) addMissing(api tenants.API, gone ruling) {
	for _, route := range routesOf(api) {
		for _, m := range methodsOf(route, api.Routes) {
			if slices.ContainsFunc(table.Rows, func(r matrixRow) bool { return r.Path == route.Path && r.Methods[0] == m }) {
				continue
			}
			row := matrixRow{Route: route.String(), Methods: []string{m}, Path: route.Path}
			for _, name := range table.Callers {
				row.Cells = append(row.Cells, matrixCell{Caller: name, ruling: gone})
			}
			table.Rows = append(table.Rows, row)
		}
	}
}

// change names the difference between two rulings; "" if there is none.
func change(was, is ruling) string {
	if equalRulings(was, is) {
		return ""
	}
	more, less := grants(is, was), grants(was, is)
	switch {
	case more && !less:
		return changeGained
	case less && !more:
		return changeLost
	case !more && !less && len(was.Depends)+len(is.Depends) == 0:
		return "" // neither allows anything
	default:
		return changeOther
	}
}

// grants reports whether a allows something that b is not known to.
func grants(a, b ruling) bool {
	switch {
	case a.Verdict != verdictYes && a.Verdict != verdictSome, b.Verdict == verdictYes:
		return false
	case a.Verdict == verdictYes || b.Verdict != verdictSome:
		return true
	}
	return slices.ContainsFunc(a.Allowed, func(one string) bool { return !slices.Contains(b.Allowed, one) })
}

func equalRulings(a, b ruling) bool {
	if a.Verdict != b.Verdict || !slices.Equal(a.Allowed, b.Allowed) || len(a.Depends) != len(b.Depends) {
		return false
	}
	for i := range a.Depends {
		// A rule that moved to another line is the same rule.
		if a.Depends[i].Reason != b.Depends[i].Reason {
			return false
		}
	}
	return true
}
