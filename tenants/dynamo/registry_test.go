package dynamo_test

import (
	"testing"
	"time"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
)

func TestRegistryContract(t *testing.T) {
	t.Parallel()
	storetest.RunRegistry(t, func(t *testing.T) storetest.Backend { return backend{dynamotest.Table(t)} })
}

func TestParkingContract(t *testing.T) {
	t.Parallel()
	storetest.RunParking(t, func(t *testing.T) tenants.ParkingLot { return dynamotest.Open(t) })
}

// backend is a table.
type backend struct{ table string }

func (b backend) Open(t testing.TB) tenants.Registry { return b.at(t, dynamotest.Endpoint(t)) }

func (b backend) at(t testing.TB, endpoint string) *dynamo.Store {
	return dynamotest.OpenAt(t, endpoint, dynamo.Options{Table: b.table, Administer: true, Author: "ann"})
}

// OpenKilled has a proxy that resets the connection of every further write.
func (b backend) OpenKilled(t testing.TB, writes int) tenants.Registry {
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	proxy.Add(dynamotest.Fault{Kind: dynamotest.Reset, Operation: dynamotest.Writes, After: writes})
	return dynamotest.OpenAt(t, proxy.URL, dynamo.Options{
		Table: b.table, Administer: true, Author: "ann", Limits: dynamo.Limits{Retries: -1, Total: 20 * time.Second},
	})
}
