package ruletest_test

import (
	"testing"

	"regent/engine/rules/ruletest"
)

// TestMain makes this binary a child where Confined starts it as one.
func TestMain(m *testing.M) {
	ruletest.Main()
	m.Run()
}
