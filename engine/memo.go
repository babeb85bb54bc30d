package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"regent/tenants"
)

// memoKey digests everything that a document is computed from: what Permissions and
// Cover are given. Of fields that the cache key does not fix it has nothing.
func (w *work) memoKey(known Known) ([sha256.Size]byte, error) {
	k := keyText(make([]byte, 0, 2048))
	k.texts(string(w.platform), string(w.tenant.Revision), partition(w.req.ARN))
	k.bool(w.api.Simple)
	k.routes(w.routes())
	if err := k.known(known); err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(k), nil
}

// keyText is a key before it is digested. Every text and list in it is behind its
// length, and every value behind its kind, so that what differs looks different. It is
// written by hand: JSON of the same took most of the time that a remembered document
// adds to a request, and writes texts alike that are not UTF-8.
type keyText []byte

func (k *keyText) length(n int)  { *k = binary.AppendUvarint(*k, uint64(n)) }
func (k *keyText) text(s string) { k.length(len(s)); *k = append(*k, s...) }
func (k *keyText) byte(b byte)   { *k = append(*k, b) }

func (k *keyText) bool(b bool) {
	if b {
		k.byte(1)
	} else {
		k.byte(0)
	}
}

func (k *keyText) texts(list ...string) {
	k.length(len(list))
	for _, s := range list {
		k.text(s)
	}
}

func (k *keyText) routes(routes []tenants.Route) {
	k.length(len(routes))
	for _, r := range routes {
		k.text(r.Method)
		k.text(r.Path)
	}
}

func (k *keyText) known(known Known) error {
	in := known.Input
	k.text(in.Tenant.ID)
	if err := k.object(in.Tenant.Attributes); err != nil {
		return err
	}
	k.texts(string(in.Identity.Kind), in.Identity.Subject, in.Identity.Issuer)
	k.texts(in.Identity.Scopes...)
	if err := k.object(in.Identity.Claims); err != nil {
		return err
	}
	k.texts(string(in.API.Kind), in.API.ID, in.API.Stage, in.API.Account, in.API.Region)
	keyMap(k, known.Headers, (*keyText).text)
	keyMap(k, known.Query, func(k *keyText, values []string) { k.texts(values...) })
	k.texts(known.AbsentHeader, known.AbsentQuery)
	k.fixed(known.Method, in.Method)
	k.fixed(known.Route, in.Route)
	k.fixed(known.Path, in.Path)
	k.fixed(known.SourceIP, in.SourceIP)
	k.text(known.RouteMethod)
	return nil
}

// fixed appends a value that the cache key has, or that it has none.
func (k *keyText) fixed(is bool, value string) {
	k.bool(is)
	if is {
		k.text(value)
	}
}

// keyMap appends a map in the order of its keys.
func keyMap[T any](k *keyText, m map[string]T, one func(*keyText, T)) {
	k.length(len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		k.text(name)
		one(k, m[name])
	}
}

func (k *keyText) object(m map[string]any) (err error) {
	keyMap(k, m, func(k *keyText, v any) {
		if e := k.value(v); e != nil {
			err = e
		}
	})
	return err
}

// value appends what JSON and YAML have. Values of two Go types are apart, even where
// JSON would write them alike: that costs an entry, and never a wrong one.
func (k *keyText) value(v any) (err error) {
	switch v := v.(type) {
	case nil:
		k.byte('0')
	case bool:
		k.byte('b')
		k.bool(v)
	case string:
		k.byte('s')
		k.text(v)
	case json.Number:
		k.byte('n')
		k.text(string(v))
	case float64:
		k.byte('f')
		*k = binary.BigEndian.AppendUint64(*k, math.Float64bits(v))
	case int:
		k.byte('i')
		*k = binary.AppendVarint(*k, int64(v))
	case []any:
		k.byte('[')
		k.length(len(v))
		for _, e := range v {
			if err := k.value(e); err != nil {
				return err
			}
		}
	case map[string]any:
		k.byte('{')
		err = k.object(v)
	default:
		var text []byte
		text, err = json.Marshal(v)
		k.byte('j')
		k.text(fmt.Sprintf("%T ", v) + string(text))
	}
	return err
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
