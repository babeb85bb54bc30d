// Package dynamo keeps tenants, APIs and bundles in one DynamoDB table (DESIGN.md §6).
// Its Store is a tenants.Registry and a tenants.ParkingLot.
//
// # Two uses
//
// The zero value of Options is for the function: short limits (an attempt 150 ms, all of
// a method 400 ms, at most two retries out of a budget) and eventually consistent reads
// that are repeated consistently before anything is said not to exist. The command line
// sets Options.Administer: every read is consistent, and limits are patient.
//
// What each use needs to be allowed is in ReadActions, ParkActions, PublishActions and
// TableActions, and docs/dynamodb.md explains the items. The function reads by GetItem
// and BatchGetItem alone: it can neither list nor search.
//
// # Writing without transactions
//
// Every item is written by one conditional write, and each carries the mark of the call
// that wrote it, so that a write whose answer was lost is recognised when it is repeated.
// Writes to several items are ordered so that every state in between is right:
//
//   - a bundle's first chunk, which has the count of the others, is written last;
//   - a revision is listed after its bundle is stored and was read back;
//   - selector values are reserved before the record that holds them is written, and
//     released after the record that does not; Select answers only what the record
//     confirms, so that a reservation by itself names nobody;
//   - an activation is one update of the owner's record, which has the whole of the
//     activation in it; its audit item is written then, or by whoever activates or lists
//     next.
//
// # What it is not
//
// It caches nothing and compiles nothing, and it does not judge records: its callers use
// Tenant.Validate, API.Validate and CheckProviders. It never falls back to an older
// answer either; that is for the cache in front of it.
//
// A Store may be used by many goroutines, and a table by many processes. Nothing runs in
// the background between calls.
package dynamo
