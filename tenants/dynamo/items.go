package dynamo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The attributes of items beside their keys.
const (
	attrFormat     = "format"     // number: itemFormat
	attrDoc        = "doc"        // string: the value as a JSON document
	attrVersion    = "version"    // number: the record's version
	attrRevision   = "revision"   // string: the digest in force
	attrActivation = "activation" // string: the last activation as a JSON document
	attrActivator  = "activator"  // string: the mark of the call that activated
	attrAuthor     = "author"     // string: who wrote the record
	attrAt         = "at"         // string: when, RFC 3339
	attrMark       = "mark"       // string: the mark of the call that wrote the item
	attrTenant     = "tenant"     // string: whom a selector value names
	attrData       = "data"       // binary: a piece of a bundle
	attrCount      = "count"      // number: of pieces
	attrPacked     = "packed"     // number: bytes of all pieces
	attrUnpacked   = "unpacked"   // number: bytes of the tarball in them
)

// itemFormat is written into every item. What has another is not read: it may mean
// something that this release does not know.
const itemFormat = 1

// maxDoc bounds a JSON document, in bytes. An item may have 400 KB with its names.
const maxDoc = 380 << 10

// newMark returns what no other call's items carry.
func newMark() string { return rand.Text() }

func (s *Store) get(ctx context.Context, k key, consistent bool) (item, error) {
	out, err := call(ctx, s, "GetItem", func(ctx context.Context) (*dynamodb.GetItemOutput, error) {
		return s.client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &s.table, Key: k.item(), ConsistentRead: aws.Bool(consistent),
		})
	})
	if err != nil || out.Item == nil {
		return nil, err
	}
	return out.Item, checkItem(k, out.Item)
}

// find is get, and an item that an eventually consistent read does not see is asked for
// once more.
func (s *Store) find(ctx context.Context, k key) (item, error) {
	it, err := s.get(ctx, k, s.consistent)
	if err != nil || it != nil || s.consistent {
		return it, err
	}
	return s.get(ctx, k, true)
}

// batchSize is the most keys that a BatchGetItem takes.
const batchSize = 100

// getAll gets items in any order; those that do not exist are left out. Keys that the
// service leaves unprocessed are asked for again, as a retry.
func (s *Store) getAll(ctx context.Context, keys []key, consistent bool) (map[key]item, error) {
	found := map[key]item{}
	var pending []item
	for _, k := range keys {
		pending = append(pending, k.item())
	}
	for retries := 0; len(pending) > 0; {
		batch := pending[:min(batchSize, len(pending))]
		out, err := call(ctx, s, "BatchGetItem", func(ctx context.Context) (*dynamodb.BatchGetItemOutput, error) {
			return s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				s.table: {Keys: batch, ConsistentRead: aws.Bool(consistent)},
			}})
		})
		if err != nil {
			return nil, err
		}
		for _, it := range out.Responses[s.table] {
			k := key{str(it, PartitionKey), str(it, SortKey)}
			if err := checkItem(k, it); err != nil {
				return nil, err
			}
			found[k] = it
		}
		left := out.UnprocessedKeys[s.table].Keys
		pending = append(left[:len(left):len(left)], pending[len(batch):]...)
		switch {
		case len(left) < len(batch):
			retries = 0 // some of them came
		case retries >= s.limits.Retries || !s.budget.take() || !sleep(ctx, jitter(s.limits.Backoff, retries)):
			return nil, &Error{
				What: fmt.Sprintf("DynamoDB BatchGetItem, table %s: %d items were not processed", s.table, len(left)),
				Code: "UnprocessedKeys", cause: ctx.Err(),
			}
		default:
			retries++
		}
	}
	return found, nil
}

// query returns the items of a partition whose sort key begins with prefix, in the
// order of their sort keys.
func (s *Store) query(ctx context.Context, pk, prefix string, descending bool) ([]item, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(!descending),
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": PartitionKey},
		ExpressionAttributeValues: item{":pk": text(pk)},
	}
	if prefix != "" {
		in.KeyConditionExpression = aws.String("#pk = :pk AND begins_with(#sk, :prefix)")
		in.ExpressionAttributeNames["#sk"] = SortKey
		in.ExpressionAttributeValues[":prefix"] = text(prefix)
	}
	var all []item
	for {
		out, err := call(ctx, s, "Query", func(ctx context.Context) (*dynamodb.QueryOutput, error) {
			return s.client.Query(ctx, in)
		})
		if err != nil {
			return nil, err
		}
		for _, it := range out.Items {
			if err := checkItem(key{pk, str(it, SortKey)}, it); err != nil {
				return nil, err
			}
		}
		all = append(all, out.Items...)
		if len(out.LastEvaluatedKey) == 0 {
			return all, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// condition is a condition expression; attributes are #name, values :name.
type condition struct {
	expression string
	names      []string
	values     item
}

// absent holds if the item does not exist.
func absent() condition {
	return condition{"attribute_not_exists(#pk)", []string{PartitionKey}, nil}
}

// equal holds if the attribute has this value.
func equal(name string, v types.AttributeValue) condition {
	return condition{fmt.Sprintf("#%s = :is_%s", name, name), []string{name}, item{":is_" + name: v}}
}

func (c condition) expressionOf() (expression *string, names map[string]string, values item) {
	if c.expression == "" {
		return nil, nil, nil
	}
	names = map[string]string{}
	for _, n := range c.names {
		names["#"+n] = n
	}
	return &c.expression, names, c.values
}

// put writes an item as a whole. It returns errCondition if the condition does not
// hold, which may be the doing of an attempt of its own whose answer was lost.
func (s *Store) put(ctx context.Context, k key, attributes item, c condition) error {
	it := k.item()
	it[attrFormat] = number(itemFormat)
	for name, v := range attributes {
		it[name] = v
	}
	expression, names, values := c.expressionOf()
	_, err := call(ctx, s, "PutItem", func(ctx context.Context) (*dynamodb.PutItemOutput, error) {
		return s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &s.table, Item: it, ConditionExpression: expression,
			ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
	})
	return err
}

// update sets attributes of an item.
func (s *Store) update(ctx context.Context, k key, attributes item, c condition) error {
	expression, names, values := c.expressionOf()
	if names == nil {
		names = map[string]string{}
	}
	all := item{}
	for name, v := range values {
		all[name] = v
	}
	sets := ""
	for name, v := range attributes {
		names["#"+name], all[":"+name] = name, v
		sets += fmt.Sprintf(", #%s = :%s", name, name)
	}
	_, err := call(ctx, s, "UpdateItem", func(ctx context.Context) (*dynamodb.UpdateItemOutput, error) {
		return s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.table, Key: k.item(), UpdateExpression: aws.String("SET " + sets[2:]),
			ConditionExpression: expression, ExpressionAttributeNames: names, ExpressionAttributeValues: all,
		})
	})
	return err
}

// remove deletes an item if the condition holds.
func (s *Store) remove(ctx context.Context, k key, c condition) error {
	expression, names, values := c.expressionOf()
	_, err := call(ctx, s, "DeleteItem", func(ctx context.Context) (*dynamodb.DeleteItemOutput, error) {
		return s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.table, Key: k.item(), ConditionExpression: expression,
			ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
	})
	return err
}

// checkItem holds an item to its key and its format.
func checkItem(k key, it item) error {
	if str(it, PartitionKey) != k.pk || str(it, SortKey) != k.sk {
		return &Error{What: fmt.Sprintf("DynamoDB answered with another item than %s / %s", k.pk, k.sk)}
	}
	if n, err := num(it, attrFormat); err != nil || n != itemFormat {
		return damaged(k, "its format is not %d: it was written by another release of Regent, or by hand", itemFormat)
	}
	return nil
}

// str returns a string attribute, or "" if there is none.
func str(it item, name string) string {
	if s, ok := it[name].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

var errNoNumber = errors.New("is not a whole number")

func num(it item, name string) (int64, error) {
	v, ok := it[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, fmt.Errorf("%s %w", name, errNoNumber)
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %w", name, errNoNumber)
	}
	return n, nil
}

func when(it item, name string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, str(it, name)) // zero for none: it is told, not judged by
	return t
}

// document writes a value as JSON. Numbers, nulls and nesting come back as they were,
// which DynamoDB's own types do not promise to encoding/json's.
func document(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("write as JSON: %w", err)
	}
	if b.Len() > maxDoc {
		return "", fmt.Errorf("%d bytes as JSON, and an item of DynamoDB holds %d", b.Len(), maxDoc)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// readable is document, for records: one that could not be read back is refused now, not
// when a request needs it.
func readable[V any](v V) (string, error) {
	doc, err := document(v)
	if err != nil {
		return "", err
	}
	if err := parse(doc, new(V)); err != nil {
		return "", fmt.Errorf("it could not be read again: %w", err)
	}
	return doc, nil
}

// parse reads what document wrote. A member that is not known may restrict something,
// so it is refused.
func parse(doc string, v any) error {
	dec := json.NewDecoder(bytes.NewReader([]byte(doc)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
