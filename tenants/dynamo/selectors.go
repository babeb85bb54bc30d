package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"regent/tenants"
)

// A reservation that no record confirms may be taken by another tenant once it is older
// than reservedFor. Whoever reserves writes the record within maxReserving, so that
// nobody's is taken while it is in use, even if clocks differ by minutes.
const (
	reservedFor  = 10 * time.Minute
	maxReserving = 2 * time.Minute
)

// holding is a selector value of a record that is to be written or was.
type holding struct {
	kind  tenants.SelectorKind
	value string
	key   key
	// before and after say whether the record has it, before the write and after.
	before, after bool
	// item is what is stored, nil for nothing; mark is that of this call's reservation,
	// "" if it needed none.
	item item
	mark string
}

// holdings reads the items of all values that either record has.
func (s *Store) holdings(ctx context.Context, before, after tenants.Selectors) ([]holding, error) {
	var all []holding
	var keys []key
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		values := slices.Concat(before.Of(kind), after.Of(kind))
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			k, ok := selectorKey(kind, v)
			if !ok {
				return nil, fmt.Errorf("%s selector %.40q: empty, longer than %d bytes or not UTF-8", kind, v, maxValue)
			}
			all = append(all, holding{
				kind: kind, value: v, key: k,
				before: slices.Contains(before.Of(kind), v), after: slices.Contains(after.Of(kind), v),
			})
			keys = append(keys, k)
		}
	}
	found, err := s.getAll(ctx, keys, true)
	for i := range all {
		all[i].item = found[all[i].key]
	}
	return all, err
}

// reserve makes every value of the record after name the tenant. A value that it gains
// is written anew even if the item is the tenant's: with a mark of its own, so that
// nobody's earlier intention to release it counts.
func (s *Store) reserve(ctx context.Context, id string, values []holding) error {
	for i := range values {
		h := &values[i]
		if !h.after || (h.before && str(h.item, attrTenant) == id) {
			continue
		}
		if err := s.takeable(ctx, id, *h); err != nil {
			return err
		}
		c := absent()
		if h.item != nil {
			c = equal(attrMark, text(str(h.item, attrMark)))
		}
		h.mark = newMark()
		err := s.put(ctx, h.key, item{attrTenant: text(id), attrMark: text(h.mark), attrAt: instant(s.now())}, c)
		if errors.Is(err, errCondition) {
			err = s.reserved(ctx, id, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeable reports why a value cannot be reserved: another tenant has it, or is about
// to.
func (s *Store) takeable(ctx context.Context, id string, h holding) error {
	owner := str(h.item, attrTenant)
	if h.item == nil || owner == id {
		return nil
	}
	taken := &tenants.TakenError{Kind: h.kind, Value: h.value, Tenant: owner}
	if at := when(h.item, attrAt); s.now().Sub(at) < reservedFor {
		return taken
	}
	confirmed, err := s.selected(ctx, h.key, h.kind, h.value, true)
	if err != nil {
		return err
	}
	if confirmed != "" {
		return taken
	}
	return nil
}

// reserved looks who came between.
func (s *Store) reserved(ctx context.Context, id string, h *holding) error {
	it, err := s.get(ctx, h.key, true)
	switch {
	case err != nil:
		return err
	case str(it, attrMark) == h.mark:
		return nil // an answer was lost
	}
	h.mark = ""
	if owner := str(it, attrTenant); owner != "" && owner != id {
		return &tenants.TakenError{Kind: h.kind, Value: h.value, Tenant: owner}
	}
	return &tenants.ConflictError{What: fmt.Sprintf("%s selector %q", h.kind, h.value), At: when(it, attrAt)}
}

// release removes what the record after no longer has.
func (s *Store) release(ctx context.Context, id string, values []holding) error {
	for _, h := range values {
		if h.after || str(h.item, attrTenant) != id {
			continue
		}
		if err := s.drop(ctx, h.key, h.item[attrMark]); err != nil {
			return fmt.Errorf("the record is written; %s selector %q, which names nobody now, is not released: %w", h.kind, h.value, err)
		}
	}
	return nil
}

// undo removes the reservations of a call that lost, unless the record that is stored
// has them too. After any other failure they stay: this call's record may be written
// yet. It returns cause.
func (s *Store) undo(ctx context.Context, id string, values []holding, cause error) error {
	var taken *tenants.TakenError
	if !errors.Is(cause, tenants.ErrConflict) && !errors.As(cause, &taken) {
		return cause
	}
	k, _ := tenantKey(id)
	r, there, err := s.load(ctx, k)
	if err != nil {
		return cause
	}
	var t tenants.Tenant
	if there {
		if t, err = r.tenant(); err != nil {
			return cause
		}
	}
	for _, h := range values {
		if h.mark != "" && !slices.Contains(t.Selectors.Of(h.kind), h.value) {
			_ = s.drop(ctx, h.key, text(h.mark)) // a reservation names nobody
		}
	}
	return cause
}

// drop removes an item if it still has the mark.
func (s *Store) drop(ctx context.Context, k key, mark types.AttributeValue) error {
	err := s.remove(ctx, k, equal(attrMark, mark))
	if errors.Is(err, errCondition) {
		return nil
	}
	return err
}
