package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/cmd/internal/config"
	"regent/engine/rules/ruletest"
	"regent/tenants"
)

// proposalFlags are the flags of the verbs that bring a revision into force.
type proposalFlags struct {
	from            string
	author          string
	message         string
	stage           string
	yes             bool
	allowIncomplete bool
	// noActivate and allowEmpty are publish's alone.
	noActivate bool
	allowEmpty bool
}

func (f *proposalFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", ".", "the workspace's `directory`")
	flags.StringVar(&f.author, "author", "", "who does it (default: Git's user, else the system's)")
	flags.StringVarP(&f.message, "message", "m", "", "why, for the record")
	flags.StringVar(&f.stage, "stage", defaultStage, "the stage that requests are sent to, for rules that ask")
	flags.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "accept cached replies that grant less than the rules")
	yesFlag(cmd, &f.yes)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return f.check(cmd) }
	_ = cmd.MarkFlagDirname("from") // the flag is there
}

// The states that a proposal can end in.
const (
	// stateRefused: checks or tests failed, and nothing was stored.
	stateRefused = "refused"
	// stateStored: the revision is stored and not in force.
	stateStored = "stored"
	// stateActivated: it is in force by this very run.
	stateActivated = "activated"
	// stateUnchanged: it was in force before.
	stateUnchanged = "unchanged"
	// stateConflict: somebody else was first, and the revision is not in force.
	stateConflict = "conflict"
)

// publication is what came of a proposal. Its JSON form is stable; further fields may
// come.
type publication struct {
	// Owner is the tenant, or PLATFORM.
	Owner    string         `json:"owner"`
	Revision tenants.Digest `json:"revision"`
	State    string         `json:"state"`
	// Check is what the checks found, and Tests what the bundle's own tests said; absent
	// where they were not asked.
	Check *inspection      `json:"check,omitempty"`
	Tests []ruletest.Suite `json:"tests,omitempty"`
	// Changes are in comparison with what was in force.
	Changes *changes `json:"changes,omitempty"`
	// InForce is the activation that holds now, as far as it is known.
	InForce *tenants.Activation `json:"in_force,omitempty"`
}

// proposal is a revision on its way into force.
type proposal struct {
	c     *cli
	reg   *shelf
	flags proposalFlags
	owner string
	// tenant is the owner's record, unless the owner is the platform.
	tenant tenants.Tenant
	// was is what was in force before anything else was read. Whoever moves the owner
	// from then on is noticed by its version.
	was tenants.Activation
	// base is what the store has in force, without tenants.
	base     *draft
	old, now tenants.Bundle
	samples  samples
	// conf has the settings that bear on decisions.
	conf config.Config
	// who is the author, once somebody asked.
	who string
	// retry is the command that goes on from here.
	retry string
	// publishes tells that it comes from a workspace, not from the store.
	publishes bool
	out       publication
}

// propose reads what a proposal of an owner is judged against. The revision itself is
// for the caller to set.
func (c *cli) propose(ctx context.Context, reg tenants.Registry, owner string, f proposalFlags) (*proposal, error) {
	p := &proposal{c: c, reg: &shelf{Registry: reg}, flags: f, owner: owner, samples: samplesFrom(f.from)}
	var err error
	if p.conf, err = settings("."); err != nil {
		return nil, err
	}
	p.was, err = reg.Active(ctx, owner)
	switch {
	case errors.Is(err, tenants.ErrNotFound) && owner == tenants.PlatformOwner:
		p.was = tenants.Activation{}
	case errors.Is(err, tenants.ErrNotFound):
		return nil, unregistered(ctx, reg, owner)
	case err != nil:
		return nil, fmt.Errorf("read what is in force for %s: %w", ownerName(owner), err)
	}
	if owner != tenants.PlatformOwner {
		if p.tenant, err = reg.Tenant(ctx, owner); err != nil {
			return nil, fmt.Errorf("read tenant %s: %w", owner, err)
		}
	}
	if p.base, err = inForce(ctx, p.reg); err != nil {
		return nil, err
	}
	if p.old, err = p.before(ctx); err != nil {
		return nil, err
	}
	p.out = publication{Owner: owner}
	return p, nil
}

// before is the bundle that is in force; without files if there is none.
func (p *proposal) before(ctx context.Context) (tenants.Bundle, error) {
	if p.was.To == "" {
		return emptyBundle(), nil
	}
	b, err := p.reg.Bundle(ctx, p.was.To)
	if err != nil {
		err = fmt.Errorf("read revision %s, which is in force: %w", p.was.To.Short(), err)
	}
	return b, err
}

// revise sets the revision that is proposed.
func (p *proposal) revise(b tenants.Bundle, schema []byte) {
	p.now, p.out.Revision = b, b.Digest()
	p.reg.unstored = []tenants.Bundle{b, stub(), emptyBundle()}
	base := *p.base
	base.schema = schema
	p.base = &base
}

// inForceAlready reports whether there is nothing to do.
func (p *proposal) inForceAlready() bool { return p.was.To != "" && p.was.To == p.now.Digest() }

// unregistered is the error about a tenant that the store does not have.
func unregistered(ctx context.Context, reg tenants.Registry, id string) error {
	f := &failure{err: fmt.Errorf("the store has no tenant %q", id)}
	if all, err := reg.Tenants(ctx); err == nil && len(all) > 0 {
		var ids []string
		for _, t := range all {
			ids = append(ids, t.ID)
		}
		f.hints = append(f.hints, didYouMean(id, ids))
	}
	f.hints = append(f.hints, "register it: regent tenants put tenants/"+id+"/tenant.yaml")
	return f
}

// ownerName is how messages call an owner.
func ownerName(owner string) string {
	if owner == tenants.PlatformOwner {
		return "the platform"
	}
	return owner
}

// samplesFrom are the sample callers of the workspace at a directory; nobody's if it is
// no workspace.
func samplesFrom(path string) samples {
	if _, err := os.Stat(filepath.Join(path, registry)); err != nil {
		return func(string) (sampleCallers, error) { return nobody(), nil }
	}
	return samplesAt(path)
}

// who is the author of a record: as given, else as Git calls the user, else as the
// system does.
func (f proposalFlags) who(ctx context.Context) string {
	if f.author != "" {
		return f.author
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var words []string
	for _, key := range []string{"user.name", "user.email"} {
		git := exec.CommandContext(ctx, "git", "config", key)
		git.Dir = f.from
		text, err := git.Output()
		if word := strings.TrimSpace(string(text)); err == nil && word != "" {
			words = append(words, word)
		}
	}
	if len(words) == 2 {
		return words[0] + " <" + words[1] + ">"
	}
	if len(words) == 1 {
		return words[0]
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return cmp.Or(name, "somebody") + "@" + host
}

// author is the author of the records that the proposal makes.
func (p *proposal) author(ctx context.Context) string {
	if p.who == "" {
		p.who = p.flags.who(ctx)
	}
	return p.who
}

// Limits on what is recorded, in bytes.
const (
	maxAuthor  = 256
	maxMessage = 4096
)

// check refuses flags that no record has room for.
func (f proposalFlags) check(cmd *cobra.Command) error {
	if len(f.author) > maxAuthor {
		return usage(cmd, fmt.Errorf("--author is longer than %d bytes", maxAuthor))
	}
	if len(f.message) > maxMessage {
		return usage(cmd, fmt.Errorf("--message is longer than %d bytes", maxMessage))
	}
	return nil
}

// ownerFlag lets --platform stand for the tenant of a verb.
func ownerFlag(cmd *cobra.Command, platform *bool) {
	cmd.Flags().BoolVar(platform, "platform", false, "the platform's revisions, in place of a tenant's")
}

// ownerOf takes the owner from the arguments: the first, or none with --platform. rest
// are the others, of which there are at most as many as names.
func ownerOf(cmd *cobra.Command, platform bool, args []string, names ...string) (owner string, rest []string, err error) {
	owner = tenants.PlatformOwner
	if !platform {
		if len(args) == 0 {
			return "", nil, usage(cmd, fmt.Errorf("%s needs a tenant, or --platform", cmd.CommandPath()))
		}
		owner, args = args[0], args[1:]
		if !tenants.ValidID(owner) {
			return "", nil, &failure{err: fmt.Errorf("%q is not a tenant id", owner), hints: []string{"lower-case letters, digits and hyphens; --platform is for the platform"}}
		}
	}
	if len(args) > len(names) {
		return "", nil, usage(cmd, fmt.Errorf("%s: what is %q for?", cmd.CommandPath(), args[len(names)]))
	}
	return owner, args, nil
}

// missing is the usage error of an argument that is not there.
func missing(cmd *cobra.Command, what string) error {
	return usage(cmd, fmt.Errorf("%s needs %s", cmd.CommandPath(), what))
}

// say writes a line about the proposal for people, on standard output.
func (p *proposal) say(format string, args ...any) {
	if !p.c.json {
		p.c.out.line(printable(fmt.Sprintf(format, args...)))
	}
}

// during does something that may take long, and says so on a terminal meanwhile.
func (p *proposal) during(what string, do func() error) error {
	if p.c.err.terminal {
		_, _ = fmt.Fprintf(p.c.err, "\r\x1b[K%s %s …", what, ownerName(p.owner))
		defer func() { _, _ = fmt.Fprint(p.c.err, "\r\x1b[K") }()
	}
	return do()
}

// end writes the result for machines and passes an error on.
func (p *proposal) end(state string, err error) error {
	p.out.State = state
	if p.c.json {
		if jsonErr := p.c.out.json(p.out); jsonErr != nil {
			return jsonErr
		}
	}
	return err
}

// refuse ends a proposal that is not good enough.
func (p *proposal) refuse(why string) error {
	p.c.errorLine(why)
	return p.end(stateRefused, exitStatus(exitNo))
}

// command is a verb for the proposal's owner, as somebody would type it.
func (p *proposal) command(verb string, args ...string) string {
	words := []string{"regent", verb}
	if p.owner == tenants.PlatformOwner {
		words = append(words, "--platform")
	} else {
		words = append(words, p.owner)
	}
	return strings.Join(slices.Concat(words, args), " ")
}
