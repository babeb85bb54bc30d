package cfn_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/cfn"
	"regent/engine"
	"regent/engine/rules/sandbox"
)

var equality = regexp.MustCompile(`^\{ \$\.([a-z_.]+) = "([a-z_]+)" \}$`)

// filters: each metric filter finds lines that the function writes.
func filters(_ map[string]string, s *cfn.Stack) (wrong []string) {
	for _, f := range s.Of("AWS::Logs::MetricFilter") {
		pattern := fmt.Sprint(f.Properties["FilterPattern"])
		match := equality.FindStringSubmatch(pattern)
		if match == nil || f.Properties["LogGroupName"] != "regent-Log" {
			wrong = append(wrong, "not understood: "+pattern)
			continue
		}
		if !slices.ContainsFunc(lines(), func(line map[string]any) bool { return at(line, match[1]) == match[2] }) {
			wrong = append(wrong, "finds nothing that the function writes: "+pattern)
		}
	}
	return wrong
}

// lines are decision-log lines of each kind that a filter may count.
func lines() []map[string]any {
	var all []map[string]any
	for _, result := range []engine.RecordResult{
		{Outcome: "allow", Code: "policy"}, {Outcome: "unauthorized", Code: "token_expired"}, {Outcome: "trouble", Code: sandbox.CodeParked},
	} {
		text, err := json.Marshal(engine.Record{Result: result})
		if err != nil {
			panic(err)
		}
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil {
			panic(err)
		}
		all = append(all, line)
	}
	return all
}

func at(line map[string]any, path string) any {
	var v any = line
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// written are the metrics that exist, by namespace: Lambda's own, those of the metric
// filters, and those that the function writes.
type written map[string][]string

var counted = regexp.MustCompile(`(?:\.count\(|\{)"([A-Z][A-Za-z]+)", `)

func writtenMetrics(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "cmd/authorizer/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range counted.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	if len(names) == 0 {
		t.Fatal("cmd/authorizer counts nothing: have its metrics another form now?")
	}
	return names
}

func exists(s *cfn.Stack, own []string) written {
	all := written{"AWS/Lambda": {"Errors", "Throttles", "Duration"}, "Regent": own}
	for _, f := range s.Of("AWS::Logs::MetricFilter") {
		transformations, _ := f.Properties["MetricTransformations"].([]any)
		for _, tr := range transformations {
			m, _ := tr.(map[string]any)
			namespace := fmt.Sprint(m["MetricNamespace"])
			all[namespace] = append(all[namespace], fmt.Sprint(m["MetricName"]))
		}
	}
	return all
}

// alarms: each watches metrics that exist, of this function, and tells the topic.
func alarms(parameters map[string]string, s *cfn.Stack, own []string) (wrong []string) {
	metrics := exists(s, own)
	watched := map[string]bool{}
	for id, r := range s.Resources {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		for _, m := range alarmMetrics(r.Properties) {
			namespace, name := fmt.Sprint(m["Namespace"]), fmt.Sprint(m["MetricName"])
			watched[name] = true
			if !slices.Contains(metrics[namespace], name) {
				wrong = append(wrong, fmt.Sprintf("%s watches %s of %s, which nothing writes", id, name, namespace))
			}
			_, dimensions := m["Dimensions"]
			if filtered := strings.HasPrefix(namespace, "Regent/"); filtered == dimensions {
				wrong = append(wrong, fmt.Sprintf("%s: %s of %s has the wrong dimensions", id, name, namespace))
			}
			if dimensions && !cmp.Equal(m["Dimensions"], []any{map[string]any{"Name": "FunctionName", "Value": "regent-Authorizer"}}) {
				wrong = append(wrong, fmt.Sprintf("%s watches something else than the function", id))
			}
		}
		told, _ := r.Properties["AlarmActions"].([]any)
		if topic := parameters["AlarmTopicArn"]; (topic != "") != (len(told) == 1) || topic != "" && told[0] != topic {
			wrong = append(wrong, fmt.Sprintf("%s tells %v", id, told))
		}
		if r.Properties["TreatMissingData"] != "notBreaching" {
			wrong = append(wrong, id+" rings when nobody calls")
		}
	}
	for _, name := range []string{"Errors", "Throttles", "Duration", "Trouble", "Parked", "StoreStale"} {
		if !watched[name] && (name != "StoreStale" || parameters["Store"] != "workspace") {
			wrong = append(wrong, "no alarm watches "+name)
		}
	}
	return wrong
}

// alarmMetrics are the metrics of an alarm, which has one or an expression of several.
func alarmMetrics(alarm map[string]any) (all []map[string]any) {
	list, ok := alarm["Metrics"].([]any)
	if !ok {
		return []map[string]any{alarm}
	}
	for _, x := range list {
		query, _ := x.(map[string]any)
		if stat, ok := query["MetricStat"].(map[string]any); ok {
			metric, _ := stat["Metric"].(map[string]any)
			all = append(all, metric)
		}
	}
	return all
}
