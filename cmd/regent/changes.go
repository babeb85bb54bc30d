package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"regent/engine"
	"regent/tenants"
)

// changes are what a revision changes of another. Its JSON form is stable.
type changes struct {
	// From is empty where there is nothing to compare with.
	From tenants.Digest `json:"from,omitempty"`
	To   tenants.Digest `json:"to"`
	// Files and Data are sorted by path.
	Files []fileChange `json:"files"`
	Data  []dataChange `json:"data"`
	// Matrix has the routes whose rulings differ for sample callers; absent if there are
	// none to ask about.
	Matrix *matrix `json:"matrix,omitempty"`
	// Unknown says why who may do what could not be compared.
	Unknown string `json:"unknown,omitempty"`
}

func diffBundles(owner string, old, now tenants.Bundle, from tenants.Digest) *changes {
	var roots []string
	if owner == tenants.PlatformOwner {
		roots = []string{"platform", "lib"}
	}
	return &changes{From: from, To: now.Digest(), Files: diffFiles(old, now), Data: diffData(old, now, roots...)}
}

// comparison judges tenants' sample callers by the rules of before and after.
type comparison struct {
	// workspace is where the sample callers are from.
	workspace     string
	before, after *judge
	samples       samples
}

// rulings adds what changes for a tenant's sample callers, if there are any. t is in
// both rulebooks.
func (k comparison) rulings(ctx context.Context, id string, ch *changes) error {
	callers, err := k.samples(id)
	if err != nil || callers.File == "" || ch.Unknown != "" {
		return err
	}
	if ch.Matrix == nil {
		ch.Matrix = &matrix{Workspace: k.workspace, Against: "nothing", Tables: []matrixTable{}, Changes: map[string]int{}}
		if ch.From != "" {
			ch.Matrix.Against = "revision " + ch.From.Short()
		}
	}
	t, err := k.after.snapshot.Tenant(ctx, id)
	if err != nil {
		return err
	}
	for _, api := range k.after.snapshot.APIs() {
		if len(api.Routes) == 0 || api.Kind == tenants.WebSocket || !recognises(api, t) {
			continue
		}
		table, err := k.after.table(ctx, api, t, callers)
		if err != nil {
			return err
		}
		var trouble *engine.Trouble
		if err := k.before.compare(ctx, &table, callers); errors.As(err, &trouble) && ctx.Err() == nil {
			// What is in force may be broken; that must not keep its remedy out.
			ch.Matrix, ch.Unknown = nil, fmt.Sprintf("%s, API %s: %v", id, api.ID, trouble)
			return nil
		} else if err != nil {
			return err
		}
		table.Rows = slices.DeleteFunc(table.Rows, func(r matrixRow) bool { return !r.changed() })
		if len(table.Rows) > 0 {
			ch.Matrix.add(table)
		}
	}
	return nil
}

// diffLimit is how many lines of diffs are shown to somebody who did not ask for them.
const diffLimit = 120

// showSummary writes what a revision changes. more is the command that shows all of it.
func (c *cli) showSummary(ch *changes, more string) {
	c.out.line("")
	if ch.From == "" {
		c.out.line(c.out.paint(bold, "revision "+ch.To.Short()) + ", the first")
		c.out.table(fileRows(ch.Files))
	} else {
		c.out.line(c.out.paint(bold, "from revision "+ch.From.Short()+" to "+ch.To.Short()))
		c.out.table(slices.Concat(fileRows(ch.Files), dataRows(ch.Data)))
		c.out.line("")
		if left := c.showDiffs(ch.Files, diffLimit); left > 0 {
			c.say("%s more: %s", plural(left, "line"), more)
		}
	}
	c.showRulings(ch)
}

// showRulings writes what changes for sample callers.
func (c *cli) showRulings(ch *changes) {
	switch {
	case ch.Unknown != "":
		c.warn("who may do what cannot be compared: %s", ch.Unknown)
	case ch.Matrix != nil:
		c.out.line("")
		c.showMatrix(*ch.Matrix, matrixFlags{against: ch.Matrix.Against})
	}
}
