// Command regent is the command line for a workspace (DESIGN.md §5): it scaffolds
// one, runs it behind a local API Gateway, tests and checks its rules, and decides
// single events with the very pipeline that the Lambda function runs.
//
// There is one file for each verb. Results go to standard output, messages to
// standard error as "error:" and "hint:" lines. The exit status is 0 for ok or
// allowed, 1 for denied or for tests and checks that failed, and 2 for wrong usage
// or trouble.
//
// It is a tool for development and for continuous integration, not a server for
// production: what `serve` opens is a local stand-in, and the development key that
// it trusts vouches for nobody.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"regent/engine/rules/ruletest"
	"regent/engine/rules/sandbox"
)

func main() {
	sandbox.Main()
	ruletest.Main()
	traceMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
