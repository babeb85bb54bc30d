package cfn

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Template is a template as it is written.
type Template struct {
	// Parameters are what a stack is made with, by name.
	Parameters map[string]Parameter
	// Outputs are the names of the outputs.
	Outputs []string

	conditions, resources, outputs map[string]any
}

// Parameter is a declared parameter.
type Parameter struct {
	Type           string   `yaml:"Type"`
	Default        *string  `yaml:"Default"`
	AllowedValues  []string `yaml:"AllowedValues"`
	AllowedPattern string   `yaml:"AllowedPattern"`
	MinValue       *float64 `yaml:"MinValue"`
	MaxValue       *float64 `yaml:"MaxValue"`
	Description    string   `yaml:"Description"`
}

// Parse reads a template in YAML.
func Parse(text []byte) (*Template, error) {
	var sections struct {
		Parameters yaml.Node `yaml:"Parameters"`
		Conditions yaml.Node `yaml:"Conditions"`
		Resources  yaml.Node `yaml:"Resources"`
		Outputs    yaml.Node `yaml:"Outputs"`
	}
	if err := yaml.Unmarshal(text, &sections); err != nil {
		return nil, err
	}
	t := &Template{Parameters: map[string]Parameter{}}
	if !sections.Parameters.IsZero() {
		if err := sections.Parameters.Decode(&t.Parameters); err != nil {
			return nil, fmt.Errorf("parameters: %w", err)
		}
	}
	for _, section := range []struct {
		name string
		node *yaml.Node
		into *map[string]any
	}{
		{"Conditions", &sections.Conditions, &t.conditions},
		{"Resources", &sections.Resources, &t.resources},
		{"Outputs", &sections.Outputs, &t.outputs},
	} {
		v, err := value(section.node)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", section.name, err)
		}
		*section.into, _ = v.(map[string]any)
	}
	for name := range t.outputs {
		t.Outputs = append(t.Outputs, name)
	}
	slices.Sort(t.Outputs)
	return t, nil
}

// value is what a node says, with short forms of functions such as !Ref in their long
// form. Scalars are strings: CloudFormation's are.
func value(n *yaml.Node) (any, error) {
	v, err := plain(n)
	name, short := strings.CutPrefix(n.Tag, "!")
	if err != nil || !short || strings.HasPrefix(name, "!") {
		return v, err
	}
	switch name {
	case "Ref", "Condition":
		return map[string]any{name: v}, nil
	case "GetAtt":
		resource, attribute, _ := strings.Cut(fmt.Sprint(v), ".")
		return map[string]any{"Fn::GetAtt": []any{resource, attribute}}, nil
	default:
		return map[string]any{"Fn::" + name: v}, nil
	}
}

func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case 0:
		return nil, nil
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			v, err := value(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := value(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			if _, twice := m[n.Content[i].Value]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", n.Content[i].Line, n.Content[i].Value)
			}
			m[n.Content[i].Value] = v
		}
		return m, nil
	default:
		return nil, fmt.Errorf("line %d: CloudFormation has no aliases", n.Line)
	}
}

// check reports why a parameter may not have this value.
func (p Parameter) check(value string) error {
	if len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, value) {
		return fmt.Errorf("%q is none of %v", value, p.AllowedValues)
	}
	if p.AllowedPattern != "" {
		re, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$")
		if err != nil {
			return err
		}
		if !re.MatchString(value) {
			return fmt.Errorf("%q does not match %s", value, p.AllowedPattern)
		}
	}
	if p.Type != "Number" {
		return nil
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("%q is no number", value)
	}
	if p.MinValue != nil && n < *p.MinValue || p.MaxValue != nil && n > *p.MaxValue {
		return fmt.Errorf("%s is out of bounds", value)
	}
	return nil
}
