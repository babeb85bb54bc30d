package tenants

import (
	"errors"
	"fmt"
)

// ErrNotFound is wrapped by the errors of a Store for what does not exist. Every
// other error of a Store means that the answer is not known.
var ErrNotFound = errors.New("not found")

// FieldError is one thing wrong with one field of a Tenant or an API.
type FieldError struct {
	// Field is the path of the field as the workspace's YAML has it, such as
	// "identity.providers[0].audiences".
	Field string
	// Message says what is wrong and what to do.
	Message string
}

// Error returns "field: message".
func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// problems collects field errors.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, &FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p problems) err() error { return errors.Join(p...) }
