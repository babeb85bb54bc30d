package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"regent/tenants"
)

// cached tells whether API Gateway may replay the reply to other requests.
func (w *work) cached() bool { return w.api.Cache.TTL > 0 }

// speakForKey makes the reply one for every request with the same cache key,
// DESIGN.md §8, and checks it against the decision on the request at hand.
func (w *work) speakForKey(ctx context.Context, policy Policy, in Input, decision Decision) (Decision, error) {
	known := NewKnown(w.api, in, w.req.RouteMethod)
	if w.req.Ambiguous != "" {
		// What can be read in two ways fixes nothing.
		known.Method, known.Route, known.Path, known.RouteMethod = false, false, false, ""
	}
	c, err := w.remembered(ctx, policy, known)
	if err != nil {
		return Decision{}, asTrouble("evaluation", err)
	}
	w.limits = c.limits
	allows := c.all
	if !w.api.Simple {
		w.document = c.document
		allows = c.document.Allows(w.req.ARN)
	}
	switch {
	case w.req.Ambiguous != "" && allows && w.document != nil:
		// A no that the document does not say would let the request through.
		return Decision{}, Troublef(CodePathAmbiguous, "the document for the cache key allows the request, but %s", w.req.Ambiguous)
	case w.req.Ambiguous != "":
	case allows && !decision.Allow:
		return Decision{}, Troublef("unsound", "the rules deny a request that the reply for its cache key would allow")
	case decision.Allow && !allows:
		// What is sent is what API Gateway goes by.
		decision.Allow = false
		w.code = CodeIncomplete
		w.limits = append([]Limit{{Reason: "the request at hand is allowed, and no reply for its cache key can say so"}}, w.limits...)
	}
	return decision, nil
}

// CodeIncomplete is the code of a request that the rules allow and a cached reply
// cannot.
const CodeIncomplete = "incomplete"

// complete is what is known of a cache key.
type complete struct {
	document Document
	// all tells that every request of the key is allowed.
	all    bool
	limits []Limit
}

// remembered returns what was computed for the same key before, or computes it.
func (w *work) remembered(ctx context.Context, policy Policy, known Known) (complete, error) {
	key, err := w.memoKey(known)
	if err != nil {
		return complete{}, err
	}
	if c, ok := w.memo.get(key); ok {
		return c, nil
	}
	perms, err := policy.Permissions(ctx, known, w.api.Routes, w.now)
	if err != nil {
		return complete{}, err
	}
	c := complete{all: len(perms.Cells) > 0, limits: perms.Limits}
	for _, cell := range perms.Cells {
		c.all = c.all && cell.Allowed
	}
	var narrowed []Limit
	if !w.api.Simple {
		if c.document, narrowed, err = w.Gateway.Cover(w.req, perms.Cells); err != nil {
			return complete{}, err
		}
		c.limits = append(narrowed, c.limits...)
	}
	// What IAM made us leave out depends on the request at hand, which was kept: such
	// a document is right for its key, but the next request may want another.
	if len(narrowed) == 0 {
		w.memo.put(key, c)
	}
	return c, nil
}

// memoKey digests everything that a document is computed from. Every text in it is
// behind its length, so two keys are equal only if all of it is.
func (w *work) memoKey(known Known) ([sha256.Size]byte, error) {
	api := w.api
	api.Routes = nil // they are many, and JSON is slow: see below
	// What was read as JSON or YAML is valid UTF-8, and JSON keeps it apart. It does not
	// keep apart what a request can have.
	settled, err := json.Marshal(struct {
		API      tenants.API
		Tenant   InputTenant
		Identity Identity
		Target   Target
	}{api, known.Input.Tenant, known.Input.Identity, known.Input.API})
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	b := appendTexts(nil, string(w.platform), string(w.tenant.Revision), partition(w.req.ARN), string(settled))
	b = binary.AppendUvarint(b, uint64(len(w.api.Routes)))
	for _, r := range w.api.Routes {
		b = appendTexts(b, r.Method, r.Path)
	}
	b = binary.AppendUvarint(b, uint64(len(known.Headers)))
	for _, name := range slices.Sorted(maps.Keys(known.Headers)) {
		b = appendTexts(b, name, known.Headers[name])
	}
	b = binary.AppendUvarint(b, uint64(len(known.Query)))
	for _, name := range slices.Sorted(maps.Keys(known.Query)) {
		b = appendTexts(b, name)
		b = appendTexts(b, known.Query[name]...)
	}
	for _, f := range []struct {
		fixed bool
		value string
	}{
		{known.Method, known.Input.Method},
		{known.Route, known.Input.Route},
		{known.Path, known.Input.Path},
		{known.SourceIP, known.Input.SourceIP},
		{known.RouteMethod != "", known.RouteMethod},
	} {
		if f.fixed {
			b = appendTexts(b, f.value)
		} else {
			b = appendTexts(b)
		}
	}
	return sha256.Sum256(b), nil
}

// appendTexts appends a list of texts so that no two lists look the same.
func appendTexts(b []byte, texts ...string) []byte {
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for _, t := range texts {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	return b
}

// partition returns the part of an ARN that its API's other fields do not have.
func partition(arn string) string {
	for i, colons := 0, 0; i < len(arn); i++ {
		if arn[i] == ':' {
			if colons++; colons == 2 {
				return arn[:i]
			}
		}
	}
	return arn
}

// memoSize is how many keys each of the two generations of a memo holds. A document
// has at most 8 KB.
const memoSize = 1000

// memo remembers documents by key, in two generations: when the younger one is full
// the older one is forgotten. The zero value is empty.
type memo struct {
	mu           sync.Mutex
	young, older map[[sha256.Size]byte]complete
}

func (m *memo) get(key [sha256.Size]byte) (complete, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.young[key]; ok {
		return c, true
	}
	c, ok := m.older[key]
	if ok {
		m.add(key, c)
	}
	return c, ok
}

func (m *memo) put(key [sha256.Size]byte, c complete) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, c)
}

func (m *memo) add(key [sha256.Size]byte, c complete) {
	if m.young == nil || len(m.young) >= memoSize {
		m.older, m.young = m.young, make(map[[sha256.Size]byte]complete)
	}
	m.young[key] = c
}
