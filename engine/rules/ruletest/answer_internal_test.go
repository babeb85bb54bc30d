package ruletest

import (
	"strings"
	"testing"
)

// TestAnswerTakesNothingOnTrust holds what is read from a child to its form.
func TestAnswerTakesNothingOnTrust(t *testing.T) {
	t.Parallel()
	const list = `{"List":[{"package":"p","name":"a"}]}`
	const passed = `{"Test":{"package":"p","name":"a","outcome":"pass"}}`
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"whole", list + passed + `{"Report":{}}`, true},
		{"no tests", `{"Report":{}}`, true},
		{"problems", `{"Problems":[{"File":"a","Message":"b"}]}`, true},
		{"cut off", list + passed, false},
		{"nothing", "", false},
		{"no JSON", list + "goroutine 1", false},
		{"test twice", list + passed + passed + `{"Report":{}}`, false},
		{"test of nobody", passed + `{"Report":{}}`, false},
		{"outcome of its own", list + `{"Test":{"package":"p","name":"a","outcome":"fine"}}{"Report":{}}`, false},
		{"report without its test", list + `{"Report":{}}`, false},
		{"second list", list + passed + list + passed + `{"Report":{}}`, false},
		{"empty message", `{}{"Report":{}}`, false},
		{"problem that is none", `{"Problems":[null]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := answer{open: map[string]Test{}}
			if err := a.read(strings.NewReader(c.text)); (err == nil) != c.ok {
				t.Errorf("read: %v, want ok %t", err, c.ok)
			}
		})
	}
}
