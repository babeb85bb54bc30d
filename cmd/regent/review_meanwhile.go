package main

import (
	"context"
	"fmt"
	"slices"

	"regent/tenants"
)

// recheck looks, just before the activation, whether what the proposal was judged
// against is still so.
func (r *review) recheck(ctx context.Context) error {
	what, _, err := r.moved(ctx)
	if err != nil {
		return err
	}
	if what != "" {
		return r.end(stateConflict, &failure{
			err:   fmt.Errorf("revision %s of %s is not in force: %s changed meanwhile, and it was not checked under that", r.now.Digest().Short(), ownerName(r.owner), what),
			hints: []string{r.retry + " again is safe: it starts from what is in force now"},
		})
	}
	if r.owner == tenants.PlatformOwner {
		if err := r.checkTenants(ctx, false); err != nil {
			return err
		}
		if !r.out.Check.OK {
			r.showCheck()
			r.c.errorLine("a tenant was changed meanwhile, and is not well under this revision, which is not in force")
			return r.end(stateStored, exitStatus(exitNo))
		}
		return nil
	}
	return nil
}

// moved names what else has come into force since the proposal began, and has a part in
// whether it is well; "" for nothing.
func (r *review) moved(ctx context.Context) (what string, now *draft, err error) {
	now, err = inForce(ctx, r.reg)
	switch {
	case err != nil:
		return "", nil, err
	case r.owner != tenants.PlatformOwner && now.platform.Digest() != r.base.platform.Digest():
		return "the platform was", now, nil
	case !slices.EqualFunc(now.apis, r.base.apis, func(a, b tenants.API) bool { return a.ID == b.ID && a.Version == b.Version }):
		return "the APIs were", now, nil
	default:
		return "", now, nil
	}
}

// afterwards looks for a tenant and the platform that were moved at the same time, each
// checked under what the other was before: whoever looks last sees both.
func (r *review) afterwards(ctx context.Context) error {
	if err := r.again(ctx); err != nil {
		r.c.warn("nobody could look whether something else was changed at the same time: %v", err)
		return nil
	}
	if r.out.Check.OK {
		return nil
	}
	r.showCheck()
	r.c.errorLine(fmt.Sprintf("revision %s of %s is in force, and something that came into force at the same time does not go with it", r.now.Digest().Short(), ownerName(r.owner)))
	r.c.hint(r.command("rollback") + " goes back to what was in force before")
	return exitStatus(exitNo)
}

func (r *review) again(ctx context.Context) error {
	if r.owner == tenants.PlatformOwner {
		return r.checkTenants(ctx, false)
	}
	what, now, err := r.moved(ctx)
	if err != nil || what == "" {
		return err
	}
	r.base = now
	other, err := r.proposal.review(ctx, false)
	if err != nil {
		return err
	}
	defer other.close()
	saved := r.out.Changes
	err = other.check(ctx)
	r.out.Changes = saved
	return err
}
