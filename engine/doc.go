// Package engine decides one authorizer event: who calls, for which tenant, and
// whether that tenant's rules allow it.
//
// It holds the vocabulary (Request, Identity, Input, Decision) and the pipeline
// that leads from one to the next. The stages are interfaces: engine/apigw decodes
// events and encodes replies, engine/identity verifies credentials, engine/rules
// evaluates Rego, a tenants.Store says who the tenants are. The engine opens no
// connection and knows neither Rego nor IAM.
//
// There are three kinds of no, and they never mix. A decided no is a Decision that
// does not allow; it becomes an explicit Deny, which API Gateway may cache. An
// *Unauthorized error is a request without a usable credential (401), never
// cached. A *Trouble error means that the answer is not known (500), never cached
// either. The zero value of every type denies.
package engine
