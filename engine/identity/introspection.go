package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"regent/engine"
	"regent/tenants"
)

// Limits of introspection.
const (
	maxIntrospection = 64 << 10 // bytes of an answer
	maxAnswers       = 4096     // kept, yes and no each
	maxEndpoints     = 1024     // whose failures are remembered
	maxYes           = 60 * time.Second
	maxNo            = 5 * time.Second
)

// introspector asks RFC 7662 endpoints about opaque tokens.
type introspector struct {
	fetcher *fetcher
	secret  func(ctx context.Context, tenant, reference string) (string, error)
	clock   clock
	key     digestKey
	yes, no *lru.Cache[digest, answer]
	pauses  *lru.Cache[digest, pause]
	flights singleflight.Group
	turns   *turns
}

// answer is what an endpoint said, and how long that may be believed.
type answer struct {
	identity engine.Identity
	refusal  error // nil for yes
	asked    stamp
	keep     time.Duration
}

func newIntrospector(config Config, f *fetcher, c clock) *introspector {
	i := &introspector{
		fetcher: f, secret: config.Secret, clock: c, key: newDigestKey(), turns: newTurns(),
		yes:    newLRU[digest, answer](maxAnswers),
		no:     newLRU[digest, answer](maxAnswers),
		pauses: newLRU[digest, pause](maxEndpoints),
	}
	if i.secret == nil {
		i.secret = ReadSecret
	}
	return i
}

// prove asks a provider's endpoint who a token belongs to, or recalls what it said.
func (i *introspector) prove(ctx context.Context, tenant tenants.Tenant, p tenants.Provider, token string, now time.Time) (engine.Identity, error) {
	if !isBearerToken(token) {
		return engine.Identity{}, refuse(CodeTokenMalformed, "neither a JWT nor an opaque token as RFC 6750 has it")
	}
	// The key has all that the answer depends on: the same token at another tenant,
	// or under another configuration, is another question.
	config, err := json.Marshal(p)
	if err != nil {
		return engine.Identity{}, engine.Troublef(CodeProvider, "the provider's configuration is not JSON")
	}
	question := question{
		key: i.key.of(tenant.ID, string(config), token), endpoint: i.key.of(tenant.ID, string(config)),
		tenant: tenant.ID, provider: p, token: token, at: i.clock.at(now),
	}
	a, err := i.answer(ctx, question)
	if err != nil {
		return engine.Identity{}, &engine.Trouble{Code: CodeProvider, Err: err}
	}
	return a.identity, a.refusal
}

type question struct {
	key, endpoint digest
	tenant        string // its id
	provider      tenants.Provider
	token         string
	at            stamp
}

// result is what comes of a flight, and when it began.
type result struct {
	answer answer
	began  stamp
}

// answer recalls an answer or joins the one flight that asks for it. A flight that
// began long ago was frozen with the function: it is not waited for twice.
func (i *introspector) answer(ctx context.Context, q question) (answer, error) {
	if a, ok := i.recall(q); ok {
		return a, nil
	}
	if err := i.paused(q); err != nil {
		return answer{}, err
	}
	flight := string(q.key[:])
	for {
		select {
		case r := <-i.flights.DoChan(flight, func() (any, error) { return i.fly(q) }):
			landed, _ := r.Val.(result)
			if r.Err != nil && q.at.since(landed.began) >= zombie {
				continue // the next flight is ours, or as young
			}
			return landed.answer, r.Err
		case <-ctx.Done():
			return answer{}, fmt.Errorf("the request ended before the provider answered: %w", ctx.Err())
		}
	}
}

// fly asks, on a context of its own that no caller's end cuts short.
func (i *introspector) fly(q question) (r result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic of type %T over the provider's answer", p)
		}
	}()
	r.began = q.at
	done, err := i.turns.take(context.Background(), q.tenant, totalBudget)
	if err != nil {
		return r, err
	}
	defer done()
	var known bool
	if r.answer, known = i.recall(q); known { // answered since the caller looked
		return r, nil
	}
	if err := i.paused(q); err != nil { // while this one waited for its turn
		return r, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), totalBudget)
	defer cancel()
	said, err := i.ask(ctx, q)
	if err != nil {
		i.pause(q, err)
		return r, err
	}
	r.answer = judgeIntrospection(q.provider, said, q.at)
	i.keep(q, r.answer)
	return r, nil
}

func (i *introspector) recall(q question) (answer, bool) {
	a, ok := i.yes.Get(q.key)
	if !ok {
		a, ok = i.no.Get(q.key)
	}
	return a, ok && q.at.since(a.asked) < a.keep
}

func (i *introspector) keep(q question, a answer) {
	if a.keep <= 0 {
		return
	}
	if a.refusal != nil {
		i.yes.Remove(q.key) // or it would be found first
		i.no.Add(q.key, a)
		return
	}
	i.yes.Add(q.key, a)
}

// ask sends the question. An answer that is not JSON at all is an error; one that
// could be read in two ways comes back as nil, which is no yes.
func (i *introspector) ask(ctx context.Context, q question) (map[string]any, error) {
	u, err := i.fetcher.checkURL(q.provider.Introspection)
	if err != nil {
		return nil, err
	}
	secret, err := i.secret(ctx, q.tenant, q.provider.ClientSecret)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {q.token}, "token_type_hint": {"access_token"}}
	if q.provider.AuthMethod == tenants.AuthPost {
		form.Set("client_id", q.provider.ClientID)
		form.Set("client_secret", secret)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("the provider at %s: its URL cannot be requested", place(u))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Asking twice does no harm: net/http may retry on a connection gone stale. An
	// empty value is not sent.
	request.Header["Idempotency-Key"] = []string{}
	if q.provider.AuthMethod != tenants.AuthPost {
		// RFC 6749 §2.3.1: both are form-encoded before they are joined.
		request.SetBasicAuth(url.QueryEscape(q.provider.ClientID), url.QueryEscape(secret))
	}
	body, err := i.fetcher.do(request, maxIntrospection)
	if err != nil {
		return nil, err
	}
	said, err := decodeObject(body, maxClaimsDepth)
	if err != nil && !json.Valid(body) {
		return nil, fmt.Errorf("the provider at %s: the answer is not JSON", place(u))
	}
	return said, nil
}

// judgeIntrospection applies the rules of RFC 7662 §4 and the provider's own to an
// answer, and says how long the result may be kept.
func judgeIntrospection(p tenants.Provider, said map[string]any, at stamp) answer {
	identity, err := readIntrospection(p, said, at.wall)
	if err != nil {
		return answer{refusal: err, asked: at, keep: maxNo}
	}
	a := answer{identity: identity, asked: at, keep: maxYes}
	if !identity.Expires.IsZero() {
		a.keep = min(a.keep, identity.Expires.Sub(at.wall))
	}
	// What was said is believed no longer than this, whatever exp is.
	a.identity.Expires = at.wall.Add(a.keep)
	return a
}

func readIntrospection(p tenants.Provider, said map[string]any, now time.Time) (engine.Identity, error) {
	if said["active"] != true {
		return engine.Identity{}, refuse(CodeTokenInactive, "the introspection endpoint does not say active: true")
	}
	valid, err := readValidity(said, 0)
	if err != nil {
		return engine.Identity{}, err
	}
	if err := valid.check(now, leeway(p)); err != nil {
		return engine.Identity{}, err
	}
	if kind, there := said["token_type"]; there && !isBearer(kind) {
		return engine.Identity{}, refuse(CodeTokenTypeRefused, "token_type is not Bearer")
	}
	if p.Issuer != "" && said["iss"] != p.Issuer {
		return engine.Identity{}, refuse(CodeIssuerUnknown, "iss is not the provider's issuer")
	}
	if len(p.Audiences) > 0 && !isAudience(said["aud"], p.Audiences) {
		return engine.Identity{}, refuse(CodeAudienceMismatch, "aud names none of the provider's audiences")
	}
	if err := checkBinding(p.Claims, said); err != nil {
		return engine.Identity{}, err
	}
	identity := engine.Identity{Kind: engine.Opaque, Issuer: p.Issuer, Claims: said, Expires: valid.expires}
	if identity.Issuer == "" {
		identity.Issuer = p.Introspection
	}
	if identity.Subject, err = readSubject(said); err != nil {
		return engine.Identity{}, err
	}
	identity.Scopes, err = readScopes(said)
	return identity, err
}

func isBearer(kind any) bool {
	s, _ := kind.(string)
	return strings.EqualFold(s, "Bearer")
}

// isBearerToken is RFC 6750's b64token. Nothing else is sent to an endpoint.
func isBearerToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !isBase64url(s[i]) && !strings.ContainsRune(".~+/", rune(s[i])) {
			return false
		}
	}
	return s != ""
}

// pause keeps requests from waiting for an endpoint that does not answer. Answers
// that a caller's token may have caused, such as 400, start none: anybody could then
// lock the tenant's other callers out.
type pause struct {
	since  stamp
	length time.Duration
	err    error
}

func (i *introspector) paused(q question) error {
	if p, ok := i.pauses.Get(q.endpoint); ok && q.at.since(p.since) < p.length {
		return p.err
	}
	return nil
}

func (i *introspector) pause(q question, err error) {
	var status *statusError
	length := firstRetry / 2
	switch {
	case errors.As(err, &status) && status.status == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(status.retryAfter)
		length = min(max(length, time.Duration(seconds)*time.Second), lastRetry)
	case !errors.Is(err, errTransport):
		return
	}
	i.pauses.Add(q.endpoint, pause{since: i.clock.later(q.at), length: length, err: err})
}
