package sandbox

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// When a revision is parked: after strikesToPark kills within strikeWindow, for
// firstCoolDown. A kill within the window after that parks it again at once, for twice
// as long each time, up to maxCoolDown.
const (
	strikesToPark = 3
	strikeWindow  = 10 * time.Minute
	firstCoolDown = time.Minute
	maxCoolDown   = time.Hour
	// maxStruck is how many revisions with a kill are remembered.
	maxStruck = 4096
)

// revisionKey is one tenant's revision: tenants that share a bundle are parked each
// by itself, for it may be their requests that make it expensive.
type revisionKey struct {
	tenant string
	pair   pairKey
}

// struck is the record of one revision.
type struck struct {
	kills []time.Time
	// until is the end of the last cool-down, and coolDown its length; zero if there
	// was none.
	until    time.Time
	coolDown time.Duration
	// compiling tells that the last kill was over compiling: there is no policy to ask.
	compiling bool
}

// parking knows which revisions are not evaluated for a while.
type parking struct {
	now func() time.Time
	// mu is held from reading a record to writing it.
	mu      sync.Mutex
	records *lru.Cache[revisionKey, struck]
}

func newParking(now func() time.Time) (*parking, error) {
	records, err := lru.New[revisionKey, struck](maxStruck)
	return &parking{now: now, records: records}, err
}

// parked returns until when a revision is parked, and whether for what compiling it took.
func (p *parking) parked(k revisionKey) (until time.Time, compiling, yes bool) {
	s, ok := p.records.Get(k)
	return s.until, s.compiling, ok && p.now().Before(s.until)
}

// strike counts a kill, and returns until when the revision is parked for it.
func (p *parking) strike(k revisionKey, compiling bool) (until time.Time, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	s, _ := p.records.Get(k)
	if now.Before(s.until) {
		// Another question had begun before the revision was parked.
		return s.until, false
	}
	onProbation := s.coolDown > 0 && now.Sub(s.until) < strikeWindow
	var kills []time.Time
	for _, at := range s.kills {
		if now.Sub(at) < strikeWindow {
			kills = append(kills, at)
		}
	}
	kills = append(kills, now)
	switch {
	case onProbation:
		s = struck{coolDown: min(2*s.coolDown, maxCoolDown)}
	case len(kills) >= strikesToPark:
		s = struck{coolDown: firstCoolDown}
	default:
		p.records.Add(k, struck{kills: kills})
		return time.Time{}, false
	}
	s.until, s.compiling = now.Add(s.coolDown), compiling
	p.records.Add(k, s)
	return s.until, true
}
