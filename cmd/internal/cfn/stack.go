package cfn

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The pseudo parameters of every Stack.
const (
	StackName = "regent"
	Account   = "111122223333"
	Region    = "eu-west-1"
)

// Stack is what a template makes of its parameters.
type Stack struct {
	// Resources are those whose condition holds, by logical id.
	Resources map[string]Resource
	// Outputs are the values of those whose condition holds.
	Outputs map[string]string
}

// Resource is a resource with everything in it evaluated. A reference to the resource X
// is "regent-X", its attribute A "regent-X.A".
type Resource struct {
	Type                                string
	Properties                          map[string]any
	DeletionPolicy, UpdateReplacePolicy string
}

// Of returns the resources of a type, sorted by logical id.
func (s *Stack) Of(kind string) []Resource {
	var all []Resource
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		if s.Resources[id].Type == kind {
			all = append(all, s.Resources[id])
		}
	}
	return all
}

// Stack evaluates the template. Parameters that are not given have their default. A
// value that its parameter refuses, a parameter that is not declared, a reference to
// what the stack would not have and a function that is not known are errors.
func (t *Template) Stack(parameters map[string]string) (*Stack, error) {
	e := evaluation{t: t, parameters: map[string]string{}}
	for name, p := range t.Parameters {
		v, given := parameters[name]
		if !given {
			if p.Default == nil {
				return nil, fmt.Errorf("parameter %s has no value", name)
			}
			v = *p.Default
		}
		if err := p.check(v); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		e.parameters[name] = v
	}
	for name := range parameters {
		if _, ok := t.Parameters[name]; !ok {
			return nil, fmt.Errorf("there is no parameter %s", name)
		}
	}
	return e.stack()
}

// evaluation is one stack in the making.
type evaluation struct {
	t          *Template
	parameters map[string]string
}

func (e evaluation) stack() (*Stack, error) {
	s := &Stack{Resources: map[string]Resource{}, Outputs: map[string]string{}}
	var problems []error
	for id, v := range e.t.resources {
		if there, err := e.there(v); err != nil || !there {
			problems = append(problems, wrap(id, err))
			continue
		}
		v, err := e.eval(v)
		problems = append(problems, wrap(id, err))
		m, _ := v.(map[string]any)
		r := Resource{}
		r.Type, _ = m["Type"].(string)
		r.Properties, _ = m["Properties"].(map[string]any)
		r.DeletionPolicy, _ = m["DeletionPolicy"].(string)
		r.UpdateReplacePolicy, _ = m["UpdateReplacePolicy"].(string)
		s.Resources[id] = r
	}
	for name, v := range e.t.outputs {
		if there, err := e.there(v); err != nil || !there {
			problems = append(problems, wrap(name, err))
			continue
		}
		v, err := e.eval(v)
		problems = append(problems, wrap(name, err))
		if m, ok := v.(map[string]any); ok {
			s.Outputs[name] = fmt.Sprint(m["Value"])
		}
	}
	return s, errors.Join(problems...)
}

func wrap(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", id, err)
}

// there tells whether the Condition of a resource or output holds.
func (e evaluation) there(v any) (bool, error) {
	m, _ := v.(map[string]any)
	name, ok := m["Condition"].(string)
	if !ok {
		return true, nil
	}
	return e.condition(name)
}

func (e evaluation) condition(name string) (bool, error) {
	c, ok := e.t.conditions[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	v, err := e.eval(c)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("condition %s is neither true nor false", name)
	}
	return holds, nil
}

// noValue is AWS::NoValue: what has it is left out.
type noValue struct{}

func (e evaluation) eval(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := []any{}
		for _, element := range v {
			x, err := e.eval(element)
			if err != nil {
				return nil, err
			}
			if x != (noValue{}) {
				list = append(list, x)
			}
		}
		return list, nil
	case map[string]any:
		for name, argument := range v {
			if len(v) == 1 && (strings.HasPrefix(name, "Fn::") || name == "Ref" || name == "Condition") {
				return e.call(name, argument)
			}
		}
		m := map[string]any{}
		for name, element := range v {
			x, err := e.eval(element)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if x != (noValue{}) {
				m[name] = x
			}
		}
		return m, nil
	default:
		return v, nil
	}
}

// call evaluates a function. Fn::If evaluates only the side that it takes, Fn::Sub its
// text itself.
func (e evaluation) call(name string, argument any) (any, error) {
	list, _ := argument.([]any)
	switch name {
	case "Ref":
		return e.ref(fmt.Sprint(argument))
	case "Condition":
		return e.condition(fmt.Sprint(argument))
	case "Fn::GetAtt":
		if len(list) != 2 {
			return nil, errors.New("Fn::GetAtt wants a resource and an attribute")
		}
		ref, err := e.resource(fmt.Sprint(list[0]))
		return ref + "." + fmt.Sprint(list[1]), err
	case "Fn::If":
		if len(list) != 3 {
			return nil, errors.New("Fn::If wants three arguments")
		}
		holds, err := e.condition(fmt.Sprint(list[0]))
		if err != nil {
			return nil, err
		}
		if holds {
			return e.eval(list[1])
		}
		return e.eval(list[2])
	case "Fn::Sub":
		return e.sub(argument)
	}
	evaluated, err := e.eval(argument)
	if err != nil {
		return nil, err
	}
	list, _ = evaluated.([]any)
	return function(name, list)
}

// function are those whose arguments are evaluated first.
func function(name string, list []any) (any, error) {
	switch {
	case name == "Fn::Equals" && len(list) == 2:
		return fmt.Sprint(list[0]) == fmt.Sprint(list[1]), nil
	case name == "Fn::Not" && len(list) == 1:
		return list[0] == false, nil
	case name == "Fn::And":
		return !slices.Contains(list, any(false)), nil
	case name == "Fn::Join" && len(list) == 2:
		elements, _ := list[1].([]any)
		var all []string
		for _, x := range elements {
			all = append(all, fmt.Sprint(x))
		}
		return strings.Join(all, fmt.Sprint(list[0])), nil
	case name == "Fn::Split" && len(list) == 2:
		return split(fmt.Sprint(list[1]), fmt.Sprint(list[0])), nil
	case name == "Fn::Select" && len(list) == 2:
		i, err := strconv.Atoi(fmt.Sprint(list[0]))
		elements, _ := list[1].([]any)
		if err != nil || i < 0 || i >= len(elements) {
			return nil, fmt.Errorf("Fn::Select: no element %v of %d", list[0], len(elements))
		}
		return elements[i], nil
	default:
		return nil, fmt.Errorf("%s of %d arguments is not known", name, len(list))
	}
}

func split(s, separator string) []any {
	var all []any
	for _, x := range strings.Split(s, separator) {
		all = append(all, x)
	}
	return all
}

func (e evaluation) ref(name string) (any, error) {
	switch name {
	case "AWS::NoValue":
		return noValue{}, nil
	case "AWS::AccountId":
		return Account, nil
	case "AWS::Region":
		return Region, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return StackName, nil
	}
	p, ok := e.t.Parameters[name]
	switch {
	case !ok:
		return e.resource(name)
	case p.Type == "CommaDelimitedList":
		return split(e.parameters[name], ","), nil
	default:
		return e.parameters[name], nil
	}
}

// resource is a name for a resource that the stack has.
func (e evaluation) resource(id string) (string, error) {
	r, ok := e.t.resources[id]
	if !ok {
		return "", fmt.Errorf("there is no %s", id)
	}
	there, err := e.there(r)
	if err != nil {
		return "", err
	}
	if !there {
		return "", fmt.Errorf("refers to %s, which this stack does not have", id)
	}
	return StackName + "-" + id, nil
}

var placeholder = regexp.MustCompile(`\$\{([^!][^}]*)\}`)

func (e evaluation) sub(argument any) (any, error) {
	text, own := argument, map[string]any{}
	if list, ok := argument.([]any); ok && len(list) == 2 {
		text = list[0]
		own, _ = list[1].(map[string]any)
	}
	var problem error
	out := placeholder.ReplaceAllStringFunc(fmt.Sprint(text), func(match string) string {
		name := match[2 : len(match)-1]
		var v any
		var err error
		if mine, ok := own[name]; ok {
			v, err = e.eval(mine)
		} else if resource, attribute, dotted := strings.Cut(name, "."); dotted {
			v, err = e.resource(resource)
			v = fmt.Sprint(v, ".", attribute)
		} else {
			v, err = e.ref(name)
		}
		problem = errors.Join(problem, err)
		return fmt.Sprint(v)
	})
	return out, problem
}
