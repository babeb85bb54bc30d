package dynamo

import (
	"context"
	"errors"
	"time"

	"regent/tenants"
)

// record is an item that changes under a version: a tenant, an API, and what says which
// revision of the platform or the workspace is in force.
type record struct {
	key key
	// doc is the tenant or the API; "" for the other two.
	doc     string
	version int64
	// author, at and mark say who wrote the record last, other than by an activation.
	author string
	at     time.Time
	mark   string
	// revision is in force by activation, which activator marked; "" if none is.
	revision   tenants.Digest
	activation tenants.Activation
	activator  string
}

func readRecord(k key, it item) (record, error) {
	version, err := num(it, attrVersion)
	if err != nil || version < 1 {
		return record{}, damaged(k, "%s is not a number from 1", attrVersion)
	}
	r := record{
		key: k, doc: str(it, attrDoc), version: version,
		author: str(it, attrAuthor), at: when(it, attrAt), mark: str(it, attrMark),
		revision: tenants.Digest(str(it, attrRevision)), activator: str(it, attrActivator),
	}
	if r.revision == "" {
		return r, nil
	}
	if err := parse(str(it, attrActivation), &r.activation); err != nil {
		return record{}, damaged(k, "%s: %v", attrActivation, err)
	}
	if !tenants.ValidDigest(r.revision) || r.activation.To != r.revision {
		return record{}, damaged(k, "%s and %s do not name one digest", attrRevision, attrActivation)
	}
	return r, nil
}

// load reads a record as it is now. It returns false if there is none.
func (s *Store) load(ctx context.Context, k key) (record, bool, error) {
	it, err := s.get(ctx, k, true)
	if err != nil || it == nil {
		return record{}, false, err
	}
	r, err := readRecord(k, it)
	return r, err == nil, err
}

// conflict says who wrote the record that is there.
func (r record) conflict(what string) error {
	e := &tenants.ConflictError{What: what, By: r.author, At: r.at, To: r.revision}
	if r.revision != "" && r.activation.Version == r.version {
		e.By, e.At = r.activation.Author, r.activation.Time
	}
	return e
}

// gone is the conflict with whoever removed the record, or never wrote one.
func gone(what string) error { return &tenants.ConflictError{What: what} }

// store writes doc in place of the record that has this version, 0 for none; first is
// the version of a new record. It returns the version that was written, or a conflict.
func (s *Store) store(ctx context.Context, k key, what, doc string, version, first int64) (int64, error) {
	mark := newMark()
	attributes := item{
		attrDoc: text(doc), attrVersion: number(version + 1), attrAuthor: text(s.author),
		attrAt: instant(s.now()), attrMark: text(mark),
	}
	var err error
	if version == 0 {
		version = first - 1
		attributes[attrVersion] = number(first)
		err = s.put(ctx, k, attributes, absent())
	} else {
		err = s.update(ctx, k, attributes, equal(attrVersion, number(version)))
	}
	if !errors.Is(err, errCondition) {
		return version + 1, err
	}
	r, there, err := s.load(ctx, k)
	switch {
	case err != nil:
		return 0, err
	case !there:
		return 0, gone(what)
	case r.mark == mark:
		return version + 1, nil // an answer was lost
	default:
		return 0, r.conflict(what)
	}
}

// firstVersion returns the version of a new record: above those of a removed one, so
// that no version ever means two things. It lists the id, too. A list never forgets:
// that an id is in use is said by its record.
func (s *Store) firstVersion(ctx context.Context, list key) (int64, error) {
	it, err := s.get(ctx, list, true)
	if err != nil {
		return 0, err
	}
	if it == nil {
		err := s.put(ctx, list, item{attrVersion: number(0)}, absent())
		if err == nil || errors.Is(err, errCondition) {
			return 1, nil
		}
		return 0, err
	}
	last, err := num(it, attrVersion)
	if err != nil {
		return 0, damaged(list, "%v", err)
	}
	return last + 1, nil
}

// erase removes the record that has this version, and remembers the version in the list.
func (s *Store) erase(ctx context.Context, r record, list key, what string, version int64) error {
	if r.version != version {
		return r.conflict(what)
	}
	// Not below what is there: the record may have been removed and made anew meanwhile,
	// and then the condition of its removal will not hold.
	older := condition{"attribute_not_exists(#pk) OR #version <= :is", []string{PartitionKey, attrVersion}, item{":is": number(version)}}
	err := s.put(ctx, list, item{attrVersion: number(version)}, older)
	if err != nil && !errors.Is(err, errCondition) {
		return err
	}
	err = s.remove(ctx, r.key, equal(attrVersion, number(version)))
	if !errors.Is(err, errCondition) {
		return err
	}
	now, there, err := s.load(ctx, r.key)
	switch {
	case err != nil:
		return err
	case there:
		return now.conflict(what)
	default:
		// It is gone, by an attempt of this call whose answer was lost or by somebody else
		// who removed the same version: either way, as was asked.
		return nil
	}
}

// listed returns the records of a list, in the order of their ids.
func listed[T any](ctx context.Context, s *Store, list string, keyOf func(id string) (key, bool), read func(key, item) (T, error)) ([]T, error) {
	entries, err := s.query(ctx, list, "", false)
	if err != nil {
		return nil, err
	}
	var keys []key
	for _, e := range entries {
		k, ok := keyOf(str(e, SortKey))
		if !ok {
			return nil, damaged(listKey(list, str(e, SortKey)), "not an id")
		}
		keys = append(keys, k)
	}
	found, err := s.getAll(ctx, keys, true)
	if err != nil {
		return nil, err
	}
	var all []T
	for _, k := range keys {
		if it := found[k]; it != nil {
			one, err := read(k, it)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}
