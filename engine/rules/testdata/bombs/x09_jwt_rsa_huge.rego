# io.jwt.verify_rs256 with a 1M-bit modulus taken from the policy
package authz

allow if {
 n := replace(sprintf("%170000d",[1])," ","z")
 jwk := sprintf(`{"keys":[{"kty":"RSA","n":"%s","e":"AQAB"}]}`,[n])
 tok := concat(".",[base64url.encode_no_pad(`{"alg":"RS256"}`),base64url.encode_no_pad(`{}`),n])
 io.jwt.verify_rs256(tok,jwk)
}
