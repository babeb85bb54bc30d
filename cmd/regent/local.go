package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/engine/rules"
)

// local puts an authorizer behind local gateways and tells what became of each
// request.
type local struct {
	authorizer *engine.Authorizer
	// answered is called for each request when it has been answered, by many
	// goroutines.
	answered func(answer)

	mu sync.Mutex
	// decided are the decisions whose requests have not been answered yet.
	decided map[string]engine.Outcome
}

// answer is a request's way through gateway and authorizer.
type answer struct {
	gateway.Trace
	// Tenant is empty if nobody found out.
	Tenant string
	// Reason is why the answer is as it is, in a line.
	Reason string
	// Incomplete says where the reply grants less than the rules do; nil for a reply
	// from the cache.
	Incomplete []engine.Limit
}

func newLocal(a *engine.Authorizer, answered func(answer)) *local {
	return &local{authorizer: a, answered: answered, decided: map[string]engine.Outcome{}}
}

// options are those of a gateway before the authorizer.
func (l *local) options() gateway.Options {
	return gateway.Options{Authorize: l.authorize, OnRequest: l.onRequest}
}

func (l *local) authorize(ctx context.Context, event []byte) ([]byte, error) {
	out := l.authorizer.Explain(ctx, event)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decided[out.Record.GatewayRequestID] = out
	return out.Reply, out.Err
}

// onRequest joins what the gateway and the authorizer know of a request.
func (l *local) onRequest(t gateway.Trace) {
	l.mu.Lock()
	out, asked := l.decided[t.RequestID]
	delete(l.decided, t.RequestID)
	l.mu.Unlock()
	a := answer{Trace: t, Incomplete: out.Record.Incomplete}
	a.Tenant, _ = t.Context["tenantId"].(string)
	if asked && out.Record.Input != nil {
		a.Tenant = cmp.Or(a.Tenant, out.Record.Input.Tenant)
	}
	a.Reason = explain(t, out, asked)
	l.answered(a)
}

// explain is why a request was answered as it was.
func explain(t gateway.Trace, out engine.Outcome, asked bool) string {
	own := t.Outcome == gateway.Allowed || t.Outcome == gateway.ExplicitDeny || t.Outcome == gateway.ImplicitDeny
	switch {
	case t.Authorizer == gateway.Cached && t.Outcome == gateway.Allowed:
		return "the cached policy allows it"
	case t.Authorizer == gateway.Cached && t.Outcome == gateway.ExplicitDeny:
		return "the cached policy denies it"
	case t.Authorizer == gateway.Cached && t.Outcome == gateway.ImplicitDeny:
		return "the cached policy does not speak of it"
	case asked && own:
		return reason(out.Record.Result.Outcome, out.Record.Result.Code, out.Record.Result.Reasons, "")
	case asked && out.Err != nil:
		return out.Record.Result.Code + ": " + cause(out)
	case t.Outcome == gateway.SourceMissing:
		return t.Why + ", so nobody is asked"
	case t.Why != "":
		return string(t.Outcome) + ": " + t.Why
	default:
		return string(t.Outcome)
	}
}

// cause is why there was no decision, in full: whoever runs this owns the rules, so
// OPA's message, which may quote the input, is not kept from him.
func cause(out engine.Outcome) string {
	var eval *rules.EvalError
	if errors.As(out.Err, &eval) && eval.Code != "contract" {
		return eval.Error() + ": " + eval.Message
	}
	if out.Record.Error != nil {
		// The record's message begins with the code, which is told anyway.
		return strings.TrimPrefix(out.Record.Error.Message, out.Record.Error.Code+": ")
	}
	return out.Err.Error()
}

// cacheWord says what the cache did: hit, miss, or - if nobody looked.
func cacheWord(a gateway.Authorizer) string {
	switch a {
	case gateway.Cached:
		return "hit"
	case gateway.Invoked:
		return "miss"
	default:
		return "-"
	}
}

// front is a gateway that listens.
type front struct {
	address string
	server  *http.Server
	// ended has the error of a server that ended by itself.
	ended chan error
}

// listen serves a handler at an address. It is up when listen returns.
func listen(address string, h http.Handler) (*front, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	f := &front{
		address: l.Addr().String(),
		// The gateway has limits of its own, as API Gateway has.
		server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second},
		ended:  make(chan error, 1),
	}
	go func() { f.ended <- f.server.Serve(l) }()
	return f, nil
}

// close waits for the requests under way, for a while.
func (f *front) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := f.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, f.server.Close())
	}
	if ended := <-f.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", f.address, err)
	}
	return nil
}
