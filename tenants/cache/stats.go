package cache

import "sync/atomic"

// Stats are counts since a Store was made. Every answer is one of Hits, Unknown,
// Refused, Read, Stale and Failed.
type Stats struct {
	// Hits are answers from memory, fresh or being read anew in the background.
	Hits uint64
	// Unknown are names that the store did not know a moment ago, and Refused those that
	// nothing can have. Neither was looked up.
	Unknown, Refused uint64
	// Read are answers that waited for the store, known or not.
	Read uint64
	// Stale are answers past MustRefresh, given because the store could not be read.
	Stale uint64
	// Failed are errors: the store could not be read and there was nothing to go on.
	Failed uint64

	// Reads counts reads of the store, Failures those without an answer, and Bundles the
	// bundles among them.
	Reads, Failures, Bundles uint64
	// Older counts records that were older than what had been seen, and not adopted.
	Older uint64
}

// counters are Stats being counted.
type counters struct {
	hits, unknown, refused, read, stale, failed atomic.Uint64
	reads, failures, bundles, older             atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Hits: c.hits.Load(), Unknown: c.unknown.Load(), Refused: c.refused.Load(), Read: c.read.Load(),
		Stale: c.stale.Load(), Failed: c.failed.Load(),
		Reads: c.reads.Load(), Failures: c.failures.Load(), Bundles: c.bundles.Load(), Older: c.older.Load(),
	}
}
