// Package gateway is a local API Gateway for development: an http.Handler that does
// around an authorizer what Amazon API Gateway does around a Lambda authorizer.
// `regent serve` and `regent demo` put one before each API of a workspace.
//
// For every request a Handler finds the route, checks the identity sources, asks the
// authorizer or its cache, judges the reply's policy on the request's own ARN, and
// then answers 401, 403 or 500 in API Gateway's words or lets the request through:
// to the API's upstream, or to a built-in echo that shows the authorizer context.
//
// What follows API Gateway: events of all five shapes (authorizer payloads), REST
// and HTTP routing, the treatment of paths, headers, cookies and queries of each
// kind, identity sources, caching of whole replies by API, stage and identity
// sources, replies that are malformed, statuses and bodies, size limits. Where AWS
// documents nothing, a comment at the place says what was chosen.
//
// What differs, on purpose:
//
//   - A Handler serves one API at the root of its listener, as behind a custom domain
//     without a base path. The stage appears in events and ARNs, never in the URL.
//     It needs every path as the client sent it: do not put it behind
//     http.ServeMux or http.StripPrefix, which rewrite paths.
//   - net/http hands over header names in canonical form (X-Api-Key), so REST events
//     have that form and not the client's.
//   - The authorizer context reaches an upstream as request headers, see
//     ContextHeader. On AWS that is a mapping that each integration configures.
//   - The upstream sees the client's Host header.
//   - A WebSocket API runs its authorizer on the handshake. If it is allowed, the
//     whole connection goes to the upstream; without one the answer is the echo with
//     status 200. There are no messages, routes or callbacks.
//   - There is no throttling, no CORS, no API key check, no resource policy, no
//     X-HTTP-Method-Override, and only HTTP/1.1.
//
// It is not for production: it terminates no TLS, and its cache is meant to behave
// like API Gateway's, not to be fast.
//
// A Handler may be used by many goroutines.
package gateway
