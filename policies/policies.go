// Package policies is Regent's own workspace, embedded: three tenants whose rules
// are written in three ways, guardrails, helpers, and tests for all of it.
//
// It is what `regent demo` runs, what `regent init` copies, and the living example
// of the format of DESIGN.md §5. It is data: it compiles no Rego and reads no
// configuration. What a workspace means is the business of tenants/dir (the
// registry) and engine/rules (the Rego).
//
// The issuers in it are made up. Nobody answers at https://idp.acme.example, so a
// program that runs the workspace puts a development provider in their place.
package policies

import "embed"

// FS holds the workspace with regent.yaml at its root. Files whose names start with
// a dot or an underscore are part of it; this package's Go files are not.
//
//go:embed README.md regent.yaml all:lib all:platform all:schema all:tenants
var FS embed.FS
