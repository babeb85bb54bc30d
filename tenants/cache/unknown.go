package cache

import "crypto/sha256"

// unknowns remembers names that the store does not know, in two generations: when the
// younger one is full the older one is forgotten. A name is kept as a digest, so that
// memory is flat whatever the names are. It is not safe for concurrent use.
type unknowns struct {
	size         int // of one generation
	young, older map[nameDigest]stamp
}

// nameDigest stands for a name. Nobody finds two names with the same one.
type nameDigest [16]byte

func digestOf(name string) nameDigest {
	sum := sha256.Sum256([]byte(name))
	return nameDigest(sum[:16])
}

// since returns when the store was last asked for a name that it did not know.
func (u *unknowns) since(d nameDigest) (stamp, bool) {
	if s, ok := u.young[d]; ok {
		return s, true
	}
	s, ok := u.older[d]
	return s, ok
}

func (u *unknowns) add(d nameDigest, asked stamp) {
	if u.young == nil || len(u.young) >= u.size {
		u.older, u.young = u.young, make(map[nameDigest]stamp)
	}
	u.young[d] = asked
}

func (u *unknowns) remove(d nameDigest) {
	delete(u.young, d)
	delete(u.older, d)
}

func (u *unknowns) len() int { return len(u.young) + len(u.older) }
