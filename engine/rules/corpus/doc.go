// Package corpus reads the cases that every way of evaluating rules has to pass:
// the hostile policies in engine/rules/testdata/bombs, and OPA's own conformance
// cases.
//
// It reads and judges; it neither compiles nor evaluates. Who does hands its answers
// over, so that the rules package, which works in the process, and the sandbox, which
// works in a child, run the same cases. It is for tests: nothing that is deployed
// imports it. Its functions keep no state and may be called concurrently.
package corpus
