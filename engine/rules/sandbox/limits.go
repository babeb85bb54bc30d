package sandbox

import (
	"os"
	"runtime"
	"runtime/debug"
)

// Memory that a child may allocate, in bytes.
const (
	DefaultMemory = 384 << 20
	// MinMemory is what compiling ordinary policies needs: half of it is what a Go program
	// with OPA reserves at its start, of which it touches little.
	MinMemory = 160 << 20
)

// maxStack turns endless recursion into the end of the child within milliseconds;
// Go's own limit is 1 GB.
const maxStack = 32 << 20

// confine limits this process for good. It may be called again to lower the limits.
func confine(c configuration) error {
	debug.SetMaxStack(maxStack)
	// A crash says what it is in one line; the rest would have addresses and arguments.
	debug.SetTraceback("none")
	// One request at a time needs one thread; a second one would take a neighbour's.
	runtime.GOMAXPROCS(1)
	memory := min(max(c.memory, MinMemory), DefaultMemory)
	_, reserved := memoryOf(os.Getpid())
	debug.SetMemoryLimit(room(memory, reserved) / 2)
	debug.SetGCPercent(200)
	return confineSystem(memory)
}

// room is what a child with so much memory may allocate beside what it has reserved at its
// start. Its collector lets it have half of that for long, and works harder from there on,
// long before the system ends the process.
func room(memory uint64, reserved int64) int64 {
	if underRace {
		// There is no limit, and the race detector's own memory is a multiple of the program's.
		return 2 * int64(memory)
	}
	return max(int64(memory)-reserved, 0)
}
