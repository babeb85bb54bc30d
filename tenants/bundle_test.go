package tenants_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"regent/tenants"
)

func ExampleNewBundle() {
	bundle, err := tenants.NewBundle([]tenants.File{
		{Path: "data.json", Content: []byte(`{"roles": ["viewer"]}`)},
		{Path: "authz.rego", Content: []byte("package authz\n\nallow := true\n")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bundle.Digest().Short())
	for _, f := range bundle.Files() {
		fmt.Println(f.Path, len(f.Content))
	}
	// Output:
	// 684feeb90016
	// authz.rego 29
	// data.json 21
}

// Digests are names in stores: what a bundle is called must not change.
func TestDigestIsStable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files []tenants.File
		want  tenants.Digest
	}{
		{"no files", nil, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"two files", files("b", "2", "a", "1"), "sha256:63662dceceaac3caee9e43ac15aa0c4c567225916cd9af28900e1dd71438b73e"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := build(t, tt.files).Digest(); got != tt.want {
				t.Errorf("digest %s, want %s", got, tt.want)
			}
		})
	}
}

// No two file lists share a digest, however their paths and contents run together
// (TEN-09). The lists are all of up to three files from a small alphabet.
func TestDigestIsInjective(t *testing.T) {
	t.Parallel()
	eight := string(make([]byte, 8)) // looks like the length of nothing
	contents := []string{"", "a", "b", "ab", "ba", "a\x00", eight, eight + "b"}
	paths := []string{"a", "aa", "ab", "a/b", "b"}
	seen := map[tenants.Digest]string{}
	count := 0
	var add func(list []tenants.File, rest []string)
	add = func(list []tenants.File, rest []string) {
		count++
		digest := build(t, list).Digest()
		if other, twice := seen[digest]; twice {
			t.Errorf("%q and %s share %s", list, other, digest)
		}
		seen[digest] = fmt.Sprintf("%q", list)
		if len(list) == 3 {
			return
		}
		for i, path := range rest {
			for _, content := range contents {
				add(append(slices.Clip(list), tenants.File{Path: path, Content: []byte(content)}), rest[i+1:])
			}
		}
	}
	add(nil, paths)
	if count != len(seen) || count < 1000 {
		t.Errorf("%d lists, %d digests", count, len(seen))
	}
}

func TestDigestDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	list := files("a.rego", "1", "b/data.json", "2", "b.rego", "3", "b/a.rego", "4", ".manifest", "5")
	want := build(t, list)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		before := slices.Clone(list)
		got := build(t, list)
		if got.Digest() != want.Digest() {
			t.Fatalf("%q has digest %s, want %s", list, got.Digest(), want.Digest())
		}
		if !slices.EqualFunc(before, list, func(a, b tenants.File) bool { return a.Path == b.Path && bytes.Equal(a.Content, b.Content) }) {
			t.Fatal("NewBundle reordered the caller's slice")
		}
	}
}

func TestNewBundleRefuses(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("x", tenants.MaxBundle/2)
	tests := []struct {
		name  string
		files []tenants.File
		want  string // part of the error; empty where the bundle is fine
	}{
		{"as large as may be", files("a", half, "b", half), ""},
		{"a byte too large", files("a", half, "b", half, "c", "x"), "more than"},
		{"an empty path", files("", "x"), "not a clean relative path"},
		{"the root", files(".", "x"), "not a clean relative path"},
		{"an absolute path", files("/a", "x"), "not a clean relative path"},
		{"a path that climbs", files("../a", "x"), "not a clean relative path"},
		{"a path that climbs inside", files("a/../b", "x"), "not a clean relative path"},
		{"a path that is not UTF-8", files("\xff", "x"), "not a clean relative path"},
		{"a path twice", files("a", "x", "b", "y", "a", "z"), "there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := tenants.NewBundle(tt.files)
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && (b.Digest() != "" || b.Files() != nil) {
				t.Error("part of a bundle beside the error")
			}
		})
	}
}

func TestShortAndIsTest(t *testing.T) {
	t.Parallel()
	for digest, want := range map[tenants.Digest]string{
		"sha256:0123456789abcdef": "0123456789ab", "sha256:01": "01", "": "",
	} {
		if got := digest.Short(); got != want {
			t.Errorf("%q is short %q, want %q", digest, got, want)
		}
	}
	for path, want := range map[string]bool{
		"authz_test.rego": true, "deep/authz_test.rego": true,
		"authz.rego": false, "authz_test.rego/authz.rego": false, "test.rego": false, "data_test.json": false,
	} {
		if got := tenants.IsTest(path); got != want {
			t.Errorf("IsTest(%q) = %v", path, got)
		}
	}
}

// files makes files of pairs of path and content.
func files(pairs ...string) []tenants.File {
	var list []tenants.File
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, tenants.File{Path: pair[0], Content: []byte(pair[1])})
	}
	return list
}

func build(t *testing.T, list []tenants.File) tenants.Bundle {
	t.Helper()
	b, err := tenants.NewBundle(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
