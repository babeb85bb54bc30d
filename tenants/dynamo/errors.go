package dynamo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"regent/tenants"
)

// Error is trouble with the table: the answer is not known. It has no credentials in it,
// neither those that requests are signed with nor those of an endpoint's URL.
type Error struct {
	// What says what happened, and to which request.
	What string
	// Hint says what to do about it; "" if nothing is known to help.
	Hint string
	// Code is DynamoDB's name for what happened, such as ThrottlingException, or
	// CodeTimeout, CodeConnection or CodeCredentials; "" if what is stored is wrong.
	Code string
	// Permanent is set if asking again does not help until somebody does something.
	Permanent bool

	cause error
}

// The codes of an Error for what is not DynamoDB's own.
const (
	CodeTimeout     = "Timeout"
	CodeConnection  = "Connection"
	CodeCredentials = "Credentials"
)

// Error returns What.
func (e *Error) Error() string { return e.What }

// StoreCode returns Code, for the decision log.
func (e *Error) StoreCode() string { return e.Code }

// Unwrap returns the context's error if the time was up, and nil otherwise.
func (e *Error) Unwrap() error { return e.cause }

// failure is what a failed attempt means.
type failure struct {
	err error
	// retry is set if another attempt may succeed, connection if the connection may be
	// to blame.
	retry, connection bool
}

// errCondition is a conditional write whose condition did not hold.
var errCondition = errors.New("the condition does not hold")

func (s *Store) classify(ctx context.Context, op string, err error) failure {
	at := fmt.Sprintf("DynamoDB %s, table %s: ", op, s.table)
	var condition *types.ConditionalCheckFailedException
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	switch {
	case errors.As(err, &condition):
		return failure{err: errCondition}
	case ctx.Err() != nil:
		return failure{err: &Error{What: at + "no answer before the time was up", Code: CodeTimeout, cause: ctx.Err()}}
	case errors.Is(err, errConnect), errors.Is(err, errAttempt):
		return failure{
			err:   &Error{What: at + err.Error(), Code: CodeTimeout, cause: context.DeadlineExceeded},
			retry: true, connection: true,
		}
	case errors.As(err, &response) && response.HTTPStatusCode() >= 500:
		return failure{err: &Error{What: fmt.Sprintf("%sHTTP status %d", at, response.HTTPStatusCode()), Code: codeOf(err)}, retry: true}
	case errors.As(err, &api):
		return s.classifyAPI(at, op, api)
	case strings.Contains(err.Error(), "get identity:"):
		return failure{err: &Error{
			What: at + "there are no AWS credentials", Code: CodeCredentials, Permanent: true,
			Hint: "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; a function has those of its role",
		}}
	case strings.Contains(err.Error(), "resolve service endpoint"):
		return failure{err: &Error{
			What: at + "its endpoint is not a URL", Code: CodeConnection, Permanent: true,
			Hint: "look at AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL and AWS_REGION",
		}}
	default:
		// What failed is between here and DynamoDB: dialling, sending, or an answer that is
		// cut short.
		return failure{err: &Error{What: at + transportText(err), Code: CodeConnection, Hint: transportHint(err)}, retry: true, connection: true}
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// retryable are DynamoDB's codes for which its guide says to try again, of those that
// come with a status below 500.
func retryable() []string {
	return []string{
		"ItemCollectionSizeLimitExceededException", "LimitExceededException",
		"ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestTimeout",
		"RequestTimeoutException", "Throttling", "ThrottlingException", "TransactionInProgressException",
	}
}

func (s *Store) classifyAPI(at, op string, api smithy.APIError) failure {
	code := api.ErrorCode()
	e := &Error{What: at + code, Code: code}
	if slices.Contains(retryable(), code) {
		return failure{err: e, retry: true}
	}
	e.Permanent = true
	switch code {
	case "ResourceNotFoundException":
		e.What = at + "there is no such table in this account and region"
		e.Hint = fmt.Sprintf("check AWS_REGION and the name, or create it: regent table create --store dynamodb:%s", s.table)
	case "AccessDeniedException", "AccessDenied":
		e.Hint = fmt.Sprintf("allow dynamodb:%s on table %s to the role or user in use", op, s.table)
	case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "ExpiredToken",
		"IncompleteSignature", "MissingAuthenticationTokenException", "MissingAuthenticationToken", "InvalidClientTokenId",
		"SignatureDoesNotMatch":
		// The message of a wrong signature repeats what was signed, session token included.
		e.Hint = "the AWS credentials in use are wrong or have expired, or this machine's clock is"
	default:
		e.What += ": " + clean(api.ErrorMessage())
	}
	return failure{err: e}
}

// clean makes a message of DynamoDB's fit to print.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 256 {
		s = strings.ToValidUTF8(s[:256], "") + "…"
	}
	return s
}

// transportText names what failed without the URL, whose user part may be a secret.
func transportText(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var decode *smithy.DeserializationError
	switch {
	case errors.As(err, &dns):
		return "the endpoint's host name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.As(err, &op):
		return "the network failed (" + op.Op + ")"
	case errors.As(err, &decode):
		return "the answer is not one"
	default:
		return "the connection failed or the answer was cut short"
	}
}

// transportHint is for those failures that settings may explain.
func transportHint(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED) {
		return "check the network, AWS_REGION, and AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL if one is set"
	}
	return ""
}

// notFound says what does not exist.
func notFound(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, tenants.ErrNotFound)...)
}

// damaged is an item that is not as this package writes it.
func damaged(k key, format string, args ...any) error {
	return &Error{
		What:      fmt.Sprintf("the item %s / %s is not usable: %s", k.pk, k.sk, fmt.Sprintf(format, args...)),
		Permanent: true,
	}
}
