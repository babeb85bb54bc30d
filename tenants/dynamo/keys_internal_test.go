package dynamo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"regent/tenants"
)

// TEN-08 and TEN-09: no two things have one key, whatever they are called.
func TestKeysAreInjective(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	// What separates, what keys are made of, and what looks alike.
	alphabet := []string{
		"a", "b", "ab", "bc", "0", "-", "#", "/", "\\", ":", ".", "..", " ", "\x00", "\n", "é", "ａ", "A", "\xff",
		"TENANT", "TENANT#", "SELECTOR#host#", "BUNDLE#", "CHUNK#000", "REVISION#", "API#", "PLATFORM", "PARKED#",
		"sha256:", strings.Repeat("0", 64), strings.Repeat("a", 63), strings.Repeat("a", 600),
	}
	word := func() string {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	digest := func() tenants.Digest {
		if r.IntN(3) == 0 {
			return tenants.Digest(word())
		}
		return tenants.Digest(fmt.Sprintf("sha256:%064x", r.IntN(50)))
	}
	id := func() string {
		if r.IntN(3) == 0 {
			return word()
		}
		return []string{"a", "ab", "a-b", "tenant", "platform", "0"}[r.IntN(6)]
	}
	kinds := []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue, "", "host#a"}
	named := map[key]string{}
	valid := 0
	for range 40_000 {
		var k key
		var ok bool
		var what string
		switch a, d, n := id(), digest(), r.IntN(40); r.IntN(9) {
		case 0:
			k, ok = ownerKey(a)
			what = fmt.Sprintf("owner %q", a)
		case 1:
			a = []string{a, tenants.PlatformOwner, tenants.WorkspaceOwner}[r.IntN(3)]
			k, ok = ownerKey(a)
			what = fmt.Sprintf("owner %q", a)
		case 2:
			k, ok = revisionKey(a, d)
			what = fmt.Sprintf("revision %q %q", a, d)
		case 3:
			at := time.Unix(int64(r.IntN(3)), int64(r.IntN(3)))
			k, ok = activationKey(a, tenants.Activation{To: d, Time: at, Version: int64(n)})
			what = fmt.Sprintf("activation %q %q %d %d", a, d, at.UnixNano(), n)
		case 4:
			k, ok = chunkKey(d, n)
			what = fmt.Sprintf("chunk %q %d", d, n)
		case 5:
			kind, value := kinds[r.IntN(len(kinds))], word()
			k, ok = selectorKey(kind, value)
			what = fmt.Sprintf("selector %q %q", kind, value)
		case 6:
			w := word()
			k, ok = apiKey(w)
			what = fmt.Sprintf("API %q", w)
		case 7:
			list := []string{tenantList, apiList}[n%2]
			k, ok = listKey(list, a), tenants.ValidID(a)
			what = fmt.Sprintf("entry %q %q", list, a)
		case 8:
			k, ok = parkedKey(a, d)
			what = fmt.Sprintf("parked %q %q", a, d)
		}
		if !ok {
			continue
		}
		valid++
		if other, there := named[k]; there && other != what {
			t.Fatalf("%s and %s both have the key %+v", other, what, k)
		}
		named[k] = what
		if len(k.pk) > 2048 || len(k.sk) > 1024 {
			t.Fatalf("%s: DynamoDB takes no key of %d and %d bytes", what, len(k.pk), len(k.sk))
		}
	}
	if len(named) < 500 || valid == len(named) {
		t.Errorf("%d keys of %d valid ones: the test has lost its point", len(named), valid)
	}
}

// TEN-07: what is no id, no digest and no selector's value has no key at all.
func TestInvalidPartsHaveNoKey(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a#b", "a/b", "..", "A", "ａ", "a\x00", strings.Repeat("a", 64), "T#x", "-a", "PLATFORM#", "\xff"} {
		for what, ok := range map[string]bool{
			"tenantKey":   second(tenantKey(s)),
			"ownerKey":    second(ownerKey(s)),
			"revisionKey": second(revisionKey(s, tenants.Digest("sha256:"+strings.Repeat("0", 64)))),
			"parkedKey":   second(parkedKey(s, tenants.Digest("sha256:"+strings.Repeat("0", 64)))),
			"chunkKey":    second(chunkKey(tenants.Digest(s), 0)),
		} {
			if ok {
				t.Errorf("%s makes a key of %q", what, s)
			}
		}
	}
	if second(tenantKey(tenants.PlatformOwner)) {
		t.Error("the platform passes for a tenant")
	}
	for _, s := range []string{"", "\xff", strings.Repeat("a", maxValue+1)} {
		if second(selectorKey(tenants.ByValue, s)) || second(apiKey(s)) {
			t.Errorf("%.20q has a key", s)
		}
	}
	for _, n := range []int{-1, maxChunks, 1000, 1 << 40} {
		if second(chunkKey(tenants.Digest("sha256:"+strings.Repeat("0", 64)), n)) {
			t.Errorf("piece %d has a key", n)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }
