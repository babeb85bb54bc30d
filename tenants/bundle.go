package tenants

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Digest names a bundle by its content: "sha256:" and 64 hexadecimal digits.
type Digest string

// Short returns the first twelve digits, for people.
func (d Digest) Short() string {
	hex := strings.TrimPrefix(string(d), "sha256:")
	return hex[:min(12, len(hex))]
}

// MaxBundle bounds the sum of a bundle's file sizes, in bytes.
const MaxBundle = 1 << 20

// Bundle is a tenant's Rego and data, or the platform's, as files. Once built it
// does not change.
type Bundle struct {
	digest Digest
	files  []File
}

// File is one file of a bundle.
type File struct {
	// Path is relative to the bundle's root, with slashes.
	Path string
	// Content must not be changed.
	Content []byte
}

// NewBundle builds a bundle from files in any order. Paths must be clean, relative
// and unique; the content may not exceed MaxBundle.
func NewBundle(files []File) (Bundle, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	total := 0
	for i, f := range files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return Bundle{}, fmt.Errorf("bundle: %q is not a clean relative path", f.Path)
		}
		if i > 0 && files[i-1].Path == f.Path {
			return Bundle{}, fmt.Errorf("bundle: %s is there twice", f.Path)
		}
		if total += len(f.Content); total > MaxBundle {
			return Bundle{}, fmt.Errorf("bundle: more than %d bytes", MaxBundle)
		}
	}
	return Bundle{digest: digest(files), files: files}, nil
}

// digest hashes paths and contents, each behind its length, so that no two file
// lists share a byte stream. It does not depend on how a store packs the files.
func digest(sorted []File) Digest {
	h := sha256.New()
	var length [8]byte
	write := func(b []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		h.Write(length[:])
		h.Write(b)
	}
	for _, f := range sorted {
		write([]byte(f.Path))
		write(f.Content)
	}
	return Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// Digest returns the name of the content.
func (b Bundle) Digest() Digest { return b.digest }

// Files returns the files sorted by path. The slice must not be changed.
func (b Bundle) Files() []File { return b.files }

// IsTest reports whether a path is a Rego test file, which is published with a
// bundle but never evaluated by the function.
func IsTest(p string) bool { return strings.HasSuffix(path.Base(p), "_test.rego") }
