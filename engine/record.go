package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Record is one decision-log entry. Fields that OPA's decision log has keep its
// names. What could hold a secret or a person is left out and named in Erased, or
// replaced by a digest and named in Masked.
type Record struct {
	DecisionID  string            `json:"decision_id"`
	Timestamp   time.Time         `json:"timestamp"`
	Labels      map[string]string `json:"labels,omitempty"`
	Path        string            `json:"path"`
	RequestedBy string            `json:"requested_by,omitempty"`
	// GatewayRequestID is API Gateway's id of the request.
	GatewayRequestID string                  `json:"gateway_request_id,omitempty"`
	Bundles          map[string]RecordBundle `json:"bundles,omitempty"`
	Input            *RecordInput            `json:"input,omitempty"`
	Erased           []string                `json:"erased,omitempty"`
	Masked           []string                `json:"masked,omitempty"`
	Result           RecordResult            `json:"result"`
	Error            *RecordError            `json:"error,omitempty"`
	// Stale says that something in force could not be read, and that what was known
	// before decided in its place.
	Stale *RecordStale `json:"stale,omitempty"`
	// Incomplete says why a reply that API Gateway may cache grants less than the
	// rules do. At most ten entries.
	Incomplete []Limit          `json:"incomplete,omitempty"`
	Metrics    map[string]int64 `json:"metrics"`
}

// RecordBundle names the revision of a bundle that decided.
type RecordBundle struct {
	Revision string `json:"revision"`
}

// RecordInput is the part of the input document that may be logged.
type RecordInput struct {
	Shape    Shape          `json:"shape"`
	Tenant   string         `json:"tenant,omitempty"`
	Identity RecordIdentity `json:"identity"`
	API      Target         `json:"api"`
	Method   string         `json:"method"`
	Path     string         `json:"path"`
	Route    string         `json:"route,omitempty"`
}

// RecordIdentity is who called, without saying more about a person than needed to
// recognise the same caller again.
type RecordIdentity struct {
	Kind   IdentityKind `json:"kind,omitempty"`
	Issuer string       `json:"issuer,omitempty"`
	// Subject is the first 16 hexadecimal digits of an HMAC-SHA256.
	Subject string `json:"subject,omitempty"`
}

// RecordResult is how the event was answered.
type RecordResult struct {
	// Outcome is allow, deny, unauthorized or trouble.
	Outcome string `json:"outcome"`
	// Code is a stable word for the reason: "policy" if the rules decided.
	Code string `json:"code,omitempty"`
	// Reasons are the rules' own, each cut to 256 bytes.
	Reasons []string `json:"reasons,omitempty"`
	// ReasonsLeftOut is how many more there were. Whoever bounds the lines of a log sets it.
	ReasonsLeftOut int `json:"reasons_left_out,omitempty"`
}

// RecordError is why there was no decision.
type RecordError struct {
	Code string `json:"code"`
	// Store is the store's own code for what happened, if it has one.
	Store   string `json:"store,omitempty"`
	Message string `json:"message"`
}

// RecordStale is why a decision rests on what was known before.
type RecordStale struct {
	// AgeSeconds is how old the oldest of it is.
	AgeSeconds int64 `json:"age_s"`
	// Revision and Platform are in force and did not load; what did decide is in
	// Bundles. Empty if it was only that the store could not be asked.
	Revision string `json:"revision,omitempty"`
	Platform string `json:"platform,omitempty"`
	// Store is the store's own code for what happened, if it has one.
	Store   string `json:"store,omitempty"`
	Message string `json:"message"`
}

// maxLogged bounds texts that come from rules and requests, in bytes, and maxIncomplete
// the entries of Incomplete.
const (
	maxLogged     = 256
	maxIncomplete = 10
)

func (w *work) record(err error) Record {
	r := Record{
		DecisionID:       w.id,
		Timestamp:        w.now.UTC(),
		Path:             "authz",
		RequestedBy:      w.req.SourceIP,
		GatewayRequestID: w.req.ID,
		Metrics:          map[string]int64{"timer_authorizer_ns": w.Now().Sub(w.now).Nanoseconds()},
	}
	if w.evalTime > 0 {
		r.Metrics["timer_rego_query_eval_ns"] = w.evalTime.Nanoseconds()
	}
	if w.tenant.Revision != "" {
		r.Bundles = map[string]RecordBundle{w.tenant.ID: {string(w.tenant.Revision)}}
		if w.platform != "" {
			r.Bundles["platform"] = RecordBundle{string(w.platform)}
		}
	}
	if w.req.Shape != "" {
		r.Input = w.recordInput()
		r.Erased = []string{"/input/headers", "/input/query", "/input/identity/claims"}
		if w.identity.Subject != "" {
			r.Masked = []string{"/input/identity/subject"}
		}
	}
	r.Incomplete = w.limits[:min(len(w.limits), maxIncomplete)]
	r.Stale = w.recordStale()
	r.Result, r.Error = w.result(err)
	return r
}

func (w *work) recordStale() *RecordStale {
	age, err := w.stale.Oldest()
	if err == nil {
		return nil
	}
	stale := &RecordStale{AgeSeconds: int64(age / time.Second), Store: storeCode(err), Message: cut(err.Error())}
	if w.instead == (bundles{}) {
		return stale
	}
	if w.instead.tenant != w.tenant.Revision {
		stale.Revision = string(w.instead.tenant)
	}
	if w.instead.platform != w.platform {
		stale.Platform = string(w.instead.platform)
	}
	return stale
}

// storeCode returns a store's own code for an error; "" if it has none.
func storeCode(err error) string {
	var coded interface{ StoreCode() string }
	if errors.As(err, &coded) {
		return coded.StoreCode()
	}
	return ""
}

func (w *work) recordInput() *RecordInput {
	in := &RecordInput{
		Shape:    w.req.Shape,
		Tenant:   w.tenant.ID,
		Identity: RecordIdentity{Kind: w.identity.Kind, Issuer: w.identity.Issuer},
		API:      w.req.API,
		Method:   cut(w.req.Method),
		Path:     cut(w.req.Path),
		Route:    w.req.Route,
	}
	if w.identity.Subject != "" {
		mac := hmac.New(sha256.New, w.Salt)
		for _, part := range []string{w.tenant.ID, w.identity.Issuer, w.identity.Subject} {
			mac.Write([]byte(part))
			mac.Write([]byte{0})
		}
		in.Identity.Subject = hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return in
}

func (w *work) result(err error) (RecordResult, *RecordError) {
	var unauthorized *Unauthorized
	var trouble *Trouble
	switch {
	case errors.As(err, &unauthorized):
		return RecordResult{Outcome: "unauthorized", Code: unauthorized.Code},
			&RecordError{Code: unauthorized.Code, Message: cut(unauthorized.Detail)}
	case errors.As(err, &trouble):
		return RecordResult{Outcome: "trouble", Code: trouble.Code},
			&RecordError{Code: trouble.Code, Store: storeCode(err), Message: cut(trouble.Err.Error())}
	case err != nil:
		return RecordResult{Outcome: "trouble"}, &RecordError{Message: "unclassified"}
	}
	result := RecordResult{Outcome: "deny", Code: w.code}
	if w.reply != nil && w.reply.Allow {
		result.Outcome = "allow"
	}
	for _, reason := range w.decision.Reasons {
		result.Reasons = append(result.Reasons, cut(reason))
	}
	return result, nil
}

func cut(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return s[:maxLogged] + "…"
}
