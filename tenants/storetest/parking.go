package storetest

import (
	"fmt"
	"testing"
	"time"

	"regent/tenants"
)

// RunParking runs the suite of tenants.ParkingLot against the empty ones that make makes.
func RunParking(t *testing.T, make func(t *testing.T) tenants.ParkingLot) {
	for _, c := range parkingCases() {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			c.check(t, make(t))
		})
	}
}

type parkingCase struct {
	sentence string
	check    func(t testing.TB, lot tenants.ParkingLot)
}

func parkingCases() []parkingCase {
	return []parkingCase{
		{"Park notes that the tenant's revision is parked.", park},
		{"It is kept until p.Until.", parkEnds},
		{"Parked returns what is noted for the tenant and has not ended at now.", parkedOfTenant},
	}
}

func parkedOf(t testing.TB, n int, until time.Duration) tenants.Parked {
	return tenants.Parked{
		Revision: bundleOf(t, n).Digest(), Since: morning, Until: morning.Add(until), Reason: fmt.Sprint("deadline ", n),
	}
}

func park(t testing.TB, lot tenants.ParkingLot) {
	want := parkedOf(t, 1, time.Minute)
	check(t, "Park", lot.Park(t.Context(), "acme", want))
	same(t, "Parked", []tenants.Parked{want}, must[[]tenants.Parked](t)(lot.Parked(t.Context(), "acme", morning)))
	want.Until, want.Reason = want.Until.Add(time.Minute), "memory"
	check(t, "Park again", lot.Park(t.Context(), "acme", want))
	same(t, "Parked", []tenants.Parked{want}, must[[]tenants.Parked](t)(lot.Parked(t.Context(), "acme", morning)))
	if err := lot.Park(t.Context(), "a#b", want); err == nil {
		t.Error("Park of what is no tenant's id: no error")
	}
}

func parkEnds(t testing.TB, lot tenants.ParkingLot) {
	p := parkedOf(t, 1, time.Minute)
	check(t, "Park", lot.Park(t.Context(), "acme", p))
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{0, 1}, {time.Minute - 1, 1}, {time.Minute, 0}, {time.Hour, 0}} {
		if got := must[[]tenants.Parked](t)(lot.Parked(t.Context(), "acme", morning.Add(tt.at))); len(got) != tt.want {
			t.Errorf("after %s: %d parked, want %d", tt.at, len(got), tt.want)
		}
	}
}

func parkedOfTenant(t testing.TB, lot tenants.ParkingLot) {
	for n := range 3 {
		check(t, "Park", lot.Park(t.Context(), "acme", parkedOf(t, n, time.Duration(n+1)*time.Minute)))
	}
	check(t, "Park", lot.Park(t.Context(), "acme-eu", parkedOf(t, 1, time.Hour)))
	if got := must[[]tenants.Parked](t)(lot.Parked(t.Context(), "acme", morning.Add(time.Minute))); len(got) != 2 {
		t.Errorf("%d parked, want the 2 that have not ended", len(got))
	}
	same(t, "Parked of nobody", []tenants.Parked(nil), must[[]tenants.Parked](t)(lot.Parked(t.Context(), "nobody", morning)))
}
