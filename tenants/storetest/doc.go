// Package storetest is the conformance suites of tenants.Store, tenants.Registry and
// tenants.ParkingLot: one case for each sentence of a contract, under the sentence itself
// as its name. Every implementation runs those that it claims to be, so what others rely
// on is written down once and holds everywhere.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
//			return ... // a fresh store that holds the seed
//		})
//	}
//
// The suite of tenants.Registry wants storage that several processes share, and processes
// that are killed between two writes: a Backend.
//
// It is for tests only. How a store is watched or cached is the implementation's own
// business.
package storetest
