package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"regent/tenants"
)

// Bundle returns the bundle with this digest, verified against it.
func (s *Store) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	b, there, err := s.bundle(ctx, digest, s.consistent)
	if err == nil && !there {
		return tenants.Bundle{}, notFound("bundle %.80q", digest)
	}
	return b, err
}

// bundle returns false if the first piece is not there: it is written last.
func (s *Store) bundle(ctx context.Context, d tenants.Digest, consistent bool) (tenants.Bundle, bool, error) {
	k, ok := chunkKey(d, 0)
	if !ok {
		return tenants.Bundle{}, false, nil
	}
	first, err := s.get(ctx, k, consistent)
	if err == nil && first == nil && !consistent {
		first, err = s.get(ctx, k, true)
	}
	if err != nil || first == nil {
		return tenants.Bundle{}, false, err
	}
	m, err := readManifest(k, first)
	if err != nil {
		return tenants.Bundle{}, false, err
	}
	packed, err := s.pieces(ctx, d, m, first)
	if err != nil {
		return tenants.Bundle{}, false, err
	}
	b, err := unpack(d, packed, m.unpacked)
	if err != nil {
		return tenants.Bundle{}, false, damaged(k, "%v (publish the same files again to repair it)", err)
	}
	return b, true, nil
}

// manifest is what the first piece says of all of them.
type manifest struct{ count, packed, unpacked int }

func readManifest(k key, it item) (manifest, error) {
	count, err1 := num(it, attrCount)
	packed, err2 := num(it, attrPacked)
	unpacked, err3 := num(it, attrUnpacked)
	if err := errors.Join(err1, err2, err3); err != nil {
		return manifest{}, damaged(k, "%v", err)
	}
	if packed < 1 || packed > maxPacked || count != (packed+chunkSize-1)/chunkSize || unpacked < 0 || unpacked > maxTar {
		return manifest{}, damaged(k, "%d pieces, %d bytes packed, %d unpacked: no bundle is so", count, packed, unpacked)
	}
	return manifest{int(count), int(packed), int(unpacked)}, nil
}

// pieces puts a bundle's pieces together. Those that an eventually consistent read does
// not see are asked for once more.
func (s *Store) pieces(ctx context.Context, d tenants.Digest, m manifest, first item) ([]byte, error) {
	var rest []key
	for n := 1; n < m.count; n++ {
		k, _ := chunkKey(d, n) // of a digest whose first piece has a key
		rest = append(rest, k)
	}
	found, err := s.getAll(ctx, rest, s.consistent)
	if err != nil {
		return nil, err
	}
	if len(found) < len(rest) && !s.consistent {
		if found, err = s.getAll(ctx, rest, true); err != nil {
			return nil, err
		}
	}
	packed := make([]byte, 0, m.packed)
	for n := range m.count {
		k, _ := chunkKey(d, n)
		it := first
		if n > 0 {
			it = found[k]
		}
		data, ok := it[attrData].(*types.AttributeValueMemberB)
		if want := min(chunkSize, m.packed-n*chunkSize); !ok || len(data.Value) != want {
			return nil, damaged(k, "it is not there or has not the %d bytes that the first piece tells (publish the same files again to repair it)", want)
		}
		packed = append(packed, data.Value...)
	}
	return packed, nil
}

// putBundle stores a bundle unless it is there and whole. The first piece comes last:
// until then, nobody sees the others.
func (s *Store) putBundle(ctx context.Context, b tenants.Bundle) error {
	_, there, err := s.bundle(ctx, b.Digest(), true)
	if err == nil && there {
		return nil
	}
	var wrong *Error
	repair := errors.As(err, &wrong) && wrong.Code == "" // stored, and not usable
	if err != nil && !repair {
		return err
	}
	packed, unpacked, err := pack(b)
	if err != nil {
		return err
	}
	count := (len(packed) + chunkSize - 1) / chunkSize
	for n := count - 1; n >= 0; n-- {
		piece := packed[n*chunkSize : min((n+1)*chunkSize, len(packed))]
		attributes := item{attrData: &types.AttributeValueMemberB{Value: piece}}
		c := condition{}
		if n == 0 {
			attributes[attrCount], attributes[attrPacked], attributes[attrUnpacked] = number(int64(count)), number(int64(len(packed))), number(int64(unpacked))
			if !repair {
				c = absent()
			}
		}
		k, ok := chunkKey(b.Digest(), n)
		if !ok {
			return fmt.Errorf("bundle: %.80q is not a digest", b.Digest())
		}
		if err := s.put(ctx, k, attributes, c); err != nil && !errors.Is(err, errCondition) {
			return err
		}
	}
	// Another release of Go may pack differently, and two publishers of one bundle may
	// have mixed their pieces: what counts is what comes back.
	if _, there, err := s.bundle(ctx, b.Digest(), true); err != nil || !there {
		return fmt.Errorf("the bundle did not come back as it was stored: %w", errors.Join(err, errors.New("publish it again")))
	}
	return nil
}
