package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"regent/tenants"
)

// bring brings the proposed revision, which is stored, into force: it asks, unless
// --yes answers, and moves the owner if nobody has moved it since the proposal began.
func (r *review) bring(ctx context.Context) error {
	stored := &r.out
	if !r.flags.yes {
		yes, err := r.ask(ctx)
		switch {
		case errors.Is(err, errNobody):
			atOnce := "--yes does so at once"
			if r.publishes {
				atOnce += ", --no-activate only stores"
			}
			return r.end(stateStored, &failure{
				err:   fmt.Errorf("revision %s is stored and not in force: %w", stored.Revision.Short(), err),
				hints: []string{r.command("activate", stored.Revision.Short(), "--yes") + " brings it into force", atOnce},
			})
		case err != nil:
			return err
		case !yes:
			r.c.say("revision %s is stored and not in force: %s", stored.Revision.Short(), r.command("activate", stored.Revision.Short()))
			return r.end(stateStored, exitStatus(exitNo))
		}
	}
	if err := r.recheck(ctx); err != nil {
		return err
	}
	a, won, err := r.activate(ctx)
	if err != nil {
		return err
	}
	r.out.InForce = &a
	if !won {
		r.say("revision %s of %s is in force already, %s", a.To.Short(), ownerName(r.owner), since(a))
		return r.end(stateUnchanged, nil)
	}
	r.say("revision %s of %s is in force", a.To.Short(), ownerName(r.owner))
	if r.tenant.Status == tenants.Suspended {
		r.c.warn("%s is suspended: its requests are denied, whatever is in force", r.owner)
	}
	return r.end(stateActivated, r.afterwards(ctx))
}

// ask asks whether to go on. Machines are not asked.
func (p *proposal) ask(ctx context.Context) (bool, error) {
	if p.c.json {
		return false, errNobody
	}
	question := fmt.Sprintf("activate revision %s of %s?", p.now.Digest().Short(), ownerName(p.owner))
	if p.was.To != "" {
		question = fmt.Sprintf("activate revision %s of %s in place of %s?", p.now.Digest().Short(), ownerName(p.owner), p.was.To.Short())
	}
	return p.c.ask(ctx, question)
}

// activate moves the owner. won tells that this very run did it: after a lost answer,
// or beside somebody with the same content, the revision is in force all the same.
func (p *proposal) activate(ctx context.Context) (a tenants.Activation, won bool, err error) {
	a, err = p.reg.Activate(ctx, p.owner, tenants.Activation{
		To: p.now.Digest(), Version: p.was.Version,
		Author: p.author(ctx), Message: p.flags.message, Time: time.Now().UTC(),
	})
	switch {
	case err == nil:
		return a, true, nil
	case !errors.Is(err, tenants.ErrConflict):
		return a, false, &failure{
			err:   fmt.Errorf("activate revision %s of %s: %w", p.now.Digest().Short(), ownerName(p.owner), err),
			hints: []string{"it may be in force or not; " + p.retry + " again finishes it, and does nothing twice"},
		}
	}
	now, readErr := p.reg.Active(ctx, p.owner)
	if readErr == nil && now.To == p.now.Digest() {
		return now, false, nil
	}
	if readErr == nil {
		p.out.InForce = &now
	}
	return a, false, p.end(stateConflict, p.lost(now, err))
}

// lost tells whoever came second who was first.
func (p *proposal) lost(now tenants.Activation, cause error) error {
	f := &failure{err: fmt.Errorf("revision %s of %s is not in force: %w", p.now.Digest().Short(), ownerName(p.owner), cause)}
	if now.To != "" && now.To != p.was.To {
		f.err = fmt.Errorf("revision %s of %s is not in force: %s was first, with revision %s%s",
			p.now.Digest().Short(), ownerName(p.owner), by(now), now.To.Short(), at(now))
		if now.Message != "" {
			f.hints = append(f.hints, "the message was: "+oneLine(now.Message))
		}
		f.hints = append(f.hints, p.command("diff", now.To.Short(), p.now.Digest().Short())+" shows how theirs and yours differ")
	}
	f.hints = append(f.hints, p.retry+" again is safe: it starts from what is in force now")
	return f
}

func by(a tenants.Activation) string {
	if a.Author == "" {
		return "somebody else"
	}
	return oneLine(a.Author)
}

// at is " at TIME", if the time is known.
func at(a tenants.Activation) string {
	if a.Time.IsZero() {
		return ""
	}
	return " at " + stamp(a.Time)
}

// since is "activated by WHOM at TIME".
func since(a tenants.Activation) string { return "activated by " + by(a) + at(a) }

// stamp is a time for people, in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
