// Package secrets reads the client secrets that tenants' records refer to: variables
// and files as identity.ReadSecret does, and secrets in AWS Secrets Manager by their
// ARN.
//
// The AWS client is made at the first ARN, so a function without such references pays
// nothing for it. It takes credentials and endpoints as every AWS SDK does
// (AWS_ENDPOINT_URL_SECRETS_MANAGER among them), and the region from the ARN. The role
// needs secretsmanager:GetSecretValue for the secrets that are named, and nothing else.
//
// A secret is kept for five minutes and a failure for five seconds, of at most 256
// ARNs. After a rotation the old secret may thus be sent for five minutes: rotate so
// that it stays valid as long. What a secret is may be kept, which tenant may name it
// is checked each time. No error has a secret in it, nor anything that AWS said but
// the name of its error.
//
// The package changes no secret and has no goroutine between calls.
package secrets
