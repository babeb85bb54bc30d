package residue

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// way is one way to satisfy rules, as far as it is not the same for every cell: all
// of its tests and frames hold.
type way struct {
	tests  []test
	frames []frame
}

// test compares a cell's method or route with constants.
type test struct {
	route  bool
	values []string
	// negated tells that it must be none of them.
	negated bool
}

func (t test) holds(method, route string) bool {
	field := method
	if t.route {
		field = route
	}
	return slices.Contains(t.values, field) != t.negated
}

// frame is what remains of one body, with the values of its variables.
type frame struct {
	body ast.Body
	env  *env
}

// ways are the ways to satisfy a question, filed under the route that they want.
type ways struct {
	list    []way
	byRoute map[string][]int
	// anywhere are those that want no particular route.
	anywhere []int
}

func newWays(list []way, c *Clock) (ways, error) {
	w := ways{list: list, byRoute: map[string][]int{}}
	for i, way := range list {
		t := slices.IndexFunc(way.tests, func(t test) bool { return t.route && !t.negated })
		if t < 0 {
			w.anywhere = append(w.anywhere, i)
			continue
		}
		if err := c.afford(len(way.tests[t].values)); err != nil {
			return ways{}, err
		}
		for _, route := range way.tests[t].values {
			if at := w.byRoute[route]; len(at) == 0 || at[len(at)-1] != i {
				w.byRoute[route] = append(at, i)
			}
		}
	}
	return w, nil
}

// asWritten are queries of which nothing is known but what they say.
func asWritten(bodies []ast.Body) ways {
	list := make([]way, len(bodies))
	for i, b := range bodies {
		list[i].frames = []frame{{body: b}}
	}
	w := ways{list: list}
	for i := range list {
		w.anywhere = append(w.anywhere, i)
	}
	return w
}

// hold tells whether any way is open to the cell.
func (x *evaluation) hold(w *ways) (truth, error) {
	at := w.byRoute[x.cell.Route]
	return x.anyOf(len(at)+len(w.anywhere), func(i int) (truth, error) {
		if i < len(at) {
			return x.holds(&w.list[at[i]])
		}
		return x.holds(&w.list[w.anywhere[i-len(at)]])
	})
}

// holds tells whether a way is open to a cell.
func (x *evaluation) holds(w *way) (truth, error) {
	for _, t := range w.tests {
		if err := x.clock.Spend(len(t.values) / 8); err != nil {
			return no, err
		}
		if !t.holds(x.cell.Method, x.cell.Route) {
			return no, nil
		}
	}
	if len(w.frames) == 0 {
		return yes, nil
	}
	if x.input.entries == nil {
		x.input = x.inputOf()
	}
	return x.frames(w.frames, nil)
}

// frames tells whether all frames hold.
func (x *evaluation) frames(fs []frame, last *env) (truth, error) {
	if len(fs) == 0 {
		return done(last)
	}
	return x.body(fs[0].body, fs[0].env, func(e *env) (truth, error) {
		if last.isUnsure() && !e.isUnsure() {
			e = &env{next: e, unsure: true}
		}
		return x.frames(fs[1:], e)
	})
}
