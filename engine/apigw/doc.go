// Package apigw speaks API Gateway's formats: it decodes authorizer events into
// engine.Request and encodes engine.Reply into what API Gateway takes.
//
// Five shapes of event arrive (REST TOKEN, REST REQUEST, WebSocket $connect, and
// HTTP API payloads 1.0 and 2.0), and Event has the fields of all of them, for
// reading and for making them. Gateway.Decode tells them apart, takes the API, stage,
// account and region from the ARN, and brings path, query, headers and cookies into
// one form.
//
// Events tell one thing in several places: the path is in the path, in the ARN, in
// the route's parameters. API Gateway judges the ARN, rules judge the path, and the
// backend gets a spelling of its own, so the places are compared. Three answers are
// possible when a request is not plain:
//
//   - an event that contradicts itself about the API it is for, or that cannot be
//     read, is a *engine.Trouble;
//   - a path, method or route that can be read in two ways sets Request.Ambiguous, and
//     becomes an explicit Deny;
//   - headers or a query that API Gateway's cache could read otherwise set
//     Request.Doubtful, and become an uncached 401.
//
// Where public facts about API Gateway are not certain, such as whether an ARN is
// percent-encoded, every form that could be true is accepted as long as all of them
// name the same resource; what reaches rules does not depend on which it is.
//
// Gateway.Encode writes exact replies: the request's own ARN, allowed or denied. It
// writes no wildcard that came from a request, and it fails rather than send what
// API Gateway would cut off or misread.
//
// What it is not: it decides nothing, checks no credential, and does not know Lambda;
// bytes come in and bytes go out. Gateway has no state and may be used by many
// goroutines at once.
package apigw
