package tenants

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// secretARN is the ARN of a secret in AWS Secrets Manager; its name is the last part.
// That has at most 519 characters, which the pattern does not count: a millisecond of
// every start would be spent on that.
var secretARN = regexp.MustCompile(`^arn:aws[a-z-]{0,20}:secretsmanager:[a-z]{2,3}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}:[0-9]{12}:secret:([A-Za-z0-9/_+=.@-]+)$`)

var errNotReference = errors.New("must be a reference, env:NAME, file:PATH or the ARN of a secret in AWS Secrets Manager, never the secret itself")

// CheckSecret reports why the record of the tenant with this id may not refer to a
// secret so, or nil if it may. A reference is env:NAME, file:PATH or the ARN of a
// secret in AWS Secrets Manager.
//
// Whoever writes a record chooses the reference, and where the secret is sent. So the
// reference must itself say whose secret it is:
//
//   - an environment variable's name begins with the id in capitals, hyphens as
//     underscores, and an underscore: env:ACME_INTROSPECTION_SECRET;
//   - a file is in a directory that has the id for a name:
//     file:/run/secrets/acme/introspection;
//   - the name of a secret in AWS Secrets Manager has the id before its last slash:
//     arn:aws:secretsmanager:eu-west-1:123456789012:secret:regent/acme/introspection-AbCdEf.
//
// Of two tenants acme and acme-eu, ACME_EU_SECRET fits both: CheckProviders knows all
// tenants and leaves it to the longer one. The error does not repeat the reference,
// in whose place the secret itself may stand.
func CheckSecret(id, reference string) error {
	kind, name, _ := strings.Cut(reference, ":")
	switch {
	case kind != "env" && kind != "file" && kind != "arn":
		return errNotReference
	case !ValidID(id):
		return errors.New("cannot be anybody's without a valid id of the tenant")
	}
	switch kind {
	case "env":
		if prefix := environmentPrefix(id); !strings.HasPrefix(name, prefix) || name == prefix {
			return fmt.Errorf("the variables of tenant %s have names that begin with %s: rename the variable, so that no tenant can name another's", id, prefix)
		}
	case "file":
		if !isBelow(strings.TrimPrefix(name, "/"), id) {
			return fmt.Errorf("the files of tenant %s are in a directory that has its name, such as file:/run/secrets/%s/NAME, without . and ..: move the file, so that no tenant can name another's", id, id)
		}
	case "arn":
		match := secretARN.FindStringSubmatch(reference)
		if match == nil || len(match[1]) > 519 {
			return errors.New("is not the ARN of a secret in AWS Secrets Manager, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME")
		}
		if !isBelow(match[1], id) {
			return fmt.Errorf("the secrets of tenant %s have names like regent/%s/NAME: rename the secret, so that no tenant can name another's", id, id)
		}
	}
	return nil
}

func environmentPrefix(id string) string {
	return strings.ToUpper(strings.ReplaceAll(id, "-", "_")) + "_"
}

// isBelow reports whether the last directory of a path is the tenant's.
func isBelow(path, id string) bool {
	elements := strings.Split(path, "/")
	for _, not := range []string{"", ".", ".."} {
		if slices.Contains(elements, not) {
			return false
		}
	}
	return len(elements) > 1 && elements[len(elements)-2] == id
}
