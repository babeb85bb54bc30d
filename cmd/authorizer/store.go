package main

import (
	"context"
	"errors"
	"time"

	"regent/cmd/internal/config"
	"regent/tenants"
	"regent/tenants/cache"
	"regent/tenants/dir"
	"regent/tenants/dynamo"
)

// settleTime is how long an answer waits for what was begun in the background: a read
// of the store takes a few milliseconds, and what is not there when the function is
// frozen may be lost.
const settleTime = 20 * time.Millisecond

// opened is the store that decisions are made from, and what else the function wants
// of it.
type opened struct {
	tenants.Store
	// cache is Store, if it is one.
	cache *cache.Store
	// parking is told about parked revisions; nil if the store does not want to know.
	parking tenants.ParkingLot
}

// open opens the store. A table is not asked for anything yet: the first event is.
func open(c config.Config) (opened, error) {
	if c.Store.Scheme == config.SchemeDir {
		// It is not watched: what is deployed with the function does not change.
		store, err := dir.Open(c.Store.Name)
		return opened{Store: store}, err
	}
	table, err := dynamo.Open(context.Background(), dynamo.Options{Table: c.Store.Name})
	if err != nil {
		return opened{}, hinted(err)
	}
	front, err := cache.New(cache.Config{Store: checked{table}, Refresh: c.Refresh, MustRefresh: c.MustRefresh, MaxStale: c.MaxStale})
	return opened{Store: front, cache: front, parking: table}, err
}

// hinted adds to an error of the table what to do about it.
func hinted(err error) error {
	var e *dynamo.Error
	if errors.As(err, &e) && e.Hint != "" {
		return errors.New(e.What + ": " + e.Hint)
	}
	return err
}

// count adds the metrics of the cache, if there is one.
func (o opened) count(m *metrics) {
	if o.cache == nil {
		return
	}
	for _, c := range []struct {
		name string
		of   func(cache.Stats) uint64
	}{
		{"StoreHits", func(s cache.Stats) uint64 { return s.Hits + s.Unknown + s.Refused }},
		{"StoreReads", func(s cache.Stats) uint64 { return s.Reads }},
		{"StoreFailures", func(s cache.Stats) uint64 { return s.Failures }},
		{"StoreStale", func(s cache.Stats) uint64 { return s.Stale }},
		{"StoreOlder", func(s cache.Stats) uint64 { return s.Older }},
		{"BundleReads", func(s cache.Stats) uint64 { return s.Bundles }},
	} {
		m.count(c.name, func() uint64 { return c.of(o.cache.Stats()) })
	}
}

// settle gives what the event began in the background a moment.
func (o opened) settle(ctx context.Context) {
	if o.cache == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	o.cache.Settle(ctx)
}
