package sandbox

import (
	"runtime"
	"runtime/debug"
)

// Memory that a child may allocate, in bytes.
const (
	DefaultMemory = 384 << 20
	// MinMemory is what compiling ordinary policies needs.
	MinMemory = 96 << 20
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
	debug.SetMemoryLimit(int64(softLimit(memory)))
	debug.SetGCPercent(200)
	return confineSystem(memory)
}

// softLimit is what the collector lets a child have for long: from there on it works
// harder, long before the system ends the process.
func softLimit(memory uint64) uint64 { return memory / 2 }
