// Package dir reads a workspace (DESIGN.md §5) from a directory, or from any other
// fs.FS such as the embedded one, and offers it as a tenants.Store.
//
// Load reads a whole workspace at once into a Snapshot, which never changes. It is
// strict: unknown keys, duplicates, wrong types, values that the tenants package
// refuses and contradictions between files are errors, and all of them come back
// together, each with its file, line and column. Nothing is served from a
// workspace that has an error.
//
// Open gives a Store over a directory: the newest good Snapshot, swapped atomically
// by Reload or Watch. A broken save leaves the last good Snapshot in force.
//
// ReadTenant, ReadAPI and ReadAPIs read single files, and FormatTenant, FormatAPI and
// FormatAPIs make files of records, for those who move records between a workspace and
// another store.
//
// The package does not know Rego: it hands out policy files as they are, and a
// caller who wants to compile them before they come into force sets Store.Check.
// It does not resolve env: and file: secrets, opens no network connection, follows
// no reference out of the workspace and writes nothing. It has no history either:
// a workspace holds one revision for each tenant, the one on disk.
//
// Snapshot and Store may be used by many goroutines.
package dir
