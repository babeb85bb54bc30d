package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/tenants"
)

// The words that name a revision by what is in force.
const (
	wordActive   = "active"
	wordPrevious = "previous"
)

// minPrefix is how many digits of a digest name a revision at least, as in Git.
const minPrefix = 4

func (c *cli) revisionsCommand() *cobra.Command {
	var platform, history bool
	cmd := &cobra.Command{
		Use:   "revisions TENANT",
		Short: "List a tenant's revisions, or who brought which into force",
		Long: `Lists the revisions of a tenant, newest first: which is in force, who published it, when
and why, and what its tests said. --activations lists who brought which into force
instead.`,
		Example: `  regent revisions acme --store dynamodb:regent
  regent revisions acme --activations
  regent revisions --platform --json`,
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
			if history {
				return c.activations(cmd.Context(), reg, owner)
			}
			return c.revisions(cmd.Context(), reg, owner)
		},
	}
	ownerFlag(cmd, &platform)
	cmd.Flags().BoolVar(&history, "activations", false, "list who brought which revision into force")
	return cmd
}

// revisionList is what `regent revisions` shows. Its JSON form is stable.
type revisionList struct {
	Owner string `json:"owner"`
	// Active is in force; empty if nothing is.
	Active tenants.Digest `json:"active,omitempty"`
	// Revisions are the newest first.
	Revisions []listedRevision `json:"revisions"`
}

type listedRevision struct {
	tenants.Revision
	Active bool `json:"active"`
	// Parked is set while authorizers do not evaluate it, because they had to kill it.
	Parked *tenants.Parked `json:"parked,omitempty"`
}

func (c *cli) revisions(ctx context.Context, reg tenants.Registry, owner string) error {
	list := revisionList{Owner: owner, Revisions: []listedRevision{}}
	a, err := reg.Active(ctx, owner)
	if err != nil && !errors.Is(err, tenants.ErrNotFound) {
		return fmt.Errorf("read what is in force for %s: %w", ownerName(owner), err)
	}
	unknown := err != nil
	list.Active = a.To
	all, err := reg.Revisions(ctx, owner)
	if err != nil {
		return fmt.Errorf("read revisions of %s: %w", ownerName(owner), err)
	}
	if len(all) == 0 && unknown && owner != tenants.PlatformOwner {
		return unregistered(ctx, reg, owner)
	}
	parked, err := parkedRevisions(ctx, reg, owner)
	if err != nil {
		return err
	}
	for _, r := range all {
		one := listedRevision{Revision: r, Active: r.Digest == a.To}
		if p, ok := parked[r.Digest]; ok {
			one.Parked = &p
		}
		list.Revisions = append(list.Revisions, one)
	}
	if c.json {
		return c.out.json(list)
	}
	c.showRevisions(list)
	return nil
}

// parkedRevisions are those that authorizers do not evaluate now.
func parkedRevisions(ctx context.Context, reg tenants.Registry, owner string) (map[tenants.Digest]tenants.Parked, error) {
	lot, ok := reg.(tenants.ParkingLot)
	if !ok || owner == tenants.PlatformOwner {
		return nil, nil
	}
	all, err := lot.Parked(ctx, owner, time.Now())
	if err != nil {
		return nil, fmt.Errorf("read parked revisions of %s: %w", owner, err)
	}
	found := map[tenants.Digest]tenants.Parked{}
	for _, p := range all {
		found[p.Revision] = p
	}
	return found, nil
}

func (c *cli) showRevisions(list revisionList) {
	if len(list.Revisions) == 0 {
		c.say("%s has no revisions", ownerName(list.Owner))
		return
	}
	rows := [][]cell{{{"  REVISION", dim}, {"PUBLISHED", dim}, {"BY", dim}, {"TESTS", dim}, {"MESSAGE", dim}}}
	for _, r := range list.Revisions {
		mark, color := "  ", plain
		if r.Active {
			mark, color = "* ", green
		}
		rows = append(rows, []cell{
			{mark + r.Digest.Short(), color}, {text: stamp(r.Time)}, {text: oneLine(r.Author)},
			{text: summary(r.Tests)}, {text: oneLine(firstLine(r.Message))},
		})
	}
	c.out.table(rows)
	for _, r := range list.Revisions {
		if r.Parked != nil {
			c.warn("revision %s is not evaluated until %s: %s", r.Digest.Short(), stamp(r.Parked.Until), r.Parked.Reason)
		}
	}
}

// summary is what a bundle's tests said, in a few words.
func summary(t tenants.TestSummary) string {
	switch {
	case t.Passed+t.Failed == 0:
		return "none"
	case t.Failed > 0:
		return fmt.Sprintf("%d of %d failed", t.Failed, t.Passed+t.Failed)
	default:
		return fmt.Sprintf("%d passed, %g %%", t.Passed, t.Coverage)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// oneLine is somebody's text for a place in a line.
func oneLine(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// activations shows who brought which revision into force.
func (c *cli) activations(ctx context.Context, reg tenants.Registry, owner string) error {
	all, err := reg.Activations(ctx, owner)
	if err != nil {
		return fmt.Errorf("read activations of %s: %w", ownerName(owner), err)
	}
	if c.json {
		return c.out.json(struct {
			Owner       string               `json:"owner"`
			Activations []tenants.Activation `json:"activations"`
		}{owner, append([]tenants.Activation{}, all...)})
	}
	if len(all) == 0 {
		c.say("%s has no activations", ownerName(owner))
		return nil
	}
	rows := [][]cell{{{"TIME", dim}, {"BY", dim}, {"FROM", dim}, {"TO", dim}, {"MESSAGE", dim}}}
	for _, a := range all {
		from := "-"
		if a.From != "" {
			from = a.From.Short()
		}
		rows = append(rows, []cell{
			{text: stamp(a.Time)}, {text: oneLine(a.Author)}, {text: from}, {text: a.To.Short()}, {text: oneLine(firstLine(a.Message))},
		})
	}
	c.out.table(rows)
	return nil
}

// findRevision finds the revision that a word names: active, previous, or the first
// digits of a digest.
func findRevision(ctx context.Context, reg tenants.Registry, owner string, a tenants.Activation, word string) (tenants.Digest, error) {
	switch {
	case word == wordActive && a.To != "":
		return a.To, nil
	case word == wordPrevious && a.From != "":
		return a.From, nil
	case word == wordActive || word == wordPrevious:
		return "", &failure{err: fmt.Errorf("%s has no %s revision", ownerName(owner), word)}
	}
	all, err := reg.Revisions(ctx, owner)
	if err != nil {
		return "", fmt.Errorf("read revisions of %s: %w", ownerName(owner), err)
	}
	prefix := strings.ToLower(strings.TrimPrefix(word, "sha256:"))
	var found []tenants.Revision
	for _, r := range all {
		if strings.HasPrefix(strings.TrimPrefix(string(r.Digest), "sha256:"), prefix) {
			found = append(found, r)
		}
	}
	switch {
	case len(prefix) < minPrefix:
		return "", &failure{err: fmt.Errorf("%q is too short: a revision is named by %d digits or more", word, minPrefix), hints: described(all)}
	case len(found) == 1:
		return found[0].Digest, nil
	case len(found) > 1:
		return "", &failure{err: fmt.Errorf("%q is the beginning of %d revisions of %s", word, len(found), ownerName(owner)), hints: described(found)}
	default:
		return "", &failure{err: fmt.Errorf("%s has no revision %q", ownerName(owner), word), hints: described(all)}
	}
}

// described are the newest of some revisions, for hints.
func described(all []tenants.Revision) []string {
	const most = 5
	if len(all) == 0 {
		return []string{"there is none: regent publish makes one"}
	}
	var hints []string
	for _, r := range all[:min(most, len(all))] {
		hints = append(hints, strings.TrimSpace(fmt.Sprintf("%s  %s  %s  %s", r.Digest.Short(), stamp(r.Time), oneLine(r.Author), oneLine(firstLine(r.Message)))))
	}
	if len(all) > most {
		hints = append(hints, fmt.Sprintf("and %d more", len(all)-most))
	}
	return slices.Clip(hints)
}
