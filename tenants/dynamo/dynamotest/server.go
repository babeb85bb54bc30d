package dynamotest

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"regent/tenants/dynamo"
)

// The credentials and the region of requests. The server takes any.
const (
	Region    = "eu-west-1"
	KeyID     = "AKIDDYNAMOTEST"
	SecretKey = "dynamotest-secret-key"
)

// Endpoint starts the server if it is not running, and returns its URL. It skips the
// test if the server cannot be there, and fails it if it should be.
func Endpoint(t testing.TB) string {
	t.Helper()
	running, err := server()
	switch {
	case err == nil:
		return running.endpoint
	case errors.Is(err, errMissing) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	return ""
}

var errMissing = errors.New("dynalite is not installed")

// process is the server as it runs.
type process struct {
	endpoint string
	// alive is our end of a pipe. The kernel closes it when the test binary ends, also by a
	// panic or a kill, and the server ends with it.
	alive io.Closer
}

// server is the one of this test binary. It holds on to the pipe, which would be closed
// if it were collected.
var server = sync.OnceValues(start)

func start() (*process, error) {
	home, err := directory()
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("%w: there is no node: install Node.js 20 or later", errMissing)
	}
	if _, err := os.Stat(filepath.Join(home, "node_modules", "dynalite")); err != nil {
		return nil, fmt.Errorf("%w: run npm ci in tenants/dynamo/dynamotest", errMissing)
	}
	cmd := exec.Command(node, "server.mjs")
	cmd.Dir, cmd.Stderr = home, os.Stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if port, ok := strings.CutPrefix(lines.Text(), "port "); ok {
			return &process{endpoint: "http://127.0.0.1:" + port, alive: stdin}, nil
		}
	}
	return nil, fmt.Errorf("dynalite did not start: %w", cmd.Wait())
}

// directory is this package's, looked for from the directory of the package under test.
func directory() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module regent\n") {
			return filepath.Join(at, "tenants", "dynamo", "dynamotest"), nil
		}
		if filepath.Dir(at) == at {
			return "", errors.New("this test does not run inside the module regent")
		}
		at = filepath.Dir(at)
	}
}

// Config is the SDK's configuration for an endpoint: the server's, or a Proxy's.
func Config(endpoint string) *aws.Config {
	return &aws.Config{
		Region: Region, BaseEndpoint: aws.String(endpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: KeyID, SecretAccessKey: SecretKey}, nil
		}),
	}
}

// Environment is the same for a process: variables that the SDK reads, and those that
// keep it from looking elsewhere.
func Environment(endpoint string) []string {
	return []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + endpoint,
		"AWS_REGION=" + Region,
		"AWS_ACCESS_KEY_ID=" + KeyID,
		"AWS_SECRET_ACCESS_KEY=" + SecretKey,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}

// NewTableName returns a name that no table has.
func NewTableName() string { return "regent-" + strings.ToLower(rand.Text()) }

// Table makes an empty table and returns its name.
func Table(t testing.TB) string {
	t.Helper()
	name := NewTableName()
	store := OpenAt(t, Endpoint(t), dynamo.Options{Table: name, Administer: true})
	if _, err := store.CreateTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	return name
}

// Open makes an empty table and returns an administrator's store on it.
func Open(t testing.TB) *dynamo.Store {
	t.Helper()
	return OpenAt(t, Endpoint(t), dynamo.Options{Table: Table(t), Administer: true, Author: "dynamotest"})
}

// OpenAt returns a store at an endpoint. It closes its connections when the test ends.
func OpenAt(t testing.TB, endpoint string, o dynamo.Options) *dynamo.Store {
	t.Helper()
	o.Config = Config(endpoint)
	store, err := dynamo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}
