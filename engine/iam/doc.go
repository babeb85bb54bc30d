// Package iam holds the part of IAM's policy language that API Gateway uses for
// authorizers: execute-api ARNs, policy documents, and the question whether a
// document allows a request.
//
// ParseARN reads the ARN of an authorizer event and builds the patterns that a
// reply needs. A Document is what a reply carries, with the elements of IAM's JSON
// grammar. Document.Evaluate judges one action on one resource as IAM does, so that
// tests, the local gateway and Regent's own checks can ask what API Gateway would
// make of a reply.
//
// Wildcards are IAM's: "*" is any run of characters, "/" and the empty run
// included; "?" is exactly one Unicode code point. There is no way to escape them.
// Resources are compared case-sensitively, actions are not.
//
// What it is not: an IAM simulator. Principals, resource policies and sessions do
// not exist here, and conditions and policy variables are kept and written but
// never evaluated. Wherever the answer would depend on one, the answer is the one
// that grants less: see Evaluate.
//
// Values have no hidden state; they may be read by many goroutines at once.
package iam

// The words and limits of authorizer replies.
const (
	// Version is the policy language version to write.
	Version = "2012-10-17"
	// Invoke is the action that an authorizer decides.
	Invoke = "execute-api:Invoke"
	// MaxResource is the longest Resource that API Gateway takes in a reply. API
	// Gateway states it in characters; counting bytes errs on the safe side.
	MaxResource = 512
	// MaxReply is the largest authorizer reply, in bytes. API Gateway enforces it
	// for WebSocket APIs; Regent keeps to it everywhere.
	MaxReply = 8192
)
