package dynamo_test

import (
	"testing"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
)

// The function's store reads what an administrator's wrote.
func TestStoreContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
		table := dynamotest.Table(t)
		admin := dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Administer: true})
		storetest.Fill(t, admin, seed)
		return dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Limits: patient()})
	})
}
