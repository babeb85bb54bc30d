package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// digest stands for a token in caches. Its key never leaves the process, so a
// digest in a memory dump says nothing about the token.
type digest [sha256.Size]byte

type digestKey [sha256.Size]byte

func newDigestKey() (key digestKey) {
	rand.Read(key[:]) // never fails: it ends the process instead
	return key
}

// of digests parts so that no two lists of parts run into each other.
func (k *digestKey) of(parts ...string) (d digest) {
	mac := hmac.New(sha256.New, k[:])
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	mac.Sum(d[:0])
	return d
}
