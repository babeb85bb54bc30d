//go:build race

package ruletest_test

// unlimited tells that a child's memory is not limited: the race detector's own is far
// beyond what a child may have.
func unlimited() bool { return true }
