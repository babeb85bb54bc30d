package gateway

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps authorizer replies, least recently used first out. API Gateway says
// nothing about the size of its own.
type cache struct {
	mu      sync.Mutex
	max     int
	entries map[string]*list.Element
	// order has the most recently used *entry in front.
	order *list.List
	// flushes counts calls of flush.
	flushes int
}

type entry struct {
	key     string
	reply   *reply
	expires time.Time
}

func newCache(max int) *cache {
	return &cache{max: max, entries: make(map[string]*list.Element), order: list.New()}
}

// get returns the reply kept for key, and a ticket for put if there is none.
func (c *cache) get(key string, now time.Time) (kept *reply, ticket int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil, c.flushes
	}
	e := element.Value.(*entry)
	if !now.Before(e.expires) {
		c.drop(element)
		return nil, c.flushes
	}
	c.order.MoveToFront(element)
	return e.reply, 0
}

// put keeps a reply, unless the cache was flushed since the ticket was given out:
// then the reply may come from the very rules that the flush was about.
func (c *cache) put(key string, r *reply, expires time.Time, ticket int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ticket != c.flushes {
		return
	}
	if element, ok := c.entries[key]; ok {
		c.drop(element)
	}
	c.entries[key] = c.order.PushFront(&entry{key, r, expires})
	for len(c.entries) > c.max {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(element *list.Element) {
	delete(c.entries, element.Value.(*entry).key)
	c.order.Remove(element)
}

// flush forgets everything.
func (c *cache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushes++
	clear(c.entries)
	c.order.Init()
}
