package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"regent/engine/identity"
	"regent/tenants"
)

const (
	keep        = 5 * time.Minute // a secret
	keepFailure = 5 * time.Second // that there is none
	maxKept     = 256

	attempts       = 2
	attemptTimeout = 600 * time.Millisecond
	maxBackoff     = 50 * time.Millisecond
	// budget is for all attempts. Introspection has 1.5 s for the secret and its own
	// question; what comes later is kept for the next request.
	budget = 1400 * time.Millisecond
)

// Reader reads secrets and keeps those that come from AWS. Make it with New. Its
// methods may be called by many goroutines.
type Reader struct {
	kept    *lru.Cache[string, outcome]
	flights singleflight.Group
	now     func() time.Time

	mu     sync.Mutex
	client *secretsmanager.Client // made at the first use
}

// Format prints no more than what r is, whatever the verb is.
func (r *Reader) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secrets.Reader") }

// outcome is what came of asking for a secret, and when that began.
type outcome struct {
	secret string
	err    error
	asked  time.Time
}

// Format prints nothing of the secret, whatever the verb is.
func (o outcome) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// New returns a Reader that has read nothing and not looked for AWS credentials yet.
func New() *Reader {
	kept, err := lru.New[string, outcome](maxKept)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Reader{kept: kept, now: time.Now}
}

// Read returns the secret that a record of the tenant with this id refers to. It is
// an identity.Config.Secret: the reference must be one that tenants.CheckSecret lets
// the tenant have, and the secret 1 to 512 printable ASCII characters.
func (r *Reader) Read(ctx context.Context, tenant, reference string) (string, error) {
	if !strings.HasPrefix(reference, "arn:") {
		return identity.ReadSecret(ctx, tenant, reference)
	}
	if err := tenants.CheckSecret(tenant, reference); err != nil {
		return "", fmt.Errorf("client_secret: %w", err)
	}
	o, err := r.recallOrAsk(ctx, reference)
	if err == nil {
		err = o.err
	}
	if err != nil {
		return "", fmt.Errorf("client_secret %s: %w", reference, err)
	}
	return o.secret, nil
}

// recallOrAsk joins the one flight for a secret. A flight that ended long after it
// should have was frozen with the function: it is not gone by, nor waited for twice.
func (r *Reader) recallOrAsk(ctx context.Context, name string) (outcome, error) {
	began := r.now()
	for {
		if o, ok := r.kept.Get(name); ok && r.holds(o) {
			return o, nil
		}
		select {
		case landed := <-r.flights.DoChan(name, func() (any, error) { return r.ask(name), nil }):
			o, _ := landed.Val.(outcome)
			if o.err != nil && o.asked.Before(began.Add(-budget)) {
				continue
			}
			return o, nil
		case <-ctx.Done():
			return outcome{}, fmt.Errorf("the request ended before AWS Secrets Manager answered: %w", ctx.Err())
		}
	}
}

func (r *Reader) holds(o outcome) bool {
	longest := keep
	if o.err != nil {
		longest = keepFailure
	}
	return r.age(o) < longest
}

// age is the time since the asking began by the clock that says more: one may have
// been set back, the other may stand still while a function is frozen.
func (r *Reader) age(o outcome) time.Duration {
	now := r.now()
	return max(now.Sub(o.asked), now.Round(0).Sub(o.asked.Round(0)))
}

// ask asks AWS on a context of its own, so that whoever asked first may leave.
func (r *Reader) ask(name string) (o outcome) {
	o.asked = r.now()
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	o.secret, o.err = r.get(ctx, name)
	if o.err == nil || r.age(o) < budget+time.Second { // else it was frozen
		r.kept.Add(name, o)
	}
	return o
}

func (r *Reader) get(ctx context.Context, name string) (secret string, err error) {
	defer func() {
		// On a goroutine of its own nobody else could recover it.
		if p := recover(); p != nil {
			secret, err = "", fmt.Errorf("panic of type %T over the answer of AWS Secrets Manager", p)
		}
	}()
	parsed, err := arn.Parse(name)
	if err != nil {
		return "", errors.New("not an ARN")
	}
	client, err := r.connect(ctx)
	if err != nil {
		return "", err
	}
	answer, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name},
		func(o *secretsmanager.Options) { o.Region = parsed.Region })
	if err != nil {
		return "", explain(err)
	}
	if answer.SecretString == nil {
		return "", errors.New("the secret in AWS Secrets Manager is not text")
	}
	if err := identity.CheckSecretForm(*answer.SecretString); err != nil {
		return "", err
	}
	return *answer.SecretString, nil
}

// connect makes the client, once.
func (r *Reader) connect(ctx context.Context) (*secretsmanager.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	c, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(attemptTimeout)),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
			})
		}))
	if err != nil {
		return nil, errors.New("the AWS configuration of this process cannot be loaded")
	}
	r.client = secretsmanager.NewFromConfig(c)
	return r.client, nil
}

// explain says what went wrong without repeating what came over the network.
func explain(err error) error {
	var known smithy.APIError
	if !errors.As(err, &known) {
		return errors.New("no usable answer from AWS Secrets Manager in time: it cannot be reached, or there are no credentials")
	}
	switch code := known.ErrorCode(); {
	case code == "ResourceNotFoundException":
		return errors.New("AWS Secrets Manager has no such secret")
	case code == "AccessDeniedException":
		return errors.New("AWS Secrets Manager refuses: the role needs secretsmanager:GetSecretValue for it, and kms:Decrypt if it has a key of its own")
	case code != "" && len(code) <= 64 && !strings.ContainsFunc(code, notLetter):
		return fmt.Errorf("AWS Secrets Manager answers %s", code)
	default:
		return errors.New("AWS Secrets Manager answers with an error")
	}
}

func notLetter(r rune) bool { return (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) }
