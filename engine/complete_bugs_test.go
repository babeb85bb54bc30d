package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"regent/engine"
	"regent/engine/iam"
)

// TestDeliberateBugs makes complete policies wrong on purpose, in the ways that
// authorizers are wrong, and shows that the worlds tell.
func TestDeliberateBugs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		bug  double
		// in is the file of a world that shows the bug; empty for random worlds.
		in string
		// want is a violation that the bug leads to.
		want string
	}{
		{
			name: "allow everything",
			bug: double{cover: func(arn iam.ARN, _ []engine.Cell, _ iam.Request) (iam.Coverage, error) {
				return oneStatement(arn.StagePattern()), nil
			}},
			want: "wild verb",
		},
		{
			name: "allow every path of each method",
			bug: double{cover: func(_ iam.ARN, _ []engine.Cell, at iam.Request) (iam.Coverage, error) {
				return oneStatement(worldARN + at.Method + "/*"), nil
			}},
			want: "unsound",
		},
		{
			name: "echo one ARN",
			bug: double{cover: func(arn iam.ARN, cells []engine.Cell, at iam.Request) (iam.Coverage, error) {
				own := engine.Cell{Method: at.Method, Allowed: slices.ContainsFunc(cells, func(c engine.Cell) bool {
					return c.Allowed && c.Has(at.Method, at.Segments)
				})}
				for _, s := range at.Segments {
					own.Segments = append(own.Segments, engine.Segment{Fixed: true, Literal: s})
				}
				return iam.Cover(arn, []engine.Cell{own}, at, documentSize)
			}},
			want: "not exact",
		},
		{
			name: "forget a sibling",
			bug: double{cells: func(cells []engine.Cell, _ engine.Input) []engine.Cell {
				for _, allowed := range cells {
					i := slices.IndexFunc(cells, func(c engine.Cell) bool { return allowed.Allowed && sibling(allowed, c) })
					if i >= 0 {
						return slices.Delete(cells, i, i+1)
					}
				}
				return cells
			}},
			want: "unsound",
		},
		{
			name: "take the query for known",
			bug: double{known: func(k *engine.Known) {
				k.Query = k.Input.Query
			}},
			want: "unsound",
		},
		{
			name: "take the method for fixed by every route key",
			bug: double{known: func(k *engine.Known) {
				k.Method = k.Method || k.RouteMethod != ""
			}},
			in:   "route-key-any.txtar",
			want: "unsound",
		},
		{
			name: "drop a deny that could not be translated",
			bug: double{cells: func(cells []engine.Cell, _ engine.Input) []engine.Cell {
				for i := range cells {
					if len(cells[i].Limits) > 0 {
						cells[i].Allowed = true
					}
				}
				return cells
			}},
			want: "unsound",
		},
		{
			name: "forget what could not be translated",
			bug: double{cells: func(cells []engine.Cell, _ engine.Input) []engine.Cell {
				return slices.DeleteFunc(cells, func(c engine.Cell) bool { return len(c.Limits) > 0 })
			}},
			want: "unsound",
		},
		{
			name: "no exceptions below a wildcard",
			bug: double{cover: func(arn iam.ARN, cells []engine.Cell, at iam.Request) (iam.Coverage, error) {
				c, err := iam.Cover(arn, cells, at, documentSize)
				c.Document.Statement = c.Document.Statement[:min(2, len(c.Document.Statement))]
				return c, err
			}},
			want: "unsound",
		},
		{
			name: "leave denials to silence",
			bug: double{cover: func(arn iam.ARN, cells []engine.Cell, at iam.Request) (iam.Coverage, error) {
				c, err := iam.Cover(arn, cells, at, documentSize)
				c.Document.Statement = slices.DeleteFunc(c.Document.Statement, func(s iam.Statement) bool { return len(s.NotResource) > 0 })
				return c, err
			}},
			want: "implicit",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const worlds = 1000
			for seed := range uint64(worlds) {
				w := newWorld(rand.New(rand.NewPCG(seed, 2)))
				if tt.in != "" {
					w = readWorld(t, "testdata/worlds/"+tt.in)
				}
				if v := w.check(t, rand.New(rand.NewPCG(seed, 3)), tt.bug); v != nil && v.kind == tt.want {
					t.Logf("caught in world %d: %s", seed, v)
					return
				}
			}
			t.Errorf("not caught in %d worlds; want %q", worlds, tt.want)
		})
	}
}

func oneStatement(resource string) iam.Coverage {
	return iam.Coverage{Document: iam.Document{Version: iam.Version, Statement: []iam.Statement{
		{Effect: iam.Allow, Action: iam.Strings{iam.Invoke}, Resource: iam.Strings{resource}},
	}}}
}

// sibling tells whether an allowed cell's pattern reaches a denied one of the same
// depth.
func sibling(allowed, c engine.Cell) bool {
	return !c.Allowed && c.Method == allowed.Method && len(c.Segments) == len(allowed.Segments) &&
		slices.ContainsFunc(allowed.Segments, func(s engine.Segment) bool { return !s.Fixed })
}
