// Package lambdaapi runs a Lambda function's real binary on this machine: it is the
// Lambda Runtime API on a loopback port, and the part of Lambda that starts the
// process, hands it events, freezes it between them and kills it.
//
// It is for tests of the function as a process. It is not an emulator: it knows no
// layers, extensions, memory limits or CPU shares, and what it measures is not a
// cold start on AWS.
//
// A Function is one execution environment. Invoke may be called by many goroutines;
// a function that asks for one event at a time gets them one after the other, as on
// Lambda. Everything a test starts ends with Close.
package lambdaapi
