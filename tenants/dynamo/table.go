package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// settle is how often CreateTable looks whether the table can be used.
const settle = 100 * time.Millisecond

// maxCreating bounds CreateTable: DynamoDB takes seconds, rarely more.
const maxCreating = 5 * time.Minute

// CreateTable makes the table: on-demand, with point-in-time recovery and time to live.
// A table that is there is left as it is if its key is right, and gets the two settings.
// It returns once the table can be used. What the server does not know (emulators lack
// much) is no error; warnings say what is missing.
func (s *Store) CreateTable(ctx context.Context) (warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxCreating)
	defer cancel()
	_, err = call(ctx, s, "CreateTable", func(ctx context.Context) (*dynamodb.CreateTableOutput, error) {
		return s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: &s.table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String(PartitionKey), AttributeType: types.ScalarAttributeTypeS},
				{AttributeName: aws.String(SortKey), AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String(PartitionKey), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(SortKey), KeyType: types.KeyTypeRange},
			},
		})
	})
	var failed *Error
	if err != nil && !(errors.As(err, &failed) && failed.Code == "ResourceInUseException") {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	_, err = call(ctx, s, "UpdateContinuousBackups", func(ctx context.Context) (*dynamodb.UpdateContinuousBackupsOutput, error) {
		return s.client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &s.table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
	})
	if err := warn(&warnings, "point-in-time recovery is not on", err); err != nil {
		return nil, err
	}
	err = warn(&warnings, "time to live is not on, so parked revisions stay in the table", s.timeToLive(ctx))
	return warnings, err
}

// ready waits until the table can be used, and holds it to the schema.
func (s *Store) ready(ctx context.Context) error {
	for {
		out, err := call(ctx, s, "DescribeTable", func(ctx context.Context) (*dynamodb.DescribeTableOutput, error) {
			return s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table})
		})
		var failed *Error
		switch {
		case errors.As(err, &failed) && failed.Code == "ResourceNotFoundException": // not seen yet
		case err != nil:
			return err
		case out.Table.TableStatus == types.TableStatusActive, out.Table.TableStatus == types.TableStatusUpdating:
			return s.checkSchema(out.Table)
		case out.Table.TableStatus != types.TableStatusCreating:
			return &Error{What: fmt.Sprintf("table %s is %s", s.table, out.Table.TableStatus), Permanent: true}
		}
		if !sleep(ctx, settle) {
			return &Error{What: fmt.Sprintf("table %s is still being created", s.table), Code: CodeTimeout, cause: ctx.Err()}
		}
	}
}

func (s *Store) checkSchema(table *types.TableDescription) error {
	want := map[string]types.KeyType{PartitionKey: types.KeyTypeHash, SortKey: types.KeyTypeRange}
	right := len(table.KeySchema) == len(want)
	for _, e := range table.KeySchema {
		right = right && want[aws.ToString(e.AttributeName)] == e.KeyType
	}
	for _, a := range table.AttributeDefinitions {
		if _, ours := want[aws.ToString(a.AttributeName)]; ours {
			right = right && a.AttributeType == types.ScalarAttributeTypeS
		}
	}
	if right {
		return nil
	}
	return &Error{
		What:      fmt.Sprintf("table %s is there, with another key than the strings %s and %s", s.table, PartitionKey, SortKey),
		Hint:      "it is somebody else's table: choose another name",
		Permanent: true,
	}
}

// timeToLive turns it on. DynamoDB refuses to turn on what is on.
func (s *Store) timeToLive(ctx context.Context) error {
	out, err := call(ctx, s, "DescribeTimeToLive", func(ctx context.Context) (*dynamodb.DescribeTimeToLiveOutput, error) {
		return s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.table})
	})
	if err != nil {
		return err
	}
	if d := out.TimeToLiveDescription; d != nil && aws.ToString(d.AttributeName) == TTLAttribute && d.TimeToLiveStatus != types.TimeToLiveStatusDisabled {
		return nil
	}
	_, err = call(ctx, s, "UpdateTimeToLive", func(ctx context.Context) (*dynamodb.UpdateTimeToLiveOutput, error) {
		return s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName:               &s.table,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(TTLAttribute), Enabled: aws.Bool(true)},
		})
	})
	return err
}

// warn makes a warning of an operation that the server does not know.
func warn(warnings *[]string, what string, err error) error {
	var failed *Error
	if errors.As(err, &failed) && failed.Code == "UnknownOperationException" {
		*warnings = append(*warnings, what+": the server does not know how")
		return nil
	}
	return err
}
