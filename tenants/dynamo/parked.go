package dynamo

import (
	"context"
	"fmt"
	"time"

	"regent/tenants"
)

// Park notes that the tenant's revision is parked. It is kept until p.Until.
func (s *Store) Park(ctx context.Context, tenant string, p tenants.Parked) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, ok := parkedKey(tenant, p.Revision)
	if !ok {
		return fmt.Errorf("park %.80q of tenant %.80q: not a digest and a tenant's id", p.Revision, tenant)
	}
	doc, err := document(p)
	if err != nil {
		return fmt.Errorf("park: %w", err)
	}
	// DynamoDB removes it some time after; what has ended is not returned before that.
	expires := p.Until.Add(time.Second).Unix()
	return s.put(ctx, k, item{attrDoc: text(doc), TTLAttribute: number(expires)}, condition{})
}

// Parked returns what is noted for the tenant and has not ended at now.
func (s *Store) Parked(ctx context.Context, tenant string, now time.Time) ([]tenants.Parked, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if !tenants.ValidID(tenant) {
		return nil, nil
	}
	pk := ParkPrefix + tenant
	items, err := s.query(ctx, pk, "", false)
	if err != nil {
		return nil, err
	}
	var all []tenants.Parked
	for _, it := range items {
		var p tenants.Parked
		at := key{pk, str(it, SortKey)}
		if err := parse(str(it, attrDoc), &p); err != nil {
			return nil, damaged(at, "%s: %v", attrDoc, err)
		}
		if own, ok := parkedKey(tenant, p.Revision); !ok || own != at {
			return nil, damaged(at, "it has the document of revision %.80q", p.Revision)
		}
		if now.Before(p.Until) {
			all = append(all, p)
		}
	}
	return all, nil
}
