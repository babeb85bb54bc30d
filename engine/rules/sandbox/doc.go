// Package sandbox evaluates Rego in child processes that can be killed (DESIGN.md
// §10). It does what package rules does, with the same answers: a Pool is an
// engine.Policies like a rules.Engine.
//
// # What it holds
//
// Rego of people whom nobody trusts can run far beyond a deadline, fill the memory,
// or end the process with a stack overflow that Go cannot recover from; compiling it
// can too. So it is compiled, evaluated and partially evaluated in a child: the same
// binary, started with one argument that Main looks for, with an empty environment, no
// descriptor but three pipes, and limits on memory, stack, files and core dumps that
// it sets before it reads anything. What is not answered in time, or not in the form
// agreed on, ends with the child being killed; it is replaced, and nobody's answer
// ever comes from a child that was late before. Three kills park the tenant's
// revision: its questions are trouble at once, for a while.
//
// # What it is not
//
// It is no wall against code: Rego cannot run any. It does not limit system calls, and
// a flaw in OPA that ran native code would have what the function's user has on the
// machine, without its credentials and descriptors. On systems other than Linux some of the
// limits do not exist; Gaps lists them.
//
// # Protocol
//
// One request at a time goes through a pipe, one answer comes back: frames with a
// length, an id and bounded content, read by code that takes every byte for hostile.
// Errors are put into words in the child.
//
// # Concurrency
//
// A Pool is used by many goroutines at once. Each child answers one question at a
// time; lanes says who is next. A Pool has goroutines of its own only while a child is
// being started, and one for each child that waits for its end; none of them is needed
// for an answer, so a Lambda function may be frozen at any time.
package sandbox
