package dynamo

// Schema is what a table must be like: the names that a template repeats.
type Schema struct {
	// PartitionKey and SortKey are the attributes of the primary key, both strings.
	PartitionKey, SortKey string
	// TTLAttribute has the time at which DynamoDB may remove an item, in seconds since
	// 1970. Parked revisions have it, and audit items if Options.AuditKept is set.
	TTLAttribute string
	// Indexes are the names of secondary indexes: none. Lists are items of the table
	// itself, which can be read consistently; an index cannot.
	Indexes []string
}

// TableSchema returns what CreateTable makes and every template must make.
func TableSchema() Schema {
	return Schema{PartitionKey: PartitionKey, SortKey: SortKey, TTLAttribute: TTLAttribute}
}

// ReadActions are the IAM actions on the table that deciding needs.
func ReadActions() []string {
	return []string{"dynamodb:BatchGetItem", "dynamodb:GetItem"}
}

// ParkActions are the IAM actions that Park needs, on partition keys that begin with
// ParkPrefix alone (condition dynamodb:LeadingKeys). A function without them works, and
// its parked revisions show in its own log only.
func ParkActions() []string { return []string{"dynamodb:PutItem"} }

// ParkPrefix begins the partition keys of parked revisions.
const ParkPrefix = "PARKED#"

// PublishActions are the IAM actions on the table that a publisher needs.
func PublishActions() []string {
	return []string{
		"dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem",
		"dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
	}
}

// TableActions are the IAM actions that CreateTable needs.
func TableActions() []string {
	return []string{
		"dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive",
		"dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTimeToLive",
	}
}
