package main

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"

	"regent/tenants"
)

// dataChange is a value that two bundles' data do not have alike. Its JSON form is
// stable.
type dataChange struct {
	// Path leads to the value below data: "roles.viewer[0]".
	Path string `json:"path"`
	// Change is added, removed, changed or moved. Elements of a list are only ever
	// added or removed; a list of the same elements in another order is moved.
	Change string `json:"change"`
	// Before and After are the values; absent where there is none.
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// diffData compares the data documents of two bundles. roots are directories that
// hold data of their own, as platform and lib do. Files that cannot be read count as
// empty: compiling tells of them.
func diffData(old, now tenants.Bundle, roots ...string) []dataChange {
	changes := []dataChange{}
	compareData("", dataOf(old, roots), dataOf(now, roots), &changes)
	return changes
}

// dataOf is a bundle's data document.
func dataOf(b tenants.Bundle, roots []string) map[string]any {
	all := map[string]any{}
	for _, f := range b.Files() {
		base := path.Base(f.Path)
		if base != "data.json" && base != "data.yaml" && base != "data.yml" {
			continue
		}
		var doc any
		if err := util.Unmarshal(f.Content, &doc); err != nil {
			continue
		}
		at := strings.Split(path.Dir(f.Path), "/")
		if at[0] == "." || slices.Contains(roots, at[0]) {
			at = at[1:]
		}
		for _, name := range slices.Backward(at) {
			doc = map[string]any{name: doc}
		}
		if top, ok := doc.(map[string]any); ok {
			mergeData(all, top)
		}
	}
	return all
}

func mergeData(dst, src map[string]any) {
	for k, v := range src {
		a, both := dst[k].(map[string]any)
		b, object := v.(map[string]any)
		if both && object {
			mergeData(a, b)
			continue
		}
		dst[k] = v
	}
}

func compareData(at string, was, is any, changes *[]dataChange) {
	a, aok := was.(map[string]any)
	b, bok := is.(map[string]any)
	if aok && bok {
		compareObjects(at, a, b, changes)
		return
	}
	x, xok := was.([]any)
	y, yok := is.([]any)
	switch {
	case xok && yok:
		compareLists(at, x, y, changes)
	case canonical(was) != canonical(is):
		*changes = append(*changes, dataChange{Path: at, Change: changeEdited, Before: was, After: is})
	}
}

func compareObjects(at string, was, is map[string]any, changes *[]dataChange) {
	names := slices.Concat(sortedKeys(was), sortedKeys(is))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		before, had := was[name]
		after, has := is[name]
		switch p := member(at, name); {
		case !had:
			*changes = append(*changes, dataChange{Path: p, Change: changeAdded, After: after})
		case !has:
			*changes = append(*changes, dataChange{Path: p, Change: changeRemoved, Before: before})
		default:
			compareData(p, before, after, changes)
		}
	}
}

// compareLists tells which elements a list gained and lost. Comparing them by position
// would call everything behind a new one changed.
func compareLists(at string, was, is []any, changes *[]dataChange) {
	before := len(*changes)
	for _, i := range without(was, is) {
		*changes = append(*changes, dataChange{Path: fmt.Sprintf("%s[%d]", at, i), Change: changeRemoved, Before: was[i]})
	}
	for _, i := range without(is, was) {
		*changes = append(*changes, dataChange{Path: fmt.Sprintf("%s[%d]", at, i), Change: changeAdded, After: is[i]})
	}
	if len(*changes) == before && canonical(was) != canonical(is) {
		*changes = append(*changes, dataChange{Path: at, Change: changeMoved, Before: was, After: is})
	}
}

// without are the indexes of a's elements that b does not have, or not as often.
func without(a, b []any) (indexes []int) {
	count := map[string]int{}
	for _, v := range b {
		count[canonical(v)]++
	}
	for i, v := range a {
		key := canonical(v)
		if count[key]--; count[key] < 0 {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// canonical is a JSON text that equal values share.
func canonical(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v", v) // it came from JSON or YAML, so this is not reached
	}
	return string(text)
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// member is the path of an object's member, as Rego writes it.
func member(at, name string) string {
	switch {
	case !plainName.MatchString(name):
		return fmt.Sprintf("%s[%q]", at, name)
	case at == "":
		return name
	default:
		return at + "." + name
	}
}

// dataRows are a line for each value.
func dataRows(changes []dataChange) (rows [][]cell) {
	const most = 20
	for i, d := range changes {
		if i == most {
			rows = append(rows, []cell{{text: fmt.Sprintf("  and %s more", plural(len(changes)-most, "value"))}})
			break
		}
		what, color := "", yellow
		switch d.Change {
		case changeAdded:
			what, color = brief(d.After), green
		case changeRemoved:
			what, color = brief(d.Before), red
		case changeEdited:
			what = brief(d.Before) + " → " + brief(d.After)
		case changeMoved:
			what = "the same elements in another order"
		}
		rows = append(rows, []cell{{"  " + d.Change, color}, {text: printable("data." + strings.TrimPrefix(d.Path, "."))}, {text: printable(what)}})
	}
	return rows
}

// brief is a value for people; --json has all of it.
func brief(v any) string {
	const most = 80
	return cut(canonical(v), most)
}
