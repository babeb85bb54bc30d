// Package interop runs the verifier against a real OpenID provider, the certified
// oidc-provider, on loopback: discovery, every algorithm it signs with, opaque
// tokens with introspection and revocation, key rotation and restarts while
// requests flow. It is a module of its own, because it needs Node.js:
//
//	cd engine/identity/interop && npm ci && go test ./...
package interop
