package dir_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"regent/tenants/dir"
)

// BenchmarkLoad loads workspaces of 10 and 1000 tenants that share one issuer,
// which is the most work for the checks between tenants.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("tenants=%d", n), func(b *testing.B) {
			path := b.TempDir()
			write(b, filepath.Join(path, "regent.yaml"), "apis:\n  - {id: a1b2c3, kind: rest, credential: 'header:authorization', tenant: [host]}\n")
			for i := range n {
				id := fmt.Sprintf("tenant-%d", i)
				home := filepath.Join(path, "tenants", id)
				write(b, filepath.Join(home, "tenant.yaml"), fmt.Sprintf(`id: %[1]s
status: active
selectors: {hosts: [%[1]s.example], values: [%[1]s]}
identity:
  providers:
    - issuer: https://idp.example
      audiences: [https://api.example]
      algorithms: [ES256]
      jwks: discovery
      claims: {org_id: %[1]s}
`, id))
				write(b, filepath.Join(home, "policy/authz.rego"), rules(i))
				write(b, filepath.Join(home, "policy/data.json"), `{"roles": {"viewer": ["read"]}}`)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dir.Open(path); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/tenant")
		})
	}
}
