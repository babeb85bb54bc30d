//go:build !race

package ruletest_test

import "regent/engine/rules/sandbox"

// unlimited tells that a child's memory is not limited.
func unlimited() bool { return len(sandbox.Gaps()) > 0 }
