// Package ruletest runs the tests of a bundle, as `opa test` would, and reports what
// passed, what failed and where, and which lines no test reached.
//
// A test is a rule whose name starts with test_; it passes if it is true. One that
// starts with todo_test_ is skipped. A rule test_x[name] is a table: each name is a
// case with an outcome of its own. Tests live in *_test.rego beside the rules.
//
// One run is about one bundle. Every tenant has package authz, so each tenant is
// tested on its own, with the platform's rules and helpers but without the platform's
// tests. The platform's own tests are run with an empty tenant bundle.
//
// Three things are stricter than `opa test`, because they are so when the rules
// decide about real requests:
//
//   - an error in a builtin function is an error of the test, where OPA would take
//     the expression as undefined and `not` of it as true;
//   - data is read from data.json, data.yaml and data.yml only, as in a bundle;
//   - builtin functions that reach files, the network or the environment are absent,
//     so that running somebody's tests reveals nothing.
//
// Coverage counts the rules, not the tests: a test file covers itself.
//
// Run is not a sandbox. A test is cut off at its timeout, and one that cannot be
// interrupted is given up, but it may use memory and processor time until then,
// and compiling is not bounded. Confined does the same in a child process that is
// killed when it takes too long, too much memory or too much stack (package sandbox);
// it is for people who do not trust each other. The package links the testing package,
// so the Lambda function must never import it.
//
// Run and Confined may be called by many goroutines; reports are plain values.
package ruletest
