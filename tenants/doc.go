// Package tenants says what Regent knows about its customers and the APIs they
// stand behind: the Tenant, the API, the Bundle of rules, and the Store that the
// engine reads them from.
//
// It holds plain values and the contract of a store. It reads no file and speaks
// no protocol (tenants/dir and tenants/dynamo do), and it depends on the standard
// library alone. Values are not changed after they are built: a Store hands out
// the same Tenant, API or Bundle to many goroutines.
package tenants
