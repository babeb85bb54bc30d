package dir_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"regent/tenants"
	"regent/tenants/dir"
	"regent/tenants/storetest"
)

func TestStoreContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
		path := t.TempDir()
		writeSeed(t, path, seed)
		return open(t, path)
	})
}

// The contract holds after swaps as it does after opening.
func TestStoreContractAfterReload(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
		path := t.TempDir()
		writeSeed(t, path, storetest.Seed{})
		store := open(t, path)
		writeSeed(t, path, seed)
		if err := store.Reload(); err != nil {
			t.Fatal(err)
		}
		return store
	})
}

func open(t testing.TB, path string) *dir.Store {
	t.Helper()
	store, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// m is a YAML mapping.
type m map[string]any

// writeSeed writes a seed as a workspace.
func writeSeed(t testing.TB, path string, seed storetest.Seed) {
	t.Helper()
	apis := []m{}
	for _, a := range seed.APIs {
		apis = append(apis, apiYAML(a))
	}
	writeYAML(t, filepath.Join(path, "regent.yaml"), m{"apis": apis})
	for _, f := range seed.Platform {
		write(t, filepath.Join(path, f.Path), string(f.Content))
	}
	for _, tenant := range seed.Tenants {
		dir := filepath.Join(path, "tenants", tenant.Record.ID)
		writeYAML(t, filepath.Join(dir, "tenant.yaml"), tenantYAML(tenant.Record))
		for _, f := range tenant.Policy {
			write(t, filepath.Join(dir, "policy", f.Path), string(f.Content))
		}
	}
}

func apiYAML(a tenants.API) m {
	out := m{
		"id": a.ID, "kind": string(a.Kind), "credential": a.Credential.String(), "tenant": texts(a.Tenant),
		"simple": a.Simple, "cache": m{"ttl": a.Cache.TTL.String(), "identity": texts(a.Cache.Identity)},
		"routes": texts(a.Routes),
	}
	if a.Unauthenticated != 0 {
		out["unauthenticated"] = a.Unauthenticated
	}
	if a.Upstream != "" {
		out["upstream"] = a.Upstream
	}
	return out
}

func texts[T interface{ String() string }](all []T) []string {
	out := make([]string, len(all))
	for i, one := range all {
		out[i] = one.String()
	}
	return out
}

func tenantYAML(r tenants.Tenant) m {
	var providers []m
	for _, p := range r.Identity.Providers {
		providers = append(providers, providerYAML(p))
	}
	selectors := m{}
	for name, values := range map[string][]string{"hosts": r.Selectors.Hosts, "issuers": r.Selectors.Issuers, "values": r.Selectors.Values} {
		if values != nil {
			selectors[name] = values
		}
	}
	identity := m{"anonymous": r.Identity.Anonymous}
	if providers != nil {
		identity["providers"] = providers
	}
	out := m{"id": r.ID, "status": string(r.Status), "selectors": selectors, "identity": identity}
	if r.Attributes != nil {
		out["attributes"] = r.Attributes
	}
	return out
}

func providerYAML(p tenants.Provider) m {
	out := m{}
	for key, value := range map[string]string{
		"issuer": p.Issuer, "introspection": p.Introspection, "client_id": p.ClientID,
		"client_secret": p.ClientSecret, "auth_method": p.AuthMethod, "jwks": p.JWKS.URL + string(p.JWKS.Inline),
	} {
		if value != "" {
			out[key] = value
		}
	}
	if p.JWKS.Discovery {
		out["jwks"] = "discovery"
	}
	if p.Audiences != nil {
		out["audiences"], out["algorithms"] = p.Audiences, p.Algorithms
	}
	if p.Leeway != 0 {
		out["leeway"] = p.Leeway.String()
	}
	if p.Claims != nil {
		out["claims"] = p.Claims
	}
	return out
}

func writeYAML(t testing.TB, path string, v any) {
	t.Helper()
	content, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(content))
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Key sets are the same inline as YAML and as JSON.
func TestInlineKeySet(t *testing.T) {
	t.Parallel()
	const name = "testdata/complete.txtar"
	workspace, _, _ := parseCase(t, name)
	snapshot, err := dir.Load(workspace, name)
	if err != nil {
		t.Fatal(err)
	}
	providers := snapshot.Tenants()[0].Identity.Providers
	for i, want := range map[int]string{
		2: `{"keys":[{"crv":"Ed25519","kid":"1","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		3: `{"keys":[{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		if got := providers[i].JWKS.Inline; string(got) != want || !json.Valid(got) {
			t.Errorf("provider %d: %s, want %s", i, got, want)
		}
	}
}
