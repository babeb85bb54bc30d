// Package storetest is the conformance suite of tenants.Store: one case for each
// sentence of its contract, under the sentence itself as its name. Every
// implementation runs it, so what the engine relies on is written down once and
// holds everywhere.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
//			return ... // a fresh store that holds the seed
//		})
//	}
//
// It is for tests only, and it says nothing about writing: how a store is filled,
// watched or cached is the implementation's own business.
package storetest
