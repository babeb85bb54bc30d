package dynamo

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regent/tenants"
)

func bundle(t testing.TB, files ...tenants.File) tenants.Bundle {
	t.Helper()
	b, err := tenants.NewBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func TestPackAndUnpack(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a/", 150) + "authz.rego"
	tests := map[string]tenants.Bundle{
		"no files":   bundle(t),
		"empty file": bundle(t, tenants.File{Path: "a"}),
		"long path, any letters": bundle(t,
			tenants.File{Path: long, Content: []byte("package authz\n")},
			tenants.File{Path: "ü/ﬁ e\n.rego", Content: []byte("\x00\xff")}),
		"many files": bundle(t, numbered(500)...),
	}
	for _, n := range []int{1, 2, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, chunkSize - 1, chunkSize, chunkSize + 1, tenants.MaxBundle} {
		tests[fmt.Sprintf("%d bytes", n)] = bundle(t, tenants.File{Path: "noise", Content: noise(n)})
	}
	tests["zeroes"] = bundle(t, tenants.File{Path: "zeroes", Content: make([]byte, tenants.MaxBundle)})
	for name, want := range tests {
		packed, unpacked, err := pack(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if unpacked < 1<<17 {
			again, _, err := pack(want)
			if err != nil || !bytes.Equal(packed, again) {
				t.Errorf("%s: packed another way the second time (%v)", name, err)
			}
		}
		got, err := unpack(want.Digest(), packed, unpacked)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := cmp.Transformer("text", func(f tenants.File) [2]string { return [2]string{f.Path, string(f.Content)} })
		if diff := cmp.Diff(want.Files(), got.Files(), text, cmpopts.EquateEmpty()); diff != "" || got.Digest() != want.Digest() {
			t.Errorf("%s (-want +got):\n%.2000s", name, diff)
		}
		for _, wrong := range []int{unpacked - 1, unpacked + 1, -1, maxTar + 1, math.MaxInt} {
			if _, err := unpack(want.Digest(), packed, wrong); err == nil {
				t.Errorf("%s: unpacked with %d bytes declared, %d in truth", name, wrong, unpacked)
			}
		}
		if _, err := unpack(want.Digest(), append(bytes.Clone(packed), 0), unpacked); err == nil {
			t.Errorf("%s: unpacked with something behind", name)
		}
	}
}

func numbered(n int) (files []tenants.File) {
	for i := range n {
		files = append(files, tenants.File{Path: fmt.Sprintf("rules/%d.rego", i), Content: fmt.Appendf(nil, "package lib.r%d\n", i)})
	}
	return files
}

// Files without content are not bounded by tenants.MaxBundle.
func TestTooManyFiles(t *testing.T) {
	t.Parallel()
	var files []tenants.File
	for i := range maxTar/512 + 1 {
		files = append(files, tenants.File{Path: fmt.Sprint(i)})
	}
	if _, _, err := pack(bundle(t, files...)); err == nil || !strings.Contains(err.Error(), "too many files") {
		t.Errorf("error %v, want one about too many files", err)
	}
}

// Whatever unpack takes is the bundle of the digest; nothing makes it panic.
func FuzzUnpack(f *testing.F) {
	for _, b := range []tenants.Bundle{
		bundle(f), bundle(f, tenants.File{Path: "authz.rego", Content: []byte("package authz\n")}), bundle(f, numbered(20)...),
	} {
		packed, unpacked, err := pack(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b.Digest()), packed, unpacked)
		f.Add(string(b.Digest()), packed[:len(packed)-1], unpacked)
	}
	f.Fuzz(func(t *testing.T, digest string, packed []byte, unpacked int) {
		b, err := unpack(tenants.Digest(digest), packed, unpacked)
		if err == nil && (string(b.Digest()) != digest || bundle(t, b.Files()...).Digest() != b.Digest()) {
			t.Errorf("unpacked %s as %s", digest, b.Digest())
		}
		files, err := untar(packed)
		size := 0
		for _, file := range files {
			size += len(file.Content)
		}
		if err == nil && size > len(packed) {
			t.Errorf("%d bytes of files in a tarball of %d", size, len(packed))
		}
	})
}
