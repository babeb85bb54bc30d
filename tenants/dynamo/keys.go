package dynamo

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"regent/tenants"
)

// The attributes of the primary key, and of the time at which an item may be removed.
const (
	PartitionKey = "pk"
	SortKey      = "sk"
	TTLAttribute = "expires"
)

// key is the primary key of an item. It is built by the functions below and nowhere
// else, from parts that cannot contain a separator where it would matter: a tenant id
// and a digest have no '#', an API id has none, and a selector's value is last.
type key struct{ pk, sk string }

// The sort keys of items of which a partition has one.
const (
	tenantItem    = "TENANT"
	apiItem       = "API"
	selectorItem  = "SELECTOR"
	platformItem  = "PLATFORM"
	workspaceItem = "WORKSPACE"
)

// The prefixes of sort keys of which a partition has many.
const (
	revisionPrefix   = "REVISION#"
	activationPrefix = "ACTIVATION#"
)

// The partitions that list every id that ever was in use.
const (
	tenantList = "TENANTS"
	apiList    = "APIS"
)

// maxValue bounds a selector value and an API id, in bytes. DynamoDB's own limit for a
// partition key is 2048.
const maxValue = 1024

// validValue reports whether DynamoDB can hold s in a key as it is.
func validValue(s string) bool { return s != "" && len(s) <= maxValue && utf8.ValidString(s) }

// ownerKey is the key of the record that has an owner's active revision.
func ownerKey(owner string) (key, bool) {
	switch {
	case owner == tenants.PlatformOwner:
		return key{platformItem, platformItem}, true
	case owner == tenants.WorkspaceOwner:
		return key{workspaceItem, workspaceItem}, true
	case tenants.ValidID(owner):
		return key{"TENANT#" + owner, tenantItem}, true
	default:
		return key{}, false
	}
}

func tenantKey(id string) (key, bool) {
	if !tenants.ValidID(id) {
		return key{}, false
	}
	return ownerKey(id)
}

func revisionKey(owner string, d tenants.Digest) (key, bool) {
	k, ok := ownerKey(owner)
	return key{k.pk, revisionPrefix + string(d)}, ok && tenants.ValidDigest(d)
}

// activationTime sorts as text; the year has four digits until 9999.
const activationTime = "2006-01-02T15:04:05.000000000Z"

// activationKey has the version too: a clock may say the same instant twice.
func activationKey(owner string, a tenants.Activation) (key, bool) {
	k, ok := ownerKey(owner)
	return key{k.pk, activationSort(a)}, ok && tenants.ValidDigest(a.To)
}

func activationSort(a tenants.Activation) string {
	return fmt.Sprintf("%s%s#%s#%d", activationPrefix, a.Time.UTC().Format(activationTime), a.To, a.Version)
}

func chunkKey(d tenants.Digest, n int) (key, bool) {
	return key{"BUNDLE#" + string(d), fmt.Sprintf("CHUNK#%03d", n)}, tenants.ValidDigest(d) && n >= 0 && n < maxChunks
}

func selectorKey(kind tenants.SelectorKind, value string) (key, bool) {
	known := kind == tenants.ByHost || kind == tenants.ByIssuer || kind == tenants.ByValue
	return key{"SELECTOR#" + string(kind) + "#" + value, selectorItem}, known && validValue(value)
}

func apiKey(id string) (key, bool) {
	return key{"API#" + id, apiItem}, validValue(id) && tenants.ValidAPI(id)
}

// listKey is the entry of an id in tenantList or apiList.
func listKey(list, id string) key { return key{list, id} }

func parkedKey(tenant string, d tenants.Digest) (key, bool) {
	return key{ParkPrefix + tenant, string(d)}, tenants.ValidID(tenant) && tenants.ValidDigest(d)
}

func (k key) item() item {
	return item{PartitionKey: text(k.pk), SortKey: text(k.sk)}
}

// item is an item as the SDK has it.
type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

func instant(t time.Time) types.AttributeValue { return text(t.UTC().Format(time.RFC3339Nano)) }
