package cfn_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/cfn"
)

const small = `
Parameters:
  Name: {Type: String, Default: '', AllowedPattern: '^[a-z]*$'}
  Size: {Type: Number, Default: 1, MinValue: 1, MaxValue: 3}
  List: {Type: CommaDelimitedList, Default: 'x,y'}
  Kind: {Type: String, Default: a, AllowedValues: [a, b]}
Conditions:
  Named: !Not [!Equals [!Ref Name, '']]
  Big: !And [!Condition Named, !Equals [!Ref Size, 3]]
  Third: !Not [!Equals [!Select [2, !Split [',', !Sub '${Name},,']], '']]
Resources:
  A:
    Type: Test::A
    DeletionPolicy: Retain
    Properties:
      Name: !If [Named, !Ref Name, !Ref AWS::NoValue]
      List: [!If [Named, one, !Ref AWS::NoValue], !Join ['-', !Ref List]]
      Arn: !Sub ['${AWS::Region}:${AWS::AccountId}:${X}:${!Y}', {X: !Ref Kind}]
  B:
    Type: Test::B
    Condition: Named
    Properties: {Of: !Ref A, Arn: !GetAtt A.Arn, Sub: !Sub '${A.Arn}/${A}'}
Outputs:
  B: {Condition: Named, Value: !Ref B}
  C: {Condition: Third, Value: third}
`

func TestStack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		parameters map[string]string
		want       *cfn.Stack
	}{
		{"defaults", nil, &cfn.Stack{
			Resources: map[string]cfn.Resource{"A": {Type: "Test::A", DeletionPolicy: "Retain", Properties: map[string]any{
				"List": []any{"x-y"}, "Arn": "eu-west-1:111122223333:a:${!Y}",
			}}},
			Outputs: map[string]string{},
		}},
		{"named", map[string]string{"Name": "n", "Kind": "b", "List": "z"}, &cfn.Stack{
			Resources: map[string]cfn.Resource{
				"A": {Type: "Test::A", DeletionPolicy: "Retain", Properties: map[string]any{
					"Name": "n", "List": []any{"one", "z"}, "Arn": "eu-west-1:111122223333:b:${!Y}",
				}},
				"B": {Type: "Test::B", Properties: map[string]any{"Of": "regent-A", "Arn": "regent-A.Arn", "Sub": "regent-A.Arn/regent-A"}},
			},
			Outputs: map[string]string{"B": "regent-B"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			template, err := cfn.Parse([]byte(small))
			if err != nil {
				t.Fatal(err)
			}
			got, err := template.Stack(tt.parameters)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestStackRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		old, new   string
		parameters map[string]string
		want       string
	}{
		{"a pattern", "", "", map[string]string{"Name": "N"}, "parameter Name"},
		{"a bound", "", "", map[string]string{"Size": "4"}, "parameter Size"},
		{"no number", "", "", map[string]string{"Size": "x"}, "parameter Size"},
		{"no such choice", "", "", map[string]string{"Kind": "c"}, "parameter Kind"},
		{"no such parameter", "", "", map[string]string{"Nam": ""}, "there is no parameter Nam"},
		{"no value", ", Default: a", "", nil, "parameter Kind has no value"},
		{"what is not there", "{Condition: Named, Value", "{Value", nil, "refers to B, which this stack does not have"},
		{"what never is there", "!Ref B}", "!Ref C}", map[string]string{"Name": "n"}, "there is no C"},
		{"no such condition", "[Named, !Ref Name", "[Nam, !Ref Name", nil, "there is no condition Nam"},
		{"no such function", "!Join", "!Jion", nil, "Fn::Jion"},
		{"no such element", "[2,", "[3,", nil, "no element 3 of 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			template, err := cfn.Parse([]byte(strings.Replace(small, tt.old, tt.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := template.Stack(tt.parameters)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no YAML": "Resources: [", "an alias": "Resources: {A: &a {}, B: *a}", "a key twice": "Resources: {A: {}, A: {}}",
	} {
		if _, err := cfn.Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
