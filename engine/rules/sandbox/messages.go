package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// What a request asks for.
const (
	opConfigure = 1 + iota // the first request of each child: its limits
	opLoad                 // compile a pair of bundles and keep it
	opDecide
	opPermissions
)

// What a reply says.
const (
	statusOK = 1 + iota
	statusEval
	statusProblems
	statusError
	statusNotLoaded
)

// Limits of messages, in bytes. A longer one is never sent and never read.
const (
	maxRequest     = 8 << 20
	maxDecision    = 64 << 10
	maxPermissions = 2 << 20
	maxLoaded      = 2 << 20
	maxText        = 4 << 10 // one text of an error
	maxError       = 16 << 10
)

// What the lists and maps of a message may take in memory, in bytes. The largest
// permissions that package rules makes, 5,000 cells, take about 4 MB.
const (
	roomRequest     = 64 << 20
	roomDecision    = 1 << 20
	roomPermissions = 16 << 20
	roomLoaded      = 1 << 20
)

// pairKey names what is compiled together.
type pairKey struct{ platform, revision tenants.Digest }

func (w *writer) pair(k pairKey) {
	w.text(string(k.platform))
	w.text(string(k.revision))
}

func (r *reader) pair() pairKey {
	// The child keeps it for longer than the message that has the bundles.
	digest := func() tenants.Digest { return tenants.Digest(strings.Clone(r.text())) }
	return pairKey{platform: digest(), revision: digest()}
}

// configuration is what a child is told before it sees anything hostile.
type configuration struct {
	// memory bounds what it may allocate, in bytes.
	memory   uint64
	capacity int
}

func (w *writer) configuration(c configuration) {
	w.uint(c.memory)
	w.length(c.capacity)
}

func (r *reader) configuration() configuration {
	return configuration{memory: r.uint(), capacity: int(r.uint() & 0xffff)}
}

// load is the content of a pair.
type load struct {
	platform, tenant []tenants.File
	schema           []byte
}

func (w *writer) load(l load) {
	file := func(w *writer, f tenants.File) { w.text(f.Path); w.bytes(f.Content) }
	writeList(w, l.platform, file)
	writeList(w, l.tenant, file)
	w.bytes(l.schema)
}

func (r *reader) load() load {
	file := func(r *reader) tenants.File { return tenants.File{Path: strings.Clone(r.text()), Content: r.bytes()} }
	return load{platform: readList(r, file), tenant: readList(r, file), schema: r.bytes()}
}

// question is what Decide and Permissions have in common.
type question struct {
	pair    pairKey
	now     time.Time
	timeout time.Duration
}

func (w *writer) question(q question) {
	w.pair(q.pair)
	w.int(q.now.UnixNano())
	w.int(int64(q.timeout))
}

func (r *reader) question() question {
	return question{pair: r.pair(), now: time.Unix(0, r.int()).UTC(), timeout: time.Duration(r.int())}
}

func (w *writer) input(in engine.Input) error {
	w.text(in.Tenant.ID)
	if err := w.object(in.Tenant.Attributes, 0); err != nil {
		return err
	}
	w.text(string(in.Identity.Kind))
	w.text(in.Identity.Subject)
	w.text(in.Identity.Issuer)
	w.texts(in.Identity.Scopes)
	if err := w.object(in.Identity.Claims, 0); err != nil {
		return err
	}
	w.text(string(in.API.Kind))
	w.text(in.API.ID)
	w.text(in.API.Stage)
	w.text(in.API.Account)
	w.text(in.API.Region)
	w.text(in.Method)
	w.text(in.Path)
	w.texts(in.Segments)
	w.text(in.Route)
	writeMap(w, in.Params, (*writer).text)
	writeMap(w, in.Query, (*writer).texts)
	writeMap(w, in.Headers, (*writer).text)
	w.text(in.SourceIP)
	return nil
}

func (r *reader) input() (in engine.Input) {
	in.Tenant.ID = r.text()
	in.Tenant.Attributes = r.object(0)
	in.Identity.Kind = engine.IdentityKind(r.text())
	in.Identity.Subject = r.text()
	in.Identity.Issuer = r.text()
	in.Identity.Scopes = r.texts()
	in.Identity.Claims = r.object(0)
	in.API.Kind = tenants.APIKind(r.text())
	in.API.ID = r.text()
	in.API.Stage = r.text()
	in.API.Account = r.text()
	in.API.Region = r.text()
	in.Method = r.text()
	in.Path = r.text()
	in.Segments = r.texts()
	in.Route = r.text()
	in.Params = readMap(r, (*reader).text)
	in.Query = readMap(r, (*reader).texts)
	in.Headers = readMap(r, (*reader).text)
	in.SourceIP = r.text()
	return in
}

func (w *writer) known(k engine.Known) error {
	if err := w.input(k.Input); err != nil {
		return err
	}
	writeMap(w, k.Headers, (*writer).text)
	writeMap(w, k.Query, (*writer).texts)
	w.text(k.AbsentHeader)
	w.text(k.AbsentQuery)
	w.bool(k.Method)
	w.bool(k.Route)
	w.bool(k.Path)
	w.bool(k.SourceIP)
	w.text(k.RouteMethod)
	return nil
}

func (r *reader) known() engine.Known {
	return engine.Known{
		Input:        r.input(),
		Headers:      readMap(r, (*reader).text),
		Query:        readMap(r, (*reader).texts),
		AbsentHeader: r.text(), AbsentQuery: r.text(),
		Method: r.bool(), Route: r.bool(), Path: r.bool(), SourceIP: r.bool(),
		RouteMethod: r.text(),
	}
}

func (w *writer) routes(routes []tenants.Route) {
	writeList(w, routes, func(w *writer, t tenants.Route) { w.text(t.Method); w.text(t.Path) })
}

func (r *reader) routes() []tenants.Route {
	return readList(r, func(r *reader) tenants.Route { return tenants.Route{Method: r.text(), Path: r.text()} })
}

func (w *writer) decision(d engine.Decision) error {
	w.bool(d.Allow)
	w.texts(d.Reasons)
	w.bool(d.Context != nil)
	if d.Context != nil {
		if err := w.object(d.Context, 0); err != nil {
			return err
		}
	}
	w.text(d.PrincipalID)
	w.text(d.UsageKey)
	return nil
}

// decision reads a decision by the contract: yes only without reasons, and scalars
// only in the context.
func (r *reader) decision() (d engine.Decision) {
	d.Allow = r.bool()
	d.Reasons = r.texts()
	if r.bool() {
		d.Context = r.object(0)
	}
	d.PrincipalID = r.text()
	d.UsageKey = r.text()
	for _, v := range d.Context {
		switch v.(type) {
		case string, bool, json.Number:
		default:
			r.fail()
		}
	}
	if d.Allow && len(d.Reasons) > 0 {
		r.fail()
	}
	if r.err != nil {
		return engine.Decision{}
	}
	return d
}

func (w *writer) affix(a engine.Affix) { w.text(a.Prefix); w.text(a.Suffix) }

func (w *writer) segment(s engine.Segment) {
	w.text(s.Literal)
	w.bool(s.Fixed)
	writeList(w, s.Like, (*writer).affix)
	writeList(w, s.NotLike, (*writer).affix)
	w.texts(s.Not)
}

func (w *writer) cell(c engine.Cell) {
	w.text(c.Method)
	w.text(c.Route)
	writeList(w, c.Segments, (*writer).segment)
	w.bool(c.Rest)
	w.bool(c.Allowed)
	writeList(w, c.Limits, (*writer).length)
}

func (w *writer) limit(l engine.Limit) {
	w.text(cut(l.File))
	w.length(l.Line)
	w.text(cut(l.Reason))
}

func (w *writer) permissions(p engine.Permissions) {
	writeList(w, p.Cells, (*writer).cell)
	writeList(w, p.Limits, (*writer).limit)
}

func (r *reader) affix() engine.Affix { return engine.Affix{Prefix: r.text(), Suffix: r.text()} }

func (r *reader) segment() engine.Segment {
	return engine.Segment{
		Literal: r.text(), Fixed: r.bool(),
		Like: readList(r, (*reader).affix), NotLike: readList(r, (*reader).affix), Not: r.texts(),
	}
}

// small reads a number that counts nothing in the message.
func (r *reader) small() int {
	n := r.uint()
	if n > 1<<30 {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) cell() engine.Cell {
	return engine.Cell{
		Method: r.text(), Route: r.text(), Segments: readList(r, (*reader).segment),
		Rest: r.bool(), Allowed: r.bool(), Limits: readList(r, (*reader).small),
	}
}

// short reads one text of an error. It is a copy, for errors are kept.
func (r *reader) short() string {
	s := r.text()
	if len(s) > maxText {
		r.fail()
		return ""
	}
	return strings.Clone(s)
}

func (r *reader) limit() engine.Limit {
	return engine.Limit{File: r.short(), Line: r.small(), Reason: r.short()}
}

func (r *reader) permissions() engine.Permissions {
	p := engine.Permissions{Cells: readList(r, (*reader).cell), Limits: readList(r, (*reader).limit)}
	for _, c := range p.Cells {
		for _, i := range c.Limits {
			if i >= len(p.Limits) {
				r.fail()
			}
		}
	}
	if r.err != nil {
		return engine.Permissions{}
	}
	return p
}

func (w *writer) evalError(e *rules.EvalError) {
	w.text(cut(e.Code))
	w.text(cut(e.File))
	w.length(e.Line)
	w.text(cut(e.Message))
}

func (r *reader) evalError() *rules.EvalError {
	return &rules.EvalError{Code: r.short(), File: r.short(), Line: r.small(), Message: r.short()}
}

// maxProblems is how many problems of a bundle are told.
const maxProblems = 200

func (w *writer) problems(ps rules.Problems) {
	writeList(w, ps[:min(len(ps), maxProblems)], func(w *writer, p *rules.Problem) {
		w.text(cut(p.File))
		w.length(p.Line)
		w.length(p.Column)
		w.text(cut(p.Code))
		w.text(cut(p.Message))
	})
	w.length(len(ps))
}

func (r *reader) problems() rules.Problems {
	ps := readList(r, func(r *reader) *rules.Problem {
		return &rules.Problem{File: r.short(), Line: r.small(), Column: r.small(), Code: r.short(), Message: r.short()}
	})
	if len(ps) > maxProblems {
		r.fail()
		return nil
	}
	if more := r.small() - len(ps); more > 0 {
		ps = append(ps, &rules.Problem{Code: "more", Message: fmt.Sprintf("and %d problems more", more)})
	}
	return ps
}

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}
