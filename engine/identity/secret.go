package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"regent/tenants"
)

const maxSecret = 512 // bytes

// ReadSecret is the usual Config.Secret. It reads a secret by its reference:
// env:NAME, an environment variable, or file:PATH, a regular file with one line in
// it. A secret is 1 to 512 printable ASCII characters (RFC 6749, appendix A.2).
//
// Whoever writes a tenant's record chooses the reference and where the secret is
// sent. So it must be one that tenants.CheckSecret lets the tenant with this id have,
// and what belongs to the function itself is out of reach: variables whose names begin
// with AWS_, LAMBDA_, REGENT_ or _, and files under /proc, /sys and /dev. The errors
// never have the secret in them.
func ReadSecret(_ context.Context, tenant, reference string) (string, error) {
	if err := tenants.CheckSecret(tenant, reference); err != nil {
		return "", fmt.Errorf("client_secret: %w", err)
	}
	secret, err := readReference(reference)
	if err != nil {
		return "", err
	}
	if err := CheckSecretForm(secret); err != nil {
		return "", err
	}
	return secret, nil
}

// CheckSecretForm reports a secret that is not 1 to 512 printable ASCII characters.
// The error does not have it in it.
func CheckSecretForm(secret string) error {
	if len(secret) > maxSecret || secret == "" || strings.ContainsFunc(secret, unprintable) {
		return errors.New("client_secret: what it refers to is not 1 to 512 printable ASCII characters")
	}
	return nil
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

func readReference(reference string) (string, error) {
	kind, name, _ := strings.Cut(reference, ":")
	switch kind {
	case "env":
		return readEnvironment(name)
	case "file":
		return readFile(name)
	default:
		return "", errors.New("client_secret: AWS Secrets Manager is not read here, only env:NAME and file:PATH")
	}
}

func readEnvironment(name string) (string, error) {
	for _, own := range []string{"AWS_", "LAMBDA_", "REGENT_", "_"} {
		if strings.HasPrefix(strings.ToUpper(name), own) {
			return "", fmt.Errorf("client_secret: variables that begin with %s are not a tenant's to use", own)
		}
	}
	secret, set := os.LookupEnv(name)
	if !set {
		return "", fmt.Errorf("client_secret: the environment variable %q is not set", name)
	}
	return secret, nil
}

func readFile(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return "", fmt.Errorf("client_secret: %q is not the path of a file", path)
	}
	for _, own := range []string{"/proc/", "/sys/", "/dev/"} {
		if strings.HasPrefix(real, own) {
			return "", fmt.Errorf("client_secret: files under %s are not a tenant's to use", own)
		}
	}
	f, err := os.Open(real)
	if err != nil {
		return "", fmt.Errorf("client_secret: %q cannot be read", path)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("client_secret: %q is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+3))
	if err != nil {
		return "", fmt.Errorf("client_secret: %q cannot be read", path)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
