package ruletest

import (
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// teller tells how a run goes, so that whoever ends it knows what it was at. It is a
// tracer because the runner has no other word for a test that begins. With a nil tell it
// does nothing.
type teller struct {
	tell  func(message)
	cover *cover.Cover // nil without coverage
	// listed is closed when the tests have been told.
	listed chan struct{}

	mu sync.Mutex
	// keys are the tests' keys by their queries; began are those that did.
	keys  map[string]string
	began map[string]bool
}

func newTeller(tell func(message), c *cover.Cover) *teller {
	return &teller{tell: tell, cover: c, listed: make(chan struct{}), keys: map[string]string{}, began: map[string]bool{}}
}

func (t *teller) list(tests map[string]pending) {
	if t.tell == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m := message{List: []Test{}}
	for k, p := range tests {
		t.keys[p.query.String()] = k
		m.List = append(m.List, p.test)
	}
	if len(m.List) > 0 {
		t.tell(m)
	}
	close(t.listed)
}

func (t *teller) running(k string) {
	if t.tell == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began[k] = true
	t.tell(message{Running: k})
}

func (t *teller) ended(test Test) {
	if t.tell == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(message{Test: &test})
}

// waited tells that a test never began, because another did not end.
func (t *teller) waited(k string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tell != nil && !t.began[k]
}

// Enabled is part of topdown.QueryTracer.
func (*teller) Enabled() bool { return true }

// Config is part of topdown.QueryTracer: what coverage asks for.
func (*teller) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: false} }

// TraceEvent is part of topdown.QueryTracer.
func (t *teller) TraceEvent(e topdown.Event) {
	if e.Op == topdown.EnterOp && e.QueryID == 0 {
		t.begins(e.Node)
	}
	if t.cover != nil {
		t.cover.TraceEvent(e)
	}
}

// begins finds the test in the query that begins.
func (t *teller) begins(query ast.Node) {
	<-t.listed
	k := ""
	ast.WalkRefs(query, func(ref ast.Ref) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		if k == "" {
			k = t.keys[ref.String()]
		}
		return true
	})
	if k != "" {
		t.running(k)
	}
}
