package tenants

import "context"

// Store is what the engine reads. Its methods may be called by many goroutines.
//
// A method returns an error that wraps ErrNotFound when what was asked for does
// not exist, and any other error when the answer is not known. It never returns
// part of a value. Values returned must not be changed.
type Store interface {
	// API returns the registered API with this id.
	API(ctx context.Context, id string) (API, error)
	// Tenant returns the tenant with this id, whatever its status.
	Tenant(ctx context.Context, id string) (Tenant, error)
	// Select returns the id of the one tenant that holds this selector value.
	Select(ctx context.Context, kind SelectorKind, value string) (string, error)
	// Bundle returns the bundle with this digest, verified against it.
	Bundle(ctx context.Context, digest Digest) (Bundle, error)
	// Platform returns the digest of the active platform bundle: the files
	// platform/ and lib/ of a workspace. A platform without files has a bundle too.
	Platform(ctx context.Context) (Digest, error)
}
