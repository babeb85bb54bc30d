package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"regent/tenants"
)

// Active returns the owner's last activation. An owner that never had one, and a tenant
// without a record, is ErrNotFound; a tenant with a record that was never activated has
// an empty To.
func (s *Store) Active(ctx context.Context, owner string) (tenants.Activation, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	r, err := s.owned(ctx, owner)
	if err != nil {
		return tenants.Activation{}, err
	}
	a := r.activation
	a.Version = r.version
	return a, nil
}

// owned returns the record of an owner.
func (s *Store) owned(ctx context.Context, owner string) (record, error) {
	k, ok := ownerKey(owner)
	if !ok {
		return record{}, notFound("owner %.80q", owner)
	}
	r, there, err := s.load(ctx, k)
	if err == nil && !there {
		err = notFound("%s", describe(owner))
	}
	return r, err
}

func describe(owner string) string {
	switch owner {
	case tenants.PlatformOwner:
		return "platform"
	case tenants.WorkspaceOwner:
		return "workspace"
	default:
		return fmt.Sprintf("tenant %q", owner)
	}
}

// Activate brings a stored revision into force if the owner's version is still a.Version
// (0 for the first of PlatformOwner and WorkspaceOwner), and leaves an audit item.
//
// The record has the whole activation, so one write does it. If the audit item cannot be
// written after it, the error says so: the revision is in force, and the next Activate or
// Activations writes the item.
func (s *Store) Activate(ctx context.Context, owner string, a tenants.Activation) (tenants.Activation, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	what := describe(owner)
	r, err := s.owned(ctx, owner)
	first := errors.Is(err, tenants.ErrNotFound) && !tenants.ValidID(owner) && tenants.ValidOwner(owner)
	switch {
	case first && a.Version != 0:
		return tenants.Activation{}, gone(what)
	case first:
		r.key, _ = ownerKey(owner)
	case err != nil:
		return tenants.Activation{}, err
	case r.version != a.Version:
		return tenants.Activation{}, r.conflict(what)
	}
	if err := s.mustHave(ctx, owner, a.To); err != nil {
		return tenants.Activation{}, err
	}
	if err := s.audit(ctx, owner, r); err != nil {
		return tenants.Activation{}, err
	}
	a.From, a.Version = r.revision, r.version+1
	if a.Time.IsZero() {
		a.Time = s.now()
	}
	a.Time = a.Time.UTC().Round(0)
	if err := s.move(ctx, what, &r, a); err != nil {
		return tenants.Activation{}, err
	}
	if err := s.audit(ctx, owner, r); err != nil {
		return tenants.Activation{}, fmt.Errorf("%s: revision %s is in force; its audit item is not written yet, listing the activations writes it: %w", what, a.To.Short(), err)
	}
	return a, nil
}

func (s *Store) mustHave(ctx context.Context, owner string, d tenants.Digest) error {
	k, ok := revisionKey(owner, d)
	if !ok {
		return notFound("revision %.80q of %s", d, describe(owner))
	}
	it, err := s.get(ctx, k, true)
	if err == nil && it == nil {
		err = notFound("revision %s of %s", d.Short(), describe(owner))
	}
	return err
}

// move writes the activation into the record, and into r.
func (s *Store) move(ctx context.Context, what string, r *record, a tenants.Activation) error {
	doc, err := document(a)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	mark := newMark()
	attributes := item{
		attrRevision: text(string(a.To)), attrVersion: number(a.Version),
		attrActivation: text(doc), attrActivator: text(mark),
	}
	if r.version == 0 {
		err = s.put(ctx, r.key, attributes, absent())
	} else {
		err = s.update(ctx, r.key, attributes, equal(attrVersion, number(r.version)))
	}
	if errors.Is(err, errCondition) {
		err = s.moved(ctx, what, r.key, a, mark)
	}
	r.revision, r.activation, r.activator, r.version = a.To, a, mark, a.Version
	return err
}

// moved looks who came between: perhaps nobody, and only the answer was lost.
func (s *Store) moved(ctx context.Context, what string, k key, a tenants.Activation, mark string) error {
	now, there, err := s.load(ctx, k)
	switch {
	case err != nil:
		return err
	case !there:
		return gone(what)
	case now.activator == mark:
		return nil
	}
	// Whoever came next wrote this activation's audit item before.
	at := key{k.pk, activationSort(a)}
	it, err := s.get(ctx, at, true)
	if err == nil && str(it, attrMark) == mark {
		return nil
	}
	return errors.Join(now.conflict(what), err)
}

// audit writes the audit item of a record's last activation, if it is not there.
func (s *Store) audit(ctx context.Context, owner string, r record) error {
	if r.revision == "" {
		return nil
	}
	k, ok := activationKey(owner, r.activation)
	if !ok {
		return damaged(r.key, "its activation names no digest")
	}
	doc, err := document(r.activation)
	if err != nil {
		return err
	}
	attributes := item{attrDoc: text(doc), attrMark: text(r.activator)}
	if s.auditKept > 0 {
		attributes[TTLAttribute] = number(r.activation.Time.Add(s.auditKept + time.Second).Unix())
	}
	err = s.put(ctx, k, attributes, absent())
	if errors.Is(err, errCondition) {
		return nil
	}
	return err
}

// Activations returns the owner's audit items, newest first.
func (s *Store) Activations(ctx context.Context, owner string) ([]tenants.Activation, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	r, err := s.owned(ctx, owner)
	if err != nil && !errors.Is(err, tenants.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		if err := s.audit(ctx, owner, r); err != nil {
			return nil, err
		}
	}
	k, ok := ownerKey(owner)
	if !ok {
		return nil, notFound("owner %.80q", owner)
	}
	items, err := s.query(ctx, k.pk, activationPrefix, true)
	if err != nil {
		return nil, err
	}
	var all []tenants.Activation
	for _, it := range items {
		var a tenants.Activation
		at := key{k.pk, str(it, SortKey)}
		if err := parse(str(it, attrDoc), &a); err != nil {
			return nil, damaged(at, "%s: %v", attrDoc, err)
		}
		if own, ok := activationKey(owner, a); !ok || own != at {
			return nil, damaged(at, "it has the document of another activation")
		}
		all = append(all, a)
	}
	// Clocks of publishers differ; versions do not.
	slices.SortStableFunc(all, func(a, b tenants.Activation) int { return cmp.Compare(b.Version, a.Version) })
	return all, nil
}
