package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"regent/tenants"
)

// Exit statuses.
const (
	exitOK      = 0
	exitNo      = 1
	exitTrouble = 2
)

// cli is one run of the program: what it reads and writes, and the flags that every
// verb has.
type cli struct {
	stdin io.Reader
	// out and err are standard output and standard error.
	out, err *writer
	json     bool
	// store is --store; empty if it was not given.
	store string
	// tables opens a table; nil means DynamoDB's.
	tables func(name string) (tenants.Registry, error)
}

// run runs the command line and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{stdin: stdin, out: newWriter(stdout), err: newWriter(stderr)}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return c.report(root.ExecuteContext(ctx))
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "regent",
		Short: "A shared authorizer for Amazon API Gateway, with rules in Rego for each tenant",
		Example: `  regent demo                    see it work, without any files
  regent init shop && cd shop    make a workspace of your own
  regent test && regent check    test and check its rules
  regent serve                   run it behind a local API Gateway`,
		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		Args:                  unknownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help() // its only error is of writing
			return exitStatus(exitTrouble)
		},
	}
	root.SuggestionsMinimumDistance = 2
	words := strings.NewReplacer("[command]", "VERB", "Available Commands", "Verbs")
	root.SetUsageTemplate(words.Replace(root.UsageTemplate()))
	root.PersistentFlags().BoolVar(&c.json, "json", false, "write JSON for machines")
	root.PersistentFlags().StringVar(&c.store, "store", "", "the store: dir:PATH, a workspace, or dynamodb:TABLE (default $"+storeVariable+", else dir:.)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.AddCommand(
		c.initCommand(), c.serveCommand(), c.demoCommand(), c.tokenCommand(),
		c.evalCommand(), c.testCommand(), c.checkCommand(), c.matrixCommand(),
		c.publishCommand(), c.revisionsCommand(), c.diffCommand(), c.activateCommand(), c.rollbackCommand(), c.platformCommand(),
		c.tenantsCommand(), c.apisCommand(), c.tableCommand(), c.importCommand(), c.exportCommand(),
		c.versionCommand(),
	)
	return root
}

// usage makes an error one of wrong usage.
func usage(cmd *cobra.Command, err error) error {
	return &failure{err: err, hints: []string{"see " + cmd.CommandPath() + " --help"}}
}

// noArgs takes no arguments, and maxOne and exactlyOne take what is called name.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("%s takes no arguments, and got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

func maxOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(cmd, fmt.Errorf("%s takes one %s, and got %d arguments", cmd.CommandPath(), name, len(args)))
		}
		return nil
	}
}

func exactlyOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, fmt.Errorf("%s needs a %s", cmd.CommandPath(), name))
		}
		return maxOne(name)(cmd, args)
	}
}

// onWorkspace completes a verb that takes a workspace's directory and nothing else.
func (c *cli) onWorkspace(verb *cobra.Command, run func(cmd *cobra.Command, path string) error) *cobra.Command {
	verb.Args, verb.ValidArgsFunction = maxOne("directory"), directories
	verb.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := c.location(cmd, args)
		if err != nil {
			return err
		}
		return run(cmd, path)
	}
	return verb
}

// unknownVerb is reached by words that are no verb.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := &failure{err: fmt.Errorf("%q is not a verb of %s", args[0], cmd.CommandPath())}
	for _, s := range cmd.SuggestionsFor(args[0]) {
		f.hints = append(f.hints, "did you mean "+cmd.CommandPath()+" "+s+"?")
	}
	if len(f.hints) == 0 {
		f.hints = []string{"see " + cmd.CommandPath() + " --help"}
	}
	return f
}

// directories completes a directory.
func directories(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
