package dir

import (
	"math"

	"go.yaml.in/yaml/v3"
)

// object reads a mapping of any JSON values into p.
func object(d *document, p *map[string]any) read {
	return func(n *yaml.Node, at string) {
		if !d.is(n, yaml.MappingNode, at, "a mapping") {
			return
		}
		if v, _ := d.value(n, at).(map[string]any); len(v) > 0 {
			*p = v
		}
	}
}

// value reads any JSON value: nil, bool, float64, string, []any or map[string]any.
func (d *document) value(n *yaml.Node, at string) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		d.pairs(n, at, func(key, value *yaml.Node) {
			out[key.Value] = d.value(value, join(at, key.Value))
		})
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, child := range n.Content {
			out[i] = d.value(child, at)
		}
		return out
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var v bool
		if n.Decode(&v) == nil {
			return v
		}
	case "!!int", "!!float":
		return d.number(n, at)
	case "!!str":
		return n.Value
	}
	d.failHint(n, at, "put it in quotes", "%s is not a JSON value", describe(n))
	return nil
}

// number reads a number as JSON has it, and refuses one that would come out as
// another number.
func (d *document) number(n *yaml.Node, at string) any {
	var v any
	if n.Decode(&v) != nil {
		d.fail(n, at, "%s is not a number", n.Value)
		return nil
	}
	const exact = 1 << 53
	switch v := v.(type) {
	case int:
		if v >= -exact && v <= exact {
			return float64(v)
		}
	case float64:
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v
		}
	}
	d.failHint(n, at, "put it in quotes", "the number %s is outside what JSON readers agree on", n.Value)
	return nil
}
