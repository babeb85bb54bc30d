package cache

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"regent/tenants"
)

// step is one question: what passed since the one before, on which clock; what the
// store is like; and what comes of it.
type step struct {
	wall, monotonic time.Duration
	store           string // a state of double, or "vN": the record has that version; "" as before
	want            string
	reads           int // of the store, of those that the question began
}

// both is time that passes on both clocks.
func both(d time.Duration, store, want string, reads int) step { return step{d, d, store, want, reads} }

// now is a question right after another.
func now(store, want string, reads int) step { return step{0, 0, store, want, reads} }

const (
	second = time.Second
	minute = time.Minute
	hour   = time.Hour
)

// The first question of each case has been asked, and was answered with version 5.
func ladder() []struct {
	name  string
	steps []step
} {
	return []struct {
		name  string
		steps []step
	}{
		{"fresh", []step{both(7*second, "v6", "v5", 0)}},
		{"past refresh: at once, and in the background", []step{both(11*second, "v6", "v5", 1), now("", "v6", 0)}},
		{"past refresh, and no change", []step{both(11*second, "", "v5", 1), now("", "v5", 0), both(7*second, "", "v5", 0)}},
		{"just before must refresh", []step{both(minute-1, "v6", "v5", 1), now("", "v6", 0)}},
		{"past must refresh: before answering", []step{both(minute, "v6", "v6", 1), now("", "v6", 0)}},
		{"past max stale: before answering", []step{both(hour, "v6", "v6", 1)}},
		{"days later", []step{both(1000*hour, "v6", "v6", 1)}},

		{"down past refresh", []step{both(11*second, "down", "v5", 1), now("", "v5", 0), both(6*second, "", "v5", 1)}},
		{"down past must refresh", []step{both(minute, "down", "v5 stale", 1), now("", "v5 stale", 0), both(6*second, "", "v5 stale", 1)}},
		{"down to max stale", []step{both(hour-1, "down", "v5 stale", 1)}},
		{"down past max stale", []step{both(hour, "down", "error", 1), now("", "error", 1)}},
		{"down, and back", []step{both(minute, "down", "v5 stale", 1), both(6*second, "v6", "v6", 1), now("", "v6", 0)}},
		{"down too long, and back at once", []step{both(2*hour, "down", "error", 1), now("v6", "v6", 1)}},
		{"down for hours, with questions all the time", []step{
			both(59*minute, "down", "v5 stale", 1), both(59*second, "", "v5 stale", 1), both(second, "", "error", 1),
		}},
		{"hangs past refresh", []step{both(11*second, "hangs", "v5", 1), now("", "v5", 0)}},
		{"hangs past must refresh", []step{both(minute, "hangs", "v5 stale", 1), now("", "v5 stale", 0)}},
		{"hangs past max stale", []step{both(hour, "hangs", "error", 1)}},
		{"panics", []step{both(minute, "panics", "v5 stale", 1), both(hour, "", "error", 1)}},

		{"frozen for hours: the monotonic clock stood still", []step{{2 * hour, 0, "v6", "v6", 1}}},
		{"frozen for a minute", []step{{minute, 0, "v6", "v6", 1}}},
		{"frozen, and down", []step{{2 * hour, 0, "down", "error", 1}}},
		{"frozen for minutes, and down", []step{{10 * minute, 0, "down", "v5 stale", 1}}},
		{"the wall clock goes back: the monotonic one counts", []step{{-hour, 7 * second, "v6", "v5", 0}, {0, 4 * second, "", "v5", 1}, now("", "v6", 0)}},
		{"the wall clock goes back, past must refresh", []step{{-hour, minute, "v6", "v6", 1}}},
		{"the wall clock jumps ahead: asked, and then fresh", []step{{hour, second, "v6", "v6", 1}, {second, second, "v7", "v6", 0}}},
		{"ahead and back, with the store down: nothing sticks", []step{
			{hour, second, "down", "error", 1}, {-hour, second, "", "v5", 0}, {10 * second, 10 * second, "v6", "v5", 1}, now("", "v6", 0),
		}},
		{"ahead and back, after a read", []step{{hour, second, "v6", "v6", 1}, {-hour, second, "", "v6", 0}, {11 * second, 11 * second, "v7", "v6", 1}, now("", "v7", 0)}},

		{"gone past refresh", []step{both(11*second, "gone", "v5", 1), now("", "unknown", 0)}},
		{"gone past must refresh", []step{both(minute, "gone", "unknown", 1), now("", "unknown", 0), both(29*second, "", "unknown", 0), both(second, "", "unknown", 1)}},
		{"gone, and made anew", []step{both(minute, "gone", "unknown", 1), both(31*second, "v6", "v6", 1)}},
		{"gone, frozen, and made anew", []step{both(minute, "gone", "unknown", 1), {31 * second, 0, "v6", "v6", 1}}},
		{"gone, and the clock goes back", []step{both(minute, "gone", "unknown", 1), {-hour, 31 * second, "v6", "v6", 1}}},
		{"gone, then down: not known to be gone", []step{both(minute, "gone", "unknown", 1), both(31*second, "down", "error", 1)}},

		{"an older record is not adopted", []step{both(11*second, "v4", "v5", 1), now("", "v5", 0)}},
		{"an older record past must refresh", []step{both(minute, "v4", "v5 stale", 1), now("", "v5 stale", 0), both(6*second, "v6", "v6", 1)}},
		{"an older record and a newer one in between", []step{
			both(minute, "v4", "v5 stale", 1), both(50*second, "v5", "v5", 1), both(minute, "v4", "v5 stale", 1), both(50*second, "", "v5 stale", 1),
		}},
		{"an older record that stays was made anew", []step{
			both(11*second, "v1", "v5", 1), both(minute-second, "", "v5 stale", 1), both(6*second, "", "v1", 1), now("", "v1", 0),
		}},
		{"an older record past max stale still waits for its minute", []step{
			both(2*hour, "v1", "error", 1), both(minute, "", "v1", 1),
		}},
	}
}

// TestLadder walks the ladder with a tenant that is active and with one that is
// suspended, and with an API: it is the same for all of them.
func TestLadder(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"active tenant", "suspended tenant", "API"} {
		for _, tt := range ladder() {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { walk(t, kind, tt.steps) })
			})
		}
	}
}

func walk(t *testing.T, kind string, steps []step) {
	d := newDouble()
	status := tenants.Active
	if kind == "suspended tenant" {
		status = tenants.Suspended
	}
	d.tenants["acme"] = tenants.Tenant{ID: "acme", Status: status}
	d.apis["acme"] = tenants.API{ID: "acme", Version: 5}
	s, clocks := open(t, d)
	ask := func() string {
		stale := &tenants.Staleness{}
		ctx := tenants.WithStaleness(t.Context(), stale)
		var version int64
		var err error
		if kind == "API" {
			var a tenants.API
			a, err = s.API(ctx, "acme")
			version = a.Version
		} else {
			var tenant tenants.Tenant
			tenant, err = s.Tenant(ctx, "acme")
			version = tenant.Version
			if err == nil && tenant.Status != status {
				t.Errorf("the status is %q", tenant.Status)
			}
		}
		return described(version, err, stale)
	}
	if got := ask(); got != "v5" {
		t.Fatalf("the first answer is %s", got)
	}
	for i, step := range steps {
		clocks.pass(step.wall, step.monotonic)
		state := step.store
		var version int64
		if n, _ := fmt.Sscanf(state, "v%d", &version); n == 1 {
			d.mu.Lock()
			d.version, d.apis["acme"], state = version, tenants.API{ID: "acme", Version: version}, "well"
			d.mu.Unlock()
		}
		if state != "" {
			d.set(state)
		}
		before := d.total()
		got := ask()
		synctest.Wait() // for the read in the background, unless it hangs
		if got != step.want || d.total()-before != step.reads {
			t.Errorf("step %d: got %s with %d reads, want %s with %d", i, got, d.total()-before, step.want, step.reads)
		}
		if d.state == "hangs" {
			time.Sleep(s.common.Timeout) // on the bubble's clock: the read ends
			synctest.Wait()
		}
	}
}

func described(version int64, err error, stale *tenants.Staleness) string {
	switch age, why := stale.Oldest(); {
	case errors.Is(err, tenants.ErrNotFound):
		return "unknown"
	case err != nil:
		return "error"
	case why != nil && age >= time.Minute:
		return fmt.Sprintf("v%d stale", version)
	case why != nil:
		return fmt.Sprintf("v%d stale too early", version)
	default:
		return fmt.Sprintf("v%d", version)
	}
}

// open returns a cache over d with the default ladder, and its clocks.
func open(t testing.TB, d tenants.Store) (*Store, *twoClocks) {
	t.Helper()
	s, err := New(Config{Store: d})
	if err != nil {
		t.Fatal(err)
	}
	clocks := &twoClocks{wall: time.UnixMilli(1_800_000_000_000)}
	s.common.clock = clocks.clock()
	return s, clocks
}
