package identity

import "sync/atomic"

// Stats are counts since a Verifier was made: what is worth an alarm and shows in no
// single decision.
type Stats struct {
	// KeysInHeader counts tokens whose header brings a key or says where one is (jku,
	// jwk, x5u, x5c). None of it is ever used; a client that sends it may be probing.
	KeysInHeader uint64
	// UnusableKeys counts keys, in the key sets that were read, that verify nothing:
	// weak, of unknown type or not for signatures.
	UnusableKeys uint64
	// Requests counts the requests to providers, and Failures those of them without a
	// usable answer.
	Requests, Failures uint64
}

// counters are Stats being counted.
type counters struct {
	keysInHeader, unusableKeys, requests, failures atomic.Uint64
}

// Stats returns the counts as they are now.
func (v *Verifier) Stats() Stats {
	return Stats{
		KeysInHeader: v.counters.keysInHeader.Load(), UnusableKeys: v.counters.unusableKeys.Load(),
		Requests: v.counters.requests.Load(), Failures: v.counters.failures.Load(),
	}
}
