package dynamo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"

	"regent/tenants"
)

// Options say which table to use, and how. All but Table have usable zero values.
type Options struct {
	// Table is the name of the table. Required.
	Table string
	// Administer is set by the command line, for people who wait: reads are consistent,
	// and Limits default to PatientLimits in place of FunctionLimits.
	Administer bool
	// Limits bound the time that a method takes. The zero value of each field is its
	// default.
	Limits Limits
	// Author is noted with records that are written, and is told to whoever comes
	// second.
	Author string
	// AuditKept is how long audit items are kept; 0 is for ever.
	AuditKept time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Config is used in place of the SDK's default configuration, which is read from the
	// environment and the shared files.
	Config *aws.Config
}

// Limits bound what a method of a Store spends.
type Limits struct {
	// Connect bounds the making of a connection, with its TLS handshake.
	Connect time.Duration
	// Attempt bounds one request on a connection that is there, to the last byte of its
	// answer.
	Attempt time.Duration
	// Total bounds a method, with all the requests it makes and the waits between them.
	Total time.Duration
	// Retries is how often a request may be repeated: 0 is the default, below 0 is never.
	Retries int
	// Backoff is the longest wait before the first retry; it doubles for each further
	// one. The wait is random between 0 and that (full jitter).
	Backoff time.Duration
	// Budget is how many retries may be spent without a success in between; each success
	// earns a tenth of one, less a little. 0 is the default, below 0 is without bound.
	Budget int
}

// FunctionLimits are for deciding: whoever waits is an API's caller. A storm in which
// every request fails costs at most 5 retries, and less than 1.1 attempts a request in
// the long run whatever share of them fails.
func FunctionLimits() Limits {
	return Limits{
		Connect: 250 * time.Millisecond, Attempt: 150 * time.Millisecond, Total: 400 * time.Millisecond,
		Retries: 2, Backoff: 25 * time.Millisecond, Budget: 5,
	}
}

// PatientLimits are for the command line: they outlast a throttled table.
func PatientLimits() Limits {
	return Limits{
		Connect: 5 * time.Second, Attempt: 10 * time.Second, Total: time.Minute,
		Retries: 8, Backoff: 50 * time.Millisecond, Budget: -1,
	}
}

func (l Limits) or(d Limits) Limits {
	for _, f := range []struct {
		v *time.Duration
		d time.Duration
	}{{&l.Connect, d.Connect}, {&l.Attempt, d.Attempt}, {&l.Total, d.Total}, {&l.Backoff, d.Backoff}} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	if l.Retries == 0 {
		l.Retries = d.Retries
	}
	if l.Budget == 0 {
		l.Budget = d.Budget
	}
	return l
}

// Store is one table. Use Open to make one.
type Store struct {
	table      string
	consistent bool
	limits     Limits
	author     string
	auditKept  time.Duration
	now        func() time.Time
	client     *dynamodb.Client
	transport  *http.Transport
	budget     budget
}

var (
	_ tenants.Registry   = (*Store)(nil)
	_ tenants.ParkingLot = (*Store)(nil)
)

// tableName is what a table may be called, but for the length of 3 to 255.
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// idleTimeout ends connections before whatever is in between forgets them: NAT gateways
// do after 350 s, other devices earlier.
const idleTimeout = 30 * time.Second

// Open returns the store on a table. It makes no request: a table that is not there
// shows when it is used.
func Open(ctx context.Context, o Options) (*Store, error) {
	if len(o.Table) < 3 || len(o.Table) > 255 || !tableName.MatchString(o.Table) {
		return nil, &Error{
			What: fmt.Sprintf("%q is not a table name: 3 to 255 letters, digits, and _ . -", o.Table),
			Hint: "name the table as in dynamodb:TABLE",
		}
	}
	conf, err := o.config(ctx)
	if err != nil {
		return nil, err
	}
	s := &Store{
		table: o.Table, consistent: o.Administer, author: o.Author, auditKept: o.AuditKept, now: o.Now,
		limits: o.Limits.or(FunctionLimits()),
	}
	if o.Administer {
		s.limits = o.Limits.or(PatientLimits())
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.budget = budget{tokens: float64(s.limits.Budget), most: float64(s.limits.Budget)}
	s.transport = newTransport(s.limits.Connect)
	s.client = dynamodb.NewFromConfig(conf, func(c *dynamodb.Options) {
		c.HTTPClient = &http.Client{
			Transport:     s.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		c.Retryer = aws.NopRetryer{} // call retries, within its limits
		c.Logger = logging.Nop{}
	})
	return s, nil
}

func (o Options) config(ctx context.Context) (aws.Config, error) {
	if o.Config != nil {
		return *o.Config, nil
	}
	conf, err := config.LoadDefaultConfig(ctx)
	var profile config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &profile):
		return conf, &Error{
			What: "the AWS configuration has no profile " + profile.Profile,
			Hint: "set AWS_PROFILE to a profile of ~/.aws/config, or unset it",
		}
	case err != nil:
		// The cause may quote the value of a variable or a line of a file with keys in it.
		return conf, &Error{
			What: "the AWS configuration cannot be read",
			Hint: "look at the AWS_ variables, ~/.aws/config and ~/.aws/credentials",
		}
	case conf.Region == "":
		return conf, &Error{
			What: "no AWS region is set, so it is not known where the table " + o.Table + " is",
			Hint: "set AWS_REGION, such as AWS_REGION=eu-west-1, or a region in the profile",
		}
	}
	return conf, nil
}

// newTransport speaks HTTP/1.1: one dead HTTP/2 connection would hold up everything.
func newTransport(connect time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 15 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   connect,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: 0, // call bounds the whole attempt
		Protocols:             protocols,
	}
}

// Table returns the name of the table.
func (s *Store) Table() string { return s.table }

// Close ends idle connections. The store can still be used.
func (s *Store) Close() { s.transport.CloseIdleConnections() }
