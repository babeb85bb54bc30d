//go:build race

package rules_test

// raceEnabled tells whether the race detector is on.
const raceEnabled = true
