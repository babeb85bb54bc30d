package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"regent/tenants"
)

func (c *cli) activateCommand() *cobra.Command {
	var f proposalFlags
	var platform bool
	cmd := &cobra.Command{
		Use:   "activate TENANT REVISION",
		Short: "Bring a stored revision into force",
		Long: `Brings a revision that is stored into force. A revision is named by the first digits of
its digest, four or more, as regent revisions shows them.

It is compiled again first, under the platform that is in force, and cached replies are
judged again, for both may have changed since it was published. Tests are not run again.`,
		Example: `  regent activate acme 4e5f6a7b --store dynamodb:regent
  regent activate --platform 7002e036 --yes`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeOwner(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner, rest, err := ownerOf(cmd, platform, args, "revision")
			if err != nil {
				return err
			}
			if len(rest) == 0 {
				return missing(cmd, "a revision")
			}
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			return c.activate(cmd.Context(), reg, owner, rest[0], f)
		},
	}
	f.add(cmd)
	ownerFlag(cmd, &platform)
	return cmd
}

func (c *cli) rollbackCommand() *cobra.Command {
	var f proposalFlags
	var platform bool
	var to string
	cmd := &cobra.Command{
		Use:   "rollback TENANT",
		Short: "Go back to the revision that was in force before",
		Long: `Brings the revision into force that was in force before the last activation, or the one
that --to names. Going back is an activation like any other: doing it twice ends where it
began, and the revision that was left stays stored.`,
		Example: `  regent rollback acme --store dynamodb:regent
  regent rollback acme --to 9a67c783 -m 'exports are broken' --yes
  regent rollback --platform`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeOwner(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner, _, err := ownerOf(cmd, platform, args)
			if err != nil {
				return err
			}
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			return c.rollback(cmd.Context(), reg, owner, to, f)
		},
	}
	f.add(cmd)
	ownerFlag(cmd, &platform)
	cmd.Flags().StringVar(&to, "to", "", "the revision to go back to")
	c.completeRevisionFlag(cmd, "to")
	return cmd
}

// activate brings the revision that a word names into force.
func (c *cli) activate(ctx context.Context, reg tenants.Registry, owner, word string, f proposalFlags) error {
	p, err := c.propose(ctx, reg, owner, f)
	if err != nil {
		return err
	}
	rev, err := findRevision(ctx, reg, p.owner, p.was, word)
	if err != nil {
		return err
	}
	p.retry = p.command("activate", rev.Short())
	return p.reactivate(ctx, rev)
}

// rollback brings back what was in force before.
func (c *cli) rollback(ctx context.Context, reg tenants.Registry, owner, word string, f proposalFlags) error {
	p, err := c.propose(ctx, reg, owner, f)
	if err != nil {
		return err
	}
	switch {
	case p.was.To == "":
		return &failure{err: fmt.Errorf("%s has no revision in force", ownerName(owner)), hints: []string{p.command("revisions") + " lists what is stored"}}
	case p.was.From == "" && word == "":
		return &failure{
			err:   fmt.Errorf("revision %s of %s is the first: nothing was in force before it", p.was.To.Short(), ownerName(owner)),
			hints: []string{p.command("revisions") + " lists what is stored, and --to names one of it"},
		}
	case word == "":
		word = string(p.was.From)
	}
	rev, err := findRevision(ctx, reg, p.owner, p.was, word)
	if err != nil {
		return err
	}
	p.retry = p.command("rollback", "--to", rev.Short())
	if p.was.From == rev {
		p.say("back from revision %s, %s, to %s, which was in force before", p.was.To.Short(), since(p.was), rev.Short())
	} else {
		p.say("back from revision %s, %s, to %s", p.was.To.Short(), since(p.was), rev.Short())
	}
	return p.reactivate(ctx, rev)
}

// reactivate checks a stored revision anew, shows what it changes, and brings it into
// force.
func (p *proposal) reactivate(ctx context.Context, rev tenants.Digest) error {
	b, err := p.reg.Bundle(ctx, rev)
	if errors.Is(err, tenants.ErrNotFound) {
		return &failure{err: fmt.Errorf("the content of revision %s is not in the store: %w", rev.Short(), err), hints: []string{"publishing it again stores it"}}
	}
	if err != nil {
		return fmt.Errorf("read revision %s: %w", rev.Short(), err)
	}
	p.revise(b, nil)
	if p.inForceAlready() {
		return p.nothingToDo()
	}
	r, err := p.review(ctx, false)
	if err != nil {
		return err
	}
	defer r.close()
	if err := p.during("checking", func() error { return r.check(ctx) }); err != nil {
		return err
	}
	p.showCheck()
	if !p.out.Check.OK {
		return p.refuse(fmt.Sprintf("revision %s was not brought into force: the checks failed", rev.Short()))
	}
	if !p.c.json {
		p.c.showSummary(p.out.Changes, p.command("diff", "active", rev.Short()))
	}
	p.c.warnEnded(r.before.warden)
	return r.bring(ctx)
}
