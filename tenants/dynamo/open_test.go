package dynamo_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
)

// The environment is the process's, so these cases do not run in parallel.
func TestOpenFromEnvironment(t *testing.T) {
	secret := "wJalrXUtnFEMIsecretKEY"
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile one]\nregion = eu-west-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := refusing(t)
	tests := []struct {
		name, table string
		environment map[string]string
		// open and use are parts of the errors, with their hints; "" for none.
		open, use string
	}{
		{"no name", "", nil, "name the table as in dynamodb:TABLE", ""},
		{"a name that is none", "a/b", nil, `"a/b" is not a table name`, ""},
		{"no region", "regent", map[string]string{"AWS_REGION": ""}, "set AWS_REGION, such as AWS_REGION=eu-west-1", ""},
		{"a profile that is not there", "regent", map[string]string{"AWS_PROFILE": "two", "AWS_CONFIG_FILE": file}, "has no profile two", ""},
		{"a profile", "regent", map[string]string{"AWS_PROFILE": "one", "AWS_REGION": "", "AWS_CONFIG_FILE": file}, "", ""},
		{"a setting that is none", "regent", map[string]string{"AWS_MAX_ATTEMPTS": secret}, "look at the AWS_ variables", ""},
		{
			"no credentials", "regent",
			map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL_DYNAMODB": closed},
			"", "there are no AWS credentials",
		},
		{
			"nobody at the endpoint", "regent",
			map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": strings.Replace(closed, "http://", "http://user:"+secret+"@", 1)},
			"", "the connection was refused",
		},
		{"the way to the endpoint", "regent", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": closed}, "", "check the network, AWS_REGION, and AWS_ENDPOINT_URL_DYNAMODB"},
		{
			"a host that is none", "regent", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://nobody.invalid"},
			"", "check the network, AWS_REGION, and AWS_ENDPOINT_URL_DYNAMODB",
		},
		{"an endpoint that is no URL", "regent", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://user:" + secret + "@[::1"}, "", "its endpoint is not a URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, pair := range dynamotest.Environment(closed) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
			for name, value := range tt.environment {
				t.Setenv(name, value)
			}
			store, err := dynamo.Open(t.Context(), dynamo.Options{Table: tt.table})
			says(t, "Open", err, tt.open, secret)
			if err != nil || tt.use == "" {
				return
			}
			_, err = store.Tenant(t.Context(), "acme")
			says(t, "Tenant", err, tt.use, secret)
			if errors.Is(err, tenants.ErrNotFound) {
				t.Errorf("Tenant: %v", err)
			}
		})
	}
}

func says(t *testing.T, what string, err error, want, secret string) {
	t.Helper()
	all := ""
	for e := err; e != nil; e = errors.Unwrap(e) {
		all += e.Error() + "\n"
	}
	var failed *dynamo.Error
	if errors.As(err, &failed) {
		all += failed.Hint
	}
	if (err == nil) != (want == "") || !strings.Contains(all, want) {
		t.Errorf("%s: %q, want an error with %q", what, all, want)
	}
	for _, s := range []string{secret, dynamotest.SecretKey, dynamotest.KeyID} {
		if strings.Contains(all, s) {
			t.Errorf("%s: the error has a secret in it: %q", what, all)
		}
	}
}

// refusing is an endpoint at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// What each use calls is what its role is allowed: no more, no less.
func TestActions(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTableName()
	type use struct {
		name    string
		actions []string
		do      func(t *testing.T, s *dynamo.Store, endpoint string)
		options dynamo.Options
	}
	uses := []use{
		{"table", dynamo.TableActions(), func(t *testing.T, s *dynamo.Store, _ string) {
			if _, err := s.CreateTable(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, dynamo.Options{Administer: true}},
		{"publish", dynamo.PublishActions(), func(t *testing.T, s *dynamo.Store, _ string) {
			storetest.Fill(t, s, storetest.Standard())
			bolt, err := s.Tenant(t.Context(), "bolt")
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				s.DeleteTenant(t.Context(), "bolt", bolt.Version),
				errorOf(s.Tenants(t.Context())), errorOf(s.APIs(t.Context())), errorOf(s.Revisions(t.Context(), "acme")),
				errorOf(s.Activations(t.Context(), "acme")), errorOf(s.Parked(t.Context(), "acme", time.Now())),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		}, dynamo.Options{Administer: true}},
		{"read", dynamo.ReadActions(), func(t *testing.T, s *dynamo.Store, endpoint string) {
			f := newFixture(t, 2)
			reader := dynamotest.OpenAt(t, endpoint, dynamo.Options{Table: f.table, Limits: patient()})
			for _, what := range []string{"API", "Tenant", "Select", "Platform", "Bundle", "Large"} {
				if err := f.ask(t.Context(), reader, what); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.Tenant(t.Context(), "nobody"); !errors.Is(err, tenants.ErrNotFound) {
				t.Error(err)
			}
		}, dynamo.Options{Limits: patient()}},
		{"park", dynamo.ParkActions(), func(t *testing.T, s *dynamo.Store, _ string) {
			digest := tenants.Digest("sha256:" + strings.Repeat("0", 64))
			if err := s.Park(t.Context(), "acme", tenants.Parked{Revision: digest, Until: time.Now().Add(time.Minute)}); err != nil {
				t.Error(err)
			}
			if dynamotest.Get(t, table, dynamo.ParkPrefix+"acme", string(digest)) == nil {
				t.Errorf("what is parked is not under %s", dynamo.ParkPrefix)
			}
		}, dynamo.Options{Limits: patient()}},
	}
	for _, u := range uses { // one after the other: the first makes the table
		proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
		u.options.Table = table
		u.do(t, dynamotest.OpenAt(t, proxy.URL, u.options), proxy.URL)
		var called []string
		for _, operation := range proxy.Operations() {
			called = append(called, "dynamodb:"+operation)
		}
		if !slices.Equal(called, u.actions) {
			t.Errorf("%s calls %v, and the role allows %v", u.name, called, u.actions)
		}
	}
}

func errorOf[V any](_ V, err error) error { return err }

func TestCreateTable(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTableName()
	store := administrator(t, dynamotest.Endpoint(t), table, "ann")
	for range 2 { // the second time it is there
		warnings, err := store.CreateTable(t.Context())
		if err != nil || len(warnings) != 2 || !strings.Contains(warnings[0], "point-in-time recovery") || !strings.Contains(warnings[1], "time to live") {
			t.Errorf("warnings %q, error %v; want those about what dynalite does not know", warnings, err)
		}
	}
	client := dynamodb.NewFromConfig(*dynamotest.Config(dynamotest.Endpoint(t)))
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	schema := dynamo.TableSchema()
	keys := out.Table.KeySchema
	if len(keys) != 2 || *keys[0].AttributeName != schema.PartitionKey || *keys[1].AttributeName != schema.SortKey || len(out.Table.GlobalSecondaryIndexes) != len(schema.Indexes) {
		t.Errorf("the table is %+v, the schema %+v", out.Table, schema)
	}
	if out.Table.BillingModeSummary == nil || out.Table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest {
		t.Error("the table is not on-demand")
	}
}

func TestCreateTableThatIsSomebodyElses(t *testing.T) {
	t.Parallel()
	table := dynamotest.NewTableName()
	client := dynamodb.NewFromConfig(*dynamotest.Config(dynamotest.Endpoint(t)))
	if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	_, err := administrator(t, dynamotest.Endpoint(t), table, "").CreateTable(t.Context())
	var failed *dynamo.Error
	if !errors.As(err, &failed) || !strings.Contains(failed.What, "with another key") || failed.Hint == "" {
		t.Errorf("error %v, want one about its key", err)
	}
}

// Connections that died while the process was frozen cost one retry, and none of the
// budget.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 0)
	for name, kill := range map[string]func(*dynamotest.Proxy){
		"without a word": (*dynamotest.Proxy).Forget, "closed": (*dynamotest.Proxy).Disconnect,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
			limits := dynamo.FunctionLimits()
			limits.Total, limits.Connect, limits.Retries, limits.Budget = patient().Total, patient().Connect, 1, 1
			limits.Attempt = time.Second
			store := dynamotest.OpenAt(t, proxy.URL, dynamo.Options{Table: f.table, Limits: limits})
			for range 2 {
				// Several connections, as after a burst: all of them die.
				var group sync.WaitGroup
				for range 6 {
					group.Go(func() {
						if err := f.ask(t.Context(), store, "Platform"); err != nil {
							t.Error(err)
						}
					})
				}
				group.Wait()
				kill(proxy)
				before := proxy.Requests("")
				if err := f.ask(t.Context(), store, "Platform"); err != nil {
					t.Fatal(err)
				}
				if n := proxy.Requests("") - before; n > 2 {
					t.Errorf("%d attempts", n)
				}
			}
		})
	}
}

// The function may see what was; an administrator sees what is.
func TestEventuallyConsistent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	function := dynamotest.OpenAt(t, proxy.URL, dynamo.Options{Table: f.table, Limits: patient()})
	admin := administrator(t, proxy.URL, f.table, "ann")
	before, err := function.Tenant(t.Context(), f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Add(dynamotest.Fault{Kind: dynamotest.Stale})
	after, err := admin.Activate(t.Context(), f.tenant, tenants.Activation{To: f.policy, Version: before.Version})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := function.Tenant(t.Context(), f.tenant); err != nil || got.Version != before.Version || got.Revision != f.large {
		t.Errorf("the function sees version %d (%v), want %d: the proxy shows it what was", got.Version, err, before.Version)
	}
	if got, err := admin.Tenant(t.Context(), f.tenant); err != nil || got.Version != after.Version || got.Revision != f.policy {
		t.Errorf("the administrator sees version %d (%v), want %d", got.Version, err, after.Version)
	}
}
