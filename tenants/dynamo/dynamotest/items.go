package dynamotest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"regent/tenants/dynamo"
)

// Item is an item as it is stored.
type Item = map[string]types.AttributeValue

func client(t testing.TB) *dynamodb.Client {
	t.Helper()
	return dynamodb.NewFromConfig(*Config(Endpoint(t)))
}

// Get returns an item of a table, or nil, past any Store.
func Get(t testing.TB, table, pk, sk string) Item {
	t.Helper()
	out, err := client(t).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		Key: Item{
			dynamo.PartitionKey: &types.AttributeValueMemberS{Value: pk},
			dynamo.SortKey:      &types.AttributeValueMemberS{Value: sk},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// Put writes an item past any Store, over what is there.
func Put(t testing.TB, table string, it Item) {
	t.Helper()
	if _, err := client(t).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it}); err != nil {
		t.Fatal(err)
	}
}

// Edit changes an item past any Store. It fails the test if there is none.
func Edit(t testing.TB, table, pk, sk string, change func(Item)) {
	t.Helper()
	it := Get(t, table, pk, sk)
	if it == nil {
		t.Fatalf("there is no item %s / %s", pk, sk)
	}
	change(it)
	Put(t, table, it)
}

// Count returns the number of items of a table.
func Count(t testing.TB, table string) int {
	t.Helper()
	n := 0
	for pages := dynamodb.NewScanPaginator(client(t), &dynamodb.ScanInput{TableName: &table, Select: types.SelectCount}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += int(page.Count)
	}
	return n
}
