package sandbox

import (
	"testing"
	"time"
)

// TestParking tells the story of a revision, step by step.
func TestParking(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p, err := newParking(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	bad := revisionKey{"acme", pairKey{"p", "bad"}}
	steps := []struct {
		name    string
		passes  time.Duration
		strikes int
		parked  bool
		// coolDown is how long it is parked from now on.
		coolDown time.Duration
	}{
		{"two kills", 0, 2, false, 0},
		{"a third after the window", strikeWindow, 1, false, 0},
		{"two more", time.Second, 2, true, firstCoolDown},
		{"a question that was under way", time.Second, 1, true, firstCoolDown - time.Second},
		{"before the end", firstCoolDown - time.Second - 1, 0, true, 1},
		{"at the end", 1, 0, false, 0},
		{"one kill on probation", time.Minute, 1, true, 2 * firstCoolDown},
		{"and one more", 2 * firstCoolDown, 1, true, 4 * firstCoolDown},
		{"long after", 4*firstCoolDown + strikeWindow, 2, false, 0},
		{"three again", 0, 1, true, firstCoolDown},
	}
	for _, s := range steps {
		now = now.Add(s.passes)
		for range s.strikes {
			p.strike(bad, false)
		}
		until, _, parked := p.parked(bad)
		if parked != s.parked || parked && until.Sub(now) != s.coolDown {
			t.Fatalf("%s: parked %t for %s, want %t for %s", s.name, parked, until.Sub(now), s.parked, s.coolDown)
		}
	}
	for name, other := range map[string]revisionKey{
		"another tenant":   {"globex", bad.pair},
		"another revision": {"acme", pairKey{"p", "good"}},
		"another platform": {"acme", pairKey{"q", "bad"}},
	} {
		if _, _, parked := p.parked(other); parked {
			t.Errorf("%s is parked too", name)
		}
	}
}

// TestCoolDownGrows holds that it grows to an end.
func TestCoolDownGrows(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p, err := newParking(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	k := revisionKey{"acme", pairKey{"p", "bad"}}
	for range strikesToPark {
		p.strike(k, false)
	}
	longest := time.Duration(0)
	for range 20 {
		until, _, _ := p.parked(k)
		longest = until.Sub(now)
		now = until
		p.strike(k, false)
	}
	if longest != maxCoolDown {
		t.Errorf("the longest cool-down is %s, want %s", longest, maxCoolDown)
	}
}

// TestStarved holds that a child is late through no fault of its own where others had
// its share, and not where the share is small: in a function with 512 MB, which has 0.29 of
// a processor, rules that never end would never be parked.
func TestStarved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		used  time.Duration
		share float64
		want  bool
	}{
		{80 * time.Millisecond, 0, false},
		{40 * time.Millisecond, 0, false},
		{39 * time.Millisecond, 0, true},
		{39 * time.Millisecond, 1, true},
		{39 * time.Millisecond, 2, true},
		{23 * time.Millisecond, 0.29, false},
		{11 * time.Millisecond, 0.29, true},
	} {
		if got := starved(tt.used, 80*time.Millisecond, tt.share); got != tt.want {
			t.Errorf("%s of 80 ms, with %g of a processor: starved %t", tt.used, tt.share, got)
		}
	}
	p := newPool(t, Config{Store: shelve(), Processor: 0.25})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.lanes.slots[0].process.share; got != 0.25 {
		t.Errorf("a child judges by %g of a processor", got)
	}
}

// TestExtension is what a child of a busy machine, or of a small function, is granted.
func TestExtension(t *testing.T) {
	t.Parallel()
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tt := range []struct {
		name      string
		used, all int // of 300 ms
		left      int // extensions
		want      bool
	}{
		{"a whole processor", 290, 290, 9, false},
		{"half of one", 150, 150, 9, false},
		{"a third", 100, 100, 9, true},
		{"a third, again", 100, 200, 9, true},
		{"a third, and enough in all", 100, 300, 9, false},
		{"hardly any, time after time", 20, 180, 1, true},
		{"hardly any, for too long", 20, 200, 0, false},
	} {
		if got := (budget{ms(300), tt.left}).extends(ms(tt.used), ms(tt.all)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
