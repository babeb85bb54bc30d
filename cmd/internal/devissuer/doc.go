// Package devissuer is an OIDC issuer for development: it mints access tokens for
// `regent serve`, `regent demo` and `regent token`, and serves the discovery
// document and the key set that go with them.
//
// One Issuer holds one ES256 key. It signs for any issuer URL, so one key can stand
// in for the providers of every tenant of a workspace. Open keeps the key in a file
// that only its owner may read, so that `regent token` mints tokens which a running
// `regent serve` accepts.
//
// What it is not: an identity provider. It has no clients, no login and no
// revocation, and it signs whatever it is asked to. Its keys vouch for nobody and
// must never reach a deployed tenant record.
//
// An Issuer does not change after it is built; its methods may be called by many
// goroutines.
package devissuer
