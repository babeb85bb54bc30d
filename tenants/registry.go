package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrConflict is wrapped by the errors of a Registry for a write that came after
// somebody else's. What is stored is theirs; read it again and decide anew.
var ErrConflict = errors.New("somebody else was first")

// ConflictError says who was first.
type ConflictError struct {
	// What was to be written, such as `tenant "acme"`.
	What string
	// By and At tell who wrote what is stored, and when, as far as it is known.
	By string
	At time.Time
	// To is the revision that is in force, if the write was an activation.
	To Digest
}

// Error says what is stored, by whom and since when.
func (e *ConflictError) Error() string {
	s := e.What + " was changed by somebody else"
	if e.By != "" {
		s = e.What + " was changed by " + e.By
	}
	if !e.At.IsZero() {
		s += " at " + e.At.UTC().Format(time.RFC3339)
	}
	if e.To != "" {
		s += ", revision " + e.To.Short() + " is in force"
	}
	return s
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// TakenError is a selector value that names another tenant.
type TakenError struct {
	Kind  SelectorKind
	Value string
	// Tenant is the id of the tenant that holds the value.
	Tenant string
}

// Error says which tenant holds the value.
func (e *TakenError) Error() string {
	return fmt.Sprintf("%s %q already names tenant %q", e.Kind, e.Value, e.Tenant)
}

// An owner has revisions, of which one is in force: a tenant, by its id, or one of
// these two, which no tenant id can be.
const (
	// PlatformOwner owns the platform bundle: guardrails and shared library.
	PlatformOwner = "PLATFORM"
	// WorkspaceOwner owns the files of an imported workspace that are in no other
	// bundle: the YAML files as they were written, OpenAPI documents, the schema, sample
	// callers. They are kept so that an export returns them byte for byte; nothing else
	// reads them.
	WorkspaceOwner = "WORKSPACE"
)

// ValidOwner reports whether owner is a tenant id, PlatformOwner or WorkspaceOwner.
func ValidOwner(owner string) bool {
	return owner == PlatformOwner || owner == WorkspaceOwner || ValidID(owner)
}

// Revision is one published bundle of one owner. It never changes.
type Revision struct {
	Digest Digest `json:"digest"`
	// Author, Time and Message say who published it first, when and why.
	Author  string    `json:"author,omitempty"`
	Time    time.Time `json:"time"`
	Message string    `json:"message,omitempty"`
	// Files and Bytes are the size of the bundle, not packed.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Tests is what the bundle's own tests said at publish.
	Tests TestSummary `json:"tests,omitzero"`
}

// TestSummary counts the tests of a bundle.
type TestSummary struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped,omitempty"`
	// Coverage is the covered share of the bundle's lines, in percent.
	Coverage float64 `json:"coverage,omitempty"`
}

// Activation is one move of an owner's active revision.
type Activation struct {
	// From was in force before, "" at the first activation. To is in force since.
	From Digest `json:"from,omitempty"`
	To   Digest `json:"to"`
	// Author, Time and Message say who moved it, when and why.
	Author  string    `json:"author,omitempty"`
	Time    time.Time `json:"time"`
	Message string    `json:"message,omitempty"`
	// Version is the version of the owner's record that the move made.
	Version int64 `json:"version"`
}

// Registry is a Store that is administered: what publishing writes. Its methods may
// be called by many goroutines and many processes.
//
// Every write is conditional, on the version that its caller read or on the item not
// being there. A write that comes second returns an error that wraps ErrConflict and
// changes nothing. A process that ends between two writes leaves every owner on a
// whole revision, and doing the same again finishes it. Reads by a Registry's own
// methods see every write that was acknowledged before. The version of a record only
// grows, also over its removal.
type Registry interface {
	Store

	// APIs returns every API, sorted by id.
	APIs(ctx context.Context) ([]API, error)
	// PutAPI writes an API in place of the one that has its Version; Version 0 writes
	// a new one. It returns what is stored, with its new version.
	PutAPI(ctx context.Context, api API) (API, error)
	// DeleteAPI removes the API if its version is still the one given. One that is not
	// there is ErrNotFound.
	DeleteAPI(ctx context.Context, id string, version int64) error

	// Tenants returns every tenant, sorted by id.
	Tenants(ctx context.Context) ([]Tenant, error)
	// PutTenant writes a tenant's record in place of the one that has its Version;
	// Version 0 writes a new one. The revision in force is not touched: Activate moves
	// it. A selector value that another tenant holds is a *TakenError. The store does
	// not judge the record: its callers use Validate and CheckProviders first.
	PutTenant(ctx context.Context, t Tenant) (Tenant, error)
	// DeleteTenant removes the record and its selectors if its version is still the
	// one given. A tenant that is not there is ErrNotFound. Revisions and activations
	// stay.
	DeleteTenant(ctx context.Context, id string, version int64) error

	// PutRevision stores a bundle and lists it among its owner's revisions. Storing
	// what is there already changes nothing; r.Digest must be the bundle's.
	PutRevision(ctx context.Context, owner string, b Bundle, r Revision) error
	// Revisions returns an owner's revisions, newest first.
	Revisions(ctx context.Context, owner string) ([]Revision, error)

	// Active returns the owner's last activation: To is in force, and Version is what
	// the next activation names. An owner that never had one, and a tenant without a
	// record, is ErrNotFound; a tenant with a record that was never activated has an
	// empty To.
	Active(ctx context.Context, owner string) (Activation, error)
	// Activate brings a stored revision into force if the owner's version is still
	// a.Version (0 for the first of PlatformOwner and WorkspaceOwner), and leaves an
	// audit item. a.To must be among the owner's revisions, else ErrNotFound. It
	// returns the activation with the version it made; a.From is set by the store, and so
	// is a.Time if it is zero.
	Activate(ctx context.Context, owner string, a Activation) (Activation, error)
	// Activations returns the owner's audit items, newest first.
	Activations(ctx context.Context, owner string) ([]Activation, error)
}

// Parked is a revision that an authorizer stopped evaluating for a while because
// its evaluations had to be killed.
type Parked struct {
	Revision Digest `json:"revision"`
	// Since and Until bound the cool-down.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Reason says what the last killed evaluation did, such as "deadline".
	Reason string `json:"reason"`
}

// ParkingLot is implemented by a Store that can tell administrators about parked
// revisions. Nothing is decided by what it holds.
type ParkingLot interface {
	// Park notes that the tenant's revision is parked. It is kept until p.Until.
	Park(ctx context.Context, tenant string, p Parked) error
	// Parked returns what is noted for the tenant and has not ended at now.
	Parked(ctx context.Context, tenant string, now time.Time) ([]Parked, error)
}
