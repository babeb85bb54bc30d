package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"regent/tenants"
)

// run does the writes. A tenant whose record asks for a selector value that another
// tenant of the import is about to give up waits until that one is written.
func (i *importing) run(ctx context.Context, done func(recordChange)) error {
	queue, waiting := i.writes, 0
	for len(queue) > 0 {
		one := queue[0]
		queue = queue[1:]
		version, err := one.do(ctx)
		var taken *tenants.TakenError
		if errors.As(err, &taken) {
			if more := records(queue); more > waiting {
				waiting++
				queue = later(queue, one, more)
				continue
			}
		}
		if err != nil {
			return i.failed(one, err)
		}
		waiting = 0
		if one.change < 0 {
			continue
		}
		i.changes[one.change].Version = version
		done(i.changes[one.change])
	}
	return nil
}

// records counts the writes of tenants' records that a queue begins with.
func records(queue []write) (n int) {
	for n < len(queue) && queue[n].tenant != "" {
		n++
	}
	return n
}

// later puts a write behind the first n of a queue.
func later(queue []write, one write, n int) []write {
	out := append([]write{}, queue[:n]...)
	return append(append(out, one), queue[n:]...)
}

// failed says which write failed.
func (i *importing) failed(s write, err error) error {
	what := "a bundle"
	if s.change >= 0 {
		what = i.changes[s.change].name()
	}
	err = fmt.Errorf("write %s: %w", what, err)
	if errors.Is(err, tenants.ErrConflict) {
		return &failure{err: err, hints: []string{"look at what is there now; running it again compares anew and asks anew"}}
	}
	return err
}

func (i *importing) putRevision(ctx context.Context, owner string, b tenants.Bundle) error {
	r := tenants.Revision{Digest: b.Digest(), Author: i.author, Time: time.Now().UTC(), Message: i.message, Files: len(b.Files())}
	for _, f := range b.Files() {
		r.Bytes += int64(len(f.Content))
	}
	if err := i.reg.PutRevision(ctx, owner, b, r); err != nil {
		return fmt.Errorf("revision %s of %s: %w", b.Digest().Short(), ownerName(owner), err)
	}
	return nil
}

// activate brings a revision into force in place of the one that the plan found there.
// The version is read anew, for writing the tenant's record has moved it.
func (i *importing) activate(ctx context.Context, owner string, from, to tenants.Digest) (int64, error) {
	now, err := i.reg.Active(ctx, owner)
	if err != nil && !errors.Is(err, tenants.ErrNotFound) {
		return 0, err
	}
	if now.To != from {
		return 0, &tenants.ConflictError{What: ownerName(owner), By: now.Author, At: now.Time, To: now.To}
	}
	a, err := i.reg.Activate(ctx, owner, tenants.Activation{
		To: to, Author: i.author, Time: time.Now().UTC(), Message: i.message, Version: now.Version,
	})
	return a.Version, err
}
