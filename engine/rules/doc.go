// Package rules compiles and evaluates Rego: a tenant's bundle together with the
// platform's guardrails and library.
//
// A bundle is confined before it is compiled. It may use the builtin functions in
// Capabilities and no others, may declare packages of its own, and may read
// data.lib and its own data; everything else is a Problem with a file and a line.
// So is what is over one of the Limits, which are checked before the work is done that
// they bound; calls of builtin functions that make much of little fail, see
// InstallGuards.
// The contract of DESIGN.md §4 is checked on the values that come out: a value of
// the wrong type is an error, never a yes.
//
// The package evaluates in its own process. A deadline alone does not hold hostile
// Rego (DESIGN.md §10): whoever evaluates rules of people he does not trust runs
// this package in a child process: package sandbox does.
//
// An Engine and the policies it hands out are used by many goroutines at once.
package rules
