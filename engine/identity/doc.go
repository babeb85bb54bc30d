// Package identity proves who a credential belongs to. Its Verifier implements
// engine.Verifier: JWTs are verified with the key set of the tenant's provider,
// opaque tokens by asking the tenant's introspection endpoint (RFC 7662).
//
// # Which provider judges
//
// The tenant's configuration decides, and a token can only pick among what is
// configured there. A token of JWT form states an issuer; it is judged by the
// tenant's providers with exactly that issuer (of several, those whose audiences
// the token names, in the order of the configuration, the first that accepts it).
// Everything else is an opaque token and goes to the tenant's introspection
// endpoints, in order. A token of JWT form is sent to an introspection endpoint
// only where that provider is configured with the issuer which the token states
// and no provider with keys has it: otherwise a bearer token would be handed to a
// party that it was not made for.
//
// Identity.Issuer always comes from the configuration: the provider's issuer, or
// the URL of the introspection endpoint where none is configured.
//
// # What a JWT must be
//
// Strict compact JWS of at most 8192 bytes: canonical base64url, JSON without
// duplicate members, trailing data, invalid UTF-8 or lone surrogates. alg is in the
// provider's list and fits the key; crit, b64, zip, enc and nested tokens are
// refused; jku, jwk, x5u and x5c are never used, and counted in Stats. exp is required; nbf, iat, iss,
// aud and the provider's binding claims hold. An ID token is not an access token:
// it is refused by its nonce, at_hash, c_hash or s_hash, by token_use or by typ.
// Claims are checked before the signature, so that a token that must fail anyway
// causes neither a fetch nor a signature check, and they count only once the very
// bytes they were read from are verified.
//
// Of jwx/v2, key set members are read with jwk.ParseKey and signatures checked with
// jws.Verify, both behind this package's own rules; jwt.Parse, jwk.Fetch and
// jwk.Cache are not used, and a test holds that.
//
// # What is kept
//
// Key sets and discovery documents are kept per URL: fresh for 10 minutes, then
// refreshed in passing, and used for at most 6 hours if the provider fails. An
// unknown kid refetches at most once in 10 seconds. Every URL has its own state and
// at most one flight, and a tenant has at most two key fetches and two introspections
// under way, so one tenant's dead providers slow nobody else. Results of
// introspection are kept for at most 60 seconds, verified tokens until they expire
// or their key or provider changes; both under keyed digests, never under the token.
// All of it is bounded. No goroutine is needed between calls: a fetch that outlives
// its first caller is bounded by its own deadline, and one that was frozen is
// abandoned.
//
// # What this package is not
//
// It neither chooses the tenant nor decides whether a request is allowed, it does
// not make tokens, and it does not check proof of possession (DPoP, mTLS).
//
// A Verifier may be used by many goroutines.
package identity
