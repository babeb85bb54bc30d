package identity

import "regent/engine"

// Codes of *engine.Unauthorized: why a credential proves nothing. They are stable
// words for the decision log; the caller never sees them.
const (
	CodeTokenTooLong        = "token_too_long"        // more than 8192 bytes
	CodeTokenMalformed      = "token_malformed"       // neither strict compact JWS nor an opaque token
	CodeHeaderRefused       = "header_refused"        // crit, b64, zip, enc or a nested token
	CodeTokenTypeRefused    = "token_type_refused"    // typ or claims of another kind of token, such as an ID token
	CodeAlgorithmNotAllowed = "algorithm_not_allowed" // alg is absent or not in the provider's list
	CodeIssuerUnknown       = "issuer_unknown"        // none of the tenant's providers has the stated iss
	CodeAudienceMismatch    = "audience_mismatch"     // aud names none of the provider's audiences
	CodeClaimMalformed      = "claim_malformed"       // a registered claim is absent or of the wrong form
	CodeClaimMismatch       = "claim_mismatch"        // a binding claim does not hold
	CodeTokenExpired        = "token_expired"         // exp has passed
	CodeTokenNotYetValid    = "token_not_yet_valid"   // nbf or iat is in the future
	CodeTokenLifetime       = "token_lifetime"        // exp is too long after iat
	CodeKeyIDRequired       = "key_id_required"       // no kid, and the key set has several keys
	CodeKeyUnknown          = "key_unknown"           // the key set has no key with this kid
	CodeKeyUnusable         = "key_unusable"          // the key is weak, not for signatures or does not fit alg
	CodeSignatureInvalid    = "signature_invalid"     // the signature does not verify
	CodeTokenInactive       = "token_inactive"        // introspection does not say active: true
)

// CodeProvider is the code of *engine.Trouble: a provider could not be asked.
const CodeProvider = "provider"

// refuse builds a refusal. The detail is fixed text: nothing of the token may be
// in it.
func refuse(code, detail string) *engine.Unauthorized {
	return &engine.Unauthorized{Code: code, Detail: detail}
}
