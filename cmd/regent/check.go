package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"regent/cmd/internal/config"
	"regent/engine/identity"
	"regent/tenants"
	"regent/tenants/dir"
)

// checkFlags are the flags of `regent check`.
type checkFlags struct {
	allowIncomplete bool
	allowPrivate    bool
	stage           string
}

// add adds the flags to a verb that checks.
func (f *checkFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.allowIncomplete, "allow-incomplete", false, "accept cached replies that grant less than the rules")
	cmd.Flags().StringVar(&f.stage, "stage", defaultStage, "the stage that requests are sent to, for rules that ask")
	allowPrivateFlag(cmd, &f.allowPrivate)
}

func (c *cli) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := c.onWorkspace(&cobra.Command{
		Use:   "check [DIR]",
		Short: "Check the workspace and compile every tenant's rules strictly",
		Long: `Reads the workspace strictly and compiles the rules of the platform and of every
tenant: against the schema, with the builtin functions that the function allows, and
against the policy contract. Everything that is wrong is reported at once, with its
file, line and column.

Then comes the cache report. API Gateway keeps the replies of an API whose cache.ttl is
above 0s and replays them to other requests, so each has to speak for all of them. The
report says for which tenants and routes it can say exactly what the rules say. Where it
cannot, replies grant less, never more; the report says which line of which rule is the
cause and what to do. How rules turn out depends on the caller: each tenant's sample
callers, whom regent matrix shows too, are in tenants/TENANT/callers.yaml.

The exit status is 1 if anything is wrong, or if a cached reply would grant less than
the rules and --allow-incomplete does not accept that.`,
		Example: "  regent check\n  regent check shop --json\n  regent check --allow-incomplete",
	}, func(cmd *cobra.Command, path string) error {
		found, err := checkWorkspace(cmd, path, f)
		if err != nil {
			return err
		}
		if c.json {
			err = c.out.json(found)
		} else {
			c.showChecks(found)
		}
		if err == nil && !found.OK {
			err = exitStatus(exitNo)
		}
		return err
	})
	f.add(cmd)
	return cmd
}

// defaultStage is the stage of the local gateway.
const defaultStage = "local"

// checkWorkspace checks the workspace at a directory. What is wrong with its content
// is in the report; an error means that there is none.
func checkWorkspace(cmd *cobra.Command, path string, f checkFlags) (inspection, error) {
	store, err := openWorkspace(path)
	var broken dir.Errors
	if errors.As(err, &broken) {
		return unreadable(path, broken), nil
	}
	if err != nil {
		return inspection{}, err
	}
	conf, err := settings(path)
	if err != nil {
		return inspection{}, err
	}
	return checkSnapshot(cmd.Context(), store.Snapshot(), path, conf, f)
}

// checkSnapshot checks a workspace that was read from a directory.
func checkSnapshot(ctx context.Context, s *dir.Snapshot, path string, conf config.Config, f checkFlags) (inspection, error) {
	found, err := inspect(ctx, s)
	found.Workspace = path
	if err != nil {
		return found, err
	}
	problems, err := providerProblems(s, path, f.allowPrivate || conf.AllowPrivate)
	if err != nil {
		return found, err
	}
	found.addProblems(problems)
	if !found.OK {
		return found, nil
	}
	j, err := newJudge(ctx, s, f.stage, conf, 1)
	if err != nil {
		return found, err
	}
	defer j.close()
	reports, err := j.cacheReports(ctx, samplesAt(path))
	if err != nil {
		return found, err
	}
	found.addCache(reports, f.allowIncomplete)
	return found, nil
}

// providerProblems are the identity providers that no function would ever ask, where
// they are written.
func providerProblems(s *dir.Snapshot, path string, allowPrivate bool) (found []problem, err error) {
	for _, t := range s.Tenants() {
		if !slices.ContainsFunc(t.Identity.Providers, func(p tenants.Provider) bool { return identity.CheckProvider(p, allowPrivate) != nil }) {
			continue
		}
		name := "tenants/" + t.ID + "/" + tenantFile
		content, err := os.ReadFile(filepath.Join(path, filepath.FromSlash(name)))
		if err != nil {
			return nil, fmt.Errorf("read workspace: %w", err)
		}
		file, err := dir.ReadTenant(name, content)
		if err != nil {
			return nil, err
		}
		for _, e := range unreachable(file, allowPrivate) {
			found = append(found, problem{e.File, e.Line, e.Column, "provider", e.Message, e.Hint})
		}
	}
	return found, nil
}

// addProblems adds problems that are no rule's.
func (found *inspection) addProblems(problems []problem) {
	found.Problems = append(found.Problems, problems...)
	slices.SortStableFunc(found.Problems, byPlace)
	found.OK = found.OK && len(problems) == 0
	found.Complete = found.Complete && found.OK
}

// addCache adds cache reports and what they mean for the verdict.
func (found *inspection) addCache(reports []cacheReport, allowIncomplete bool) {
	found.Cache = append(found.Cache, reports...)
	for _, r := range reports {
		found.Complete = found.Complete && r.Exact
		found.OK = found.OK && len(r.Errors) == 0 && (r.Exact || allowIncomplete)
	}
}

func (c *cli) showChecks(found inspection) {
	for _, w := range found.Warnings {
		c.warn("%s", w)
	}
	for _, p := range found.Problems {
		c.out.line(c.out.paint(bold, printable(p.place())) + ": " + printable(p.Message) + " " + c.out.paint(dim, "["+p.Code+"]"))
		if p.Hint != "" {
			c.err.line("  " + c.err.paint(cyan, "hint:") + " " + printable(p.Hint))
		}
	}
	if len(found.Problems) > 0 {
		c.out.line("")
	}
	var rows [][]cell
	for _, p := range found.Parts {
		rows = append(rows, partRow(p))
	}
	c.out.table(rows)
	c.showCache(found.Cache)
	if !found.Read {
		c.say("the rules were not compiled, because the workspace cannot be read")
	}
	count := fmt.Sprintf("%s, %s", plural(found.tenants(), "tenant"), plural(found.APIs, "API"))
	switch {
	case found.OK && !found.Complete:
		c.out.line("")
		c.out.line(count + ": all is well, but for cached replies that grant less than the rules")
	case found.OK:
		c.out.line(count + ": all is well")
	case len(found.Problems) > 0:
		c.out.line(c.out.paint(red, plural(len(found.Problems), "problem")))
	default:
		c.out.line("")
		c.out.line(c.out.paint(red, "the rules are well, but not for the cache"))
		if !slices.ContainsFunc(found.Cache, func(r cacheReport) bool { return len(r.Errors) > 0 }) {
			c.hint("--allow-incomplete accepts cached replies that grant less than the rules")
		}
	}
}

// tenants counts the tenants that were checked.
func (found inspection) tenants() (n int) {
	for _, p := range found.Parts {
		if p.Kind == "tenant" {
			n++
		}
	}
	return n + found.unshown
}

// partRow is a part's line: its verdict and what it is about.
func partRow(p part) []cell {
	if !p.OK && p.Problems == 0 {
		return []cell{{"FAIL", red}, {text: p.Name}, {text: "not checked, for the platform does not compile"}}
	}
	if !p.OK {
		return []cell{{"FAIL", red}, {text: p.Name}, {text: plural(p.Problems, "problem")}}
	}
	return []cell{{"OK", green}, {text: p.Name}, {text: plural(p.Files, "file")}, {p.Revision.Short(), dim}}
}
