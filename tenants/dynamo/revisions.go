package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"regent/tenants"
)

// PutRevision stores a bundle and lists it among its owner's revisions. Storing what is
// there already changes nothing; r.Digest must be the bundle's.
func (s *Store) PutRevision(ctx context.Context, owner string, b tenants.Bundle, r tenants.Revision) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, ok := revisionKey(owner, r.Digest)
	if !ok {
		return fmt.Errorf("revision %.80q of %.80q: not a digest and an owner", r.Digest, owner)
	}
	if b.Digest() != r.Digest {
		return fmt.Errorf("revision %s: the bundle's digest is %s", r.Digest.Short(), b.Digest().Short())
	}
	doc, err := document(r)
	if err != nil {
		return fmt.Errorf("revision %s: %w", r.Digest.Short(), err)
	}
	if err := s.putBundle(ctx, b); err != nil {
		return err
	}
	if err := s.put(ctx, k, item{attrDoc: text(doc)}, absent()); err != nil && !errors.Is(err, errCondition) {
		return err
	}
	return nil
}

// Revisions returns an owner's revisions, newest first.
func (s *Store) Revisions(ctx context.Context, owner string) ([]tenants.Revision, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, ok := ownerKey(owner)
	if !ok {
		return nil, notFound("owner %.80q", owner)
	}
	items, err := s.query(ctx, k.pk, revisionPrefix, false)
	if err != nil {
		return nil, err
	}
	var all []tenants.Revision
	for _, it := range items {
		var r tenants.Revision
		at := key{str(it, PartitionKey), str(it, SortKey)}
		if err := parse(str(it, attrDoc), &r); err != nil {
			return nil, damaged(at, "%s: %v", attrDoc, err)
		}
		if own, ok := revisionKey(owner, r.Digest); !ok || own != at {
			return nil, damaged(at, "it has the document of revision %.80q", r.Digest)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b tenants.Revision) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Digest, b.Digest))
	})
	return all, nil
}
