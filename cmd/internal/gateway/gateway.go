package gateway

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"time"

	"regent/engine"
	"regent/tenants"
)

// defaultStage is the stage of an HTTP API that does not show in its paths.
const defaultStage = "$default"

// Options say what stands around an API. Authorize is required; everything else has
// a default.
type Options struct {
	// Authorize answers an authorizer event, as engine.Authorizer.Authorize does. It
	// is called by many goroutines at once. A panic counts as an error.
	Authorize func(ctx context.Context, event []byte) ([]byte, error)
	// Stage is the stage's name; "local" if empty. "$default" is for HTTP APIs.
	Stage string
	// Account is the AWS account in ARNs; "123456789012" if empty.
	Account string
	// Region is the AWS region in ARNs; "us-east-1" if empty.
	Region string
	// StageVariables are the stage's variables.
	StageVariables map[string]string
	// APIKeys map the values of API keys to their ids. A key in X-Api-Key that is not
	// among them is not in the event.
	APIKeys map[string]string
	// Shape is the payload that the authorizer gets, if not the usual one of the
	// API's kind: engine.ShapeToken for REST APIs, engine.ShapeHTTP1 for HTTP APIs.
	Shape engine.Shape
	// CacheEntries bounds the authorizer cache; 4096 if zero.
	CacheEntries int
	// AuthorizerTimeout bounds one invocation; 10 s if zero, which is API Gateway's
	// own limit for HTTP APIs.
	AuthorizerTimeout time.Duration
	// UpstreamTimeout bounds the upstream's answer, its body included; 29 s if zero.
	// WebSocket connections have no limit.
	UpstreamTimeout time.Duration
	// Now tells the time; time.Now if nil.
	Now func() time.Time
	// OnRequest, if set, is told of every request when it has been answered, and of a
	// WebSocket connection when it has ended.
	OnRequest func(Trace)
}

// Handler is the gateway of one API.
type Handler struct {
	api    tenants.API
	o      Options
	routes router
	cache  *cache
	// proxy is nil for an API without upstream.
	proxy     *httputil.ReverseProxy
	transport *http.Transport
}

// Trace is what became of one request. It has no header, query or body of it in it, so
// it may be logged. Method and Path are the client's own text: quote them before they
// reach a terminal.
type Trace struct {
	// Time is when the request arrived.
	Time time.Time
	// API is the API's id.
	API string
	// RequestID is the id that the event and the decision log have.
	RequestID string
	Method    string
	// Path is the path that was judged, without the stage.
	Path string
	// Route is the route's key, "GET /orders/{id}"; empty if there is none.
	Route string
	// Authorizer says whether the authorizer was asked.
	Authorizer Authorizer
	// Outcome says how the request ended, and Why explains it where the outcome alone
	// does not.
	Outcome Outcome
	Why     string
	// Err is the authorizer's error.
	Err error
	// PrincipalID and Context are the authorizer's; empty if it did not answer.
	// Context is shared with other requests and must not be changed.
	PrincipalID string
	Context     map[string]any
	// Status is the HTTP status that the client got; 0 if it got none.
	Status int
	// AuthorizerTime is how long the invocation took; 0 without one. TotalTime is how
	// long the request took.
	AuthorizerTime time.Duration
	TotalTime      time.Duration
}

// Authorizer says whether the authorizer was asked for a request.
type Authorizer string

// What can be said of the authorizer.
const (
	// NotAsked: the request ended before it came to that.
	NotAsked Authorizer = "not asked"
	// Invoked: the authorizer was called.
	Invoked Authorizer = "invoked"
	// Cached: an earlier reply was used.
	Cached Authorizer = "cached"
)

var (
	stageName   = regexp.MustCompile(`^(\$default|[A-Za-z0-9_-]{1,128})$`)
	accountName = regexp.MustCompile(`^[0-9]{12}$`)
	regionName  = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// New returns the gateway of an API. It refuses an API that does not validate and
// options that do not fit it.
func New(api tenants.API, o Options) (*Handler, error) {
	o.Stage = cmp.Or(o.Stage, "local")
	o.Account = cmp.Or(o.Account, "123456789012")
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Shape = cmp.Or(o.Shape, shapeOf(api.Kind))
	o.CacheEntries = cmp.Or(o.CacheEntries, 4096)
	o.AuthorizerTimeout = cmp.Or(o.AuthorizerTimeout, 10*time.Second)
	o.UpstreamTimeout = cmp.Or(o.UpstreamTimeout, 29*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnRequest == nil {
		o.OnRequest = func(Trace) {}
	}
	if err := errors.Join(api.Validate(), o.validate(api)); err != nil {
		return nil, fmt.Errorf("gateway of API %q: %w", api.ID, err)
	}
	h := &Handler{api: api, o: o, routes: newRouter(api), cache: newCache(o.CacheEntries)}
	if api.Upstream == "" {
		return h, nil
	}
	upstream, err := url.Parse(api.Upstream)
	if err != nil {
		return nil, fmt.Errorf("gateway of API %q: upstream: %w", api.ID, err)
	}
	h.transport = newTransport()
	h.proxy = h.newProxy(upstream)
	return h, nil
}

func (o Options) validate(api tenants.API) error {
	var errs []error
	fits := map[engine.Shape]tenants.APIKind{
		engine.ShapeREST: tenants.REST, engine.ShapeToken: tenants.REST,
		engine.ShapeHTTP1: tenants.HTTP, engine.ShapeHTTP2: tenants.HTTP,
		engine.ShapeWebSocket: tenants.WebSocket,
	}
	if fits[o.Shape] != api.Kind {
		errs = append(errs, fmt.Errorf("%s APIs have no %s events", api.Kind, o.Shape))
	}
	if o.Shape == engine.ShapeToken && api.Credential.Kind != "header" {
		errs = append(errs, fmt.Errorf("a TOKEN authorizer takes its token from a header, not from %s", api.Credential))
	}
	if o.Shape == engine.ShapeHTTP1 && api.Simple {
		errs = append(errs, errors.New("simple responses exist in format 2.0 only"))
	}
	if api.Kind != tenants.HTTP && slices.ContainsFunc(api.Routes, func(r tenants.Route) bool { return r.Path == tenants.DefaultRoute }) {
		errs = append(errs, fmt.Errorf("only HTTP APIs have the route %s", tenants.DefaultRoute))
	}
	if !stageName.MatchString(o.Stage) || (o.Stage == defaultStage && api.Kind != tenants.HTTP) {
		errs = append(errs, fmt.Errorf("%q is not a stage of a %s API: letters, digits, - and _, or $default for HTTP APIs", o.Stage, api.Kind))
	}
	if !accountName.MatchString(o.Account) {
		errs = append(errs, fmt.Errorf("%q is not an AWS account: twelve digits", o.Account))
	}
	if !regionName.MatchString(o.Region) {
		errs = append(errs, fmt.Errorf("%q is not an AWS region, such as us-east-1", o.Region))
	}
	if o.Authorize == nil {
		errs = append(errs, errors.New("option Authorize is not set"))
	}
	if o.CacheEntries < 0 || o.AuthorizerTimeout < 0 || o.UpstreamTimeout < 0 {
		errs = append(errs, errors.New("negative limit"))
	}
	return errors.Join(errs...)
}

// Flush empties the authorizer cache, as FlushStageAuthorizersCache does: call it when
// tenants or rules changed. Invocations that are under way are not kept afterwards.
func (h *Handler) Flush() { h.cache.flush() }

// Close closes idle connections to the upstream. Requests under way go on.
func (h *Handler) Close() {
	if h.transport != nil {
		h.transport.CloseIdleConnections()
	}
}

// ServeHTTP answers one client request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	t := &Trace{Time: h.o.Now(), API: h.api.ID, Authorizer: NotAsked}
	// In a defer, because a broken upstream connection ends in a panic with
	// http.ErrAbortHandler.
	defer func() {
		t.Status, t.TotalTime = rec.status, h.o.Now().Sub(t.Time)
		h.o.OnRequest(*t)
	}()
	h.serve(rec, r, t)
}

// serve is the way of a request through the gateway.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, t *Trace) {
	q, outcome, why := h.read(r)
	t.RequestID, t.Method, t.Path, t.Route = h.requestID(q), q.method, q.path, q.route.key
	h.stamp(w, q)
	if outcome != "" {
		h.refuse(w, t, outcome, why)
		return
	}
	answer, outcome, why := h.authorize(r.Context(), q, t)
	if outcome != "" {
		h.refuse(w, t, outcome, why)
		return
	}
	t.PrincipalID, t.Context = answer.principalID, answer.context
	if outcome = answer.judge(q.arn); outcome != Allowed {
		h.refuse(w, t, outcome, "")
		return
	}
	t.Outcome = Allowed
	h.deliver(w, r, q, answer, t)
}

// stamp puts the request id on the answer, as API Gateway does.
func (h *Handler) stamp(w http.ResponseWriter, q *request) {
	if h.api.Kind == tenants.HTTP {
		w.Header().Set("Apigw-Requestid", h.requestID(q))
		return
	}
	w.Header().Set("X-Amzn-Requestid", h.requestID(q))
}

func (h *Handler) refuse(w http.ResponseWriter, t *Trace, o Outcome, why string) {
	t.Outcome, t.Why = o, why
	refuse(w, h.api.Kind, o)
}

// authorize gets the reply for a request, from the cache or from the authorizer. A
// reply is kept whole: it will be judged anew for each request that uses it. Errors
// and malformed replies are not kept.
func (h *Handler) authorize(ctx context.Context, q *request, t *Trace) (*reply, Outcome, string) {
	values, missing, ok := h.identify(q)
	if !ok {
		return nil, SourceMissing, missing.String() + " is missing or empty"
	}
	// Validate has made sure that an API with a TTL has identity sources.
	caching := h.api.Cache.TTL > 0 && len(values) > 0
	if !caching {
		return h.invoke(ctx, q, values, t)
	}
	key := h.cacheKey(values)
	kept, ticket := h.cache.get(key, q.at)
	if kept != nil {
		t.Authorizer = Cached
		return kept, "", ""
	}
	answer, outcome, why := h.invoke(ctx, q, values, t)
	if outcome == "" {
		h.cache.put(key, answer, h.o.Now().Add(h.api.Cache.TTL), ticket)
	}
	return answer, outcome, why
}

// invoke asks the authorizer. Like a Lambda function, it is not stopped when the
// client goes away.
func (h *Handler) invoke(ctx context.Context, q *request, values []string, t *Trace) (*reply, Outcome, string) {
	event, err := h.event(q, values)
	if err != nil {
		return nil, AuthorizerFailed, "build event: " + err.Error()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.o.AuthorizerTimeout)
	defer cancel()
	t.Authorizer = Invoked
	start := h.o.Now()
	text, err := h.call(ctx, event)
	t.AuthorizerTime = h.o.Now().Sub(start)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer within %s", h.o.AuthorizerTimeout)
	}
	if err != nil {
		t.Err = err
		// API Gateway compares the text, and so must whoever takes its place.
		if err.Error() == "Unauthorized" {
			return nil, Unauthorized, ""
		}
		return nil, AuthorizerFailed, err.Error()
	}
	answer, err := parseReply(h.api, text)
	if err != nil {
		return nil, ReplyMalformed, err.Error()
	}
	return answer, "", ""
}

func (h *Handler) call(ctx context.Context, event []byte) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			text, err = nil, fmt.Errorf("authorizer panicked: %T", p)
		}
	}()
	return h.o.Authorize(ctx, event)
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status, except for 1xx: they announce another one.
func (w *recorder) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write is a 200 if nothing was said before.
func (w *recorder) Write(b []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Hijack is how a proxied upgrade takes over the connection; it writes its 101 there.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController flush.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
