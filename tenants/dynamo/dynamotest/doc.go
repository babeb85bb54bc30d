// Package dynamotest gives tests a DynamoDB-protocol server over the network: dynalite
// from npm, at a pinned version, on a free loopback port. It is started once for a test
// binary and ends with it. Each test gets a table of its own.
//
//	store := dynamotest.Open(t)
//
// It needs Node.js and `npm ci` in its directory. Without them tests are skipped, with
// the reason; where the variable CI is true they fail.
//
// Proxy puts faults between a Store and the server: those that a real service has and
// dynalite does not.
//
// What dynalite lacks: transactions, time to live, point-in-time recovery, and the
// existing item in the error of a failed condition. It is always consistent; the proxy
// can answer an eventually consistent read with an item as it was.
//
// It is for tests only.
package dynamotest
