package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"regent/tenants"
)

// diffFlags are the flags of `regent diff`.
type diffFlags struct {
	from     string
	stage    string
	platform bool
	stat     bool
	exitCode bool
}

func (c *cli) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff TENANT [A [B]]",
		Short: "Show how two revisions differ: files, data, and who may do what",
		Long: `Compares two revisions of a tenant, from A to B, or A with the workspace at --from where
there is no B. A is the revision in force if it is not given. Each is named by the first
digits of its digest, or by the words active and previous.

Files are compared as git does it, data value by value, and for the sample callers of the
workspace at --from who may do what, under the APIs and the platform in force.`,
		Example: `  regent diff acme                        what publishing this workspace would change
  regent diff acme previous active        what the last activation changed
  regent diff acme 9a67c783 --from shop
  regent diff --platform --exit-code      is the workspace what is in force?`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeOwner(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner, words, err := ownerOf(cmd, f.platform, args, "A", "B")
			if err != nil {
				return err
			}
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			return c.diff(cmd.Context(), reg, owner, words, f)
		},
	}
	flags := cmd.Flags()
	ownerFlag(cmd, &f.platform)
	flags.StringVar(&f.from, "from", ".", "the workspace's `directory`")
	flags.StringVar(&f.stage, "stage", defaultStage, "the stage that requests are sent to, for rules that ask")
	flags.BoolVar(&f.stat, "stat", false, "show which files differ, not how")
	flags.BoolVar(&f.exitCode, "exit-code", false, "end with status 1 if there is a difference")
	_ = cmd.MarkFlagDirname("from") // the flag is there
	return cmd
}

func (c *cli) diff(ctx context.Context, reg tenants.Registry, owner string, words []string, f diffFlags) error {
	p, err := c.propose(ctx, reg, owner, proposalFlags{from: f.from, stage: f.stage, allowIncomplete: true})
	if err != nil {
		return err
	}
	if p.was.To, err = p.left(ctx, words); err != nil {
		return err
	}
	if p.old, err = p.before(ctx); err != nil {
		return err
	}
	b, err := p.right(ctx, words)
	if err != nil {
		return err
	}
	p.revise(b, nil)
	ch, err := p.compareWithout(ctx)
	if err != nil {
		return err
	}
	if c.json {
		err = c.out.json(struct {
			Owner string `json:"owner"`
			*changes
		}{owner, ch})
	} else {
		c.showDiff(ch, f)
	}
	if err == nil && f.exitCode && len(ch.Files) > 0 {
		err = exitStatus(exitNo)
	}
	return err
}

// left is the revision to compare: the first word, or what is in force.
func (p *proposal) left(ctx context.Context, words []string) (tenants.Digest, error) {
	if len(words) == 0 {
		return p.was.To, nil
	}
	return findRevision(ctx, p.reg, p.owner, p.was, words[0])
}

// right is the bundle to compare with: the revision of the second word, or the
// workspace's.
func (p *proposal) right(ctx context.Context, words []string) (tenants.Bundle, error) {
	if len(words) == 2 {
		a, err := p.reg.Active(ctx, p.owner)
		if err != nil && !errors.Is(err, tenants.ErrNotFound) {
			return tenants.Bundle{}, err
		}
		rev, err := findRevision(ctx, p.reg, p.owner, a, words[1])
		if err != nil {
			return tenants.Bundle{}, err
		}
		b, err := p.reg.Bundle(ctx, rev)
		if err != nil {
			err = fmt.Errorf("read revision %s: %w", rev.Short(), err)
		}
		return b, err
	}
	if p.owner == tenants.PlatformOwner {
		store, err := openWorkspace(p.flags.from)
		if err != nil {
			return tenants.Bundle{}, err
		}
		return store.Snapshot().PlatformBundle(), nil
	}
	_, b, err := policyFrom(p.flags.from, p.owner)
	return b, err
}

// compareWithout compares without judging whether the revisions are any good. Where one
// cannot be judged, that is said in place of who may do what.
func (p *proposal) compareWithout(ctx context.Context) (*changes, error) {
	r, err := p.review(ctx, false)
	if err != nil {
		return nil, err
	}
	defer r.close()
	ch := diffBundles(p.owner, p.old, p.now, p.was.To)
	if len(ch.Files) == 0 {
		return ch, nil
	}
	defer p.c.warnEnded(r.before.warden)
	p.out.Changes, p.out.Check = ch, &inspection{OK: true}
	if p.owner != tenants.PlatformOwner {
		err = r.compare(ctx, under(r.after, p.tenant, p.now), p.tenant, p.old)
	} else {
		err = r.compareTenants(ctx)
	}
	if err != nil && ctx.Err() == nil {
		ch.Matrix, ch.Unknown, err = nil, err.Error(), nil
	}
	return ch, err
}

// compareTenants adds what changes for the sample callers of every tenant.
func (r *review) compareTenants(ctx context.Context) error {
	old := *r.base
	old.platform = r.old
	r.before = r.before.of(&old)
	all, err := r.reg.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		callers, err := r.samples(t.ID)
		if err != nil {
			return err
		}
		if t.Revision == "" || callers.File == "" {
			continue
		}
		b, err := r.reg.Bundle(ctx, t.Revision)
		if err != nil {
			return err
		}
		if err := r.compare(ctx, under(r.after, t, b), t, b); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) showDiff(ch *changes, f diffFlags) {
	if len(ch.Files) == 0 {
		c.say("nothing differs: both are revision %s", ch.To.Short())
		return
	}
	if !f.stat {
		c.showDiffs(ch.Files, 0)
		c.out.line("")
	}
	c.out.table(slices.Concat(fileRows(ch.Files), dataRows(ch.Data)))
	if ch.Matrix != nil || ch.Unknown != "" {
		c.showRulings(ch)
	}
}
