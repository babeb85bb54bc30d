// Package leaks tells whether the tests of a package have left goroutines behind. It is
// for TestMain, and nothing but tests imports it.
package leaks

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines that were told to end may take.
const patience = 10 * time.Second

// Run runs the tests and returns the exit status: 1 also if they passed and goroutines are
// left that do not end. Idle connections of HTTP clients are kept on purpose, and are none.
func Run(m *testing.M) int {
	status := m.Run()
	if status != 0 || fuzzing() {
		return status
	}
	left := others()
	for end := time.Now().Add(patience); len(left) > 0 && time.Now().Before(end); left = others() {
		time.Sleep(10 * time.Millisecond)
	}
	if len(left) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%d goroutines are left behind:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	return 1
}

// others returns the stacks of all goroutines but this one and those that stay on purpose.
func others() []string {
	buffer := make([]byte, 1<<20)
	for n := runtime.Stack(buffer, true); ; n = runtime.Stack(buffer, true) {
		if n < len(buffer) {
			buffer = buffer[:n]
			break
		}
		buffer = make([]byte, 2*len(buffer))
	}
	stacks := strings.Split(string(buffer), "\n\n") // this one is the first
	return slices.DeleteFunc(stacks[1:], func(stack string) bool {
		return strings.Contains(stack, "net/http.(*persistConn)")
	})
}

// fuzzing tells that the tests are being fuzzed: then package testing has goroutines of its own.
func fuzzing() bool {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != f.DefValue {
			return true
		}
	}
	return false
}
