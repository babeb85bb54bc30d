// Package cache is a tenants.Store in front of another one: it answers from memory and
// asks the store as rarely as the age of its answers allows. It is what makes a store
// across the network fit for a decision on every request.
//
// An answer about a tenant, a selector, an API or the platform walks down a ladder by
// its age:
//
//	to Refresh      it is answered
//	to MustRefresh  it is answered, and read anew in the background
//	to MaxStale     it is read anew, then answered; if the store cannot be read, the old
//	                answer is given and noted as stale (tenants.WithStaleness)
//	beyond          it is read anew; if the store cannot be read, that is an error
//
// Age is what either clock says, the wall clock or the monotonic one, whichever says
// more: a function that was frozen for an hour has answers that are an hour old. No
// goroutine is needed between events. A read that a freeze caught is given up and
// another one takes its place; what it comes back with is dropped.
//
// There is one read of a key at a time, on a context of its own. After a read that
// failed, old answers are given without asking again, for a quarter of a second at
// first and five seconds at most. A store that fails slowly is left alone for all keys
// that have an old answer. A key without one is always asked for.
//
// Names that the store does not know are remembered for Unknown, as digests and a
// bounded number of them: random names cost one read each and no memory. What no tenant,
// selector, API or bundle can be called is not looked up at all.
//
// A record with a lower version than was seen is not adopted, for a read may lag. One
// that still has the lower version MustRefresh later was deleted and made anew, and
// counts from then on.
//
// A suspended tenant's record walks the same ladder as an active one's. Keeping it
// longer would deny, and let API Gateway cache the Deny, on a word that nobody could
// confirm; both end in an error, which grants nothing and is not cached. An older record
// never takes the place of a later one that was seen, so a suspension that was seen holds
// until the store says otherwise.
//
// Bundles are not kept: their digests are their names, and who compiles them keeps the
// outcome. It is not a general cache: it writes nothing, watches nothing, and what it
// was told by a store it believes. golang-lru keeps its answers; libraries with a ladder
// of their own go by one clock and run goroutines on timers, which a frozen function
// does not.
package cache
