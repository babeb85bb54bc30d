package identity

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

func TestVerifyAlgorithms(t *testing.T) { // JWT-01
	t.Parallel()
	for _, alg := range tenants.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			got, err := verify(t, New(Config{}), tenantOf(provider()), minted{alg: alg}.token())
			if err != nil {
				t.Fatal(describe(err))
			}
			claims, ok := New(Config{}).Peek(minted{}.token())
			if !ok {
				t.Fatal("Peek says no")
			}
			want := engine.Identity{
				Kind: engine.JWT, Subject: "alice", Issuer: issuer,
				Scopes: []string{"orders:read", "orders:write"}, Claims: claims, Expires: now.Add(300 * time.Second),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}
