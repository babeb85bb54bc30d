package dynamo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"regent/tenants"
)

const (
	// chunkSize is how much of a bundle an item has, in bytes: an item may have 400 KB
	// (409,600 bytes) with its keys and names.
	chunkSize = 350 << 10
	// maxTar bounds a bundle's tarball: what tenants.MaxBundle allows, and room for the
	// headers of some thousand files.
	maxTar = 8 * tenants.MaxBundle
	// maxPacked bounds the same packed: gzip makes what cannot be packed hardly larger.
	maxPacked = maxTar + maxTar/1000 + 1<<10
	// maxChunks follows from the two.
	maxChunks = (maxPacked + chunkSize - 1) / chunkSize
)

// pack writes a bundle as a gzip tarball, the same bytes for the same bundle as long as
// Go's compressor does not change. It returns the length of the tarball too.
func pack(b tenants.Bundle) (packed []byte, unpacked int, err error) {
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, f := range b.Files() {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Content)), Mode: 0o644,
			ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, 0, fmt.Errorf("pack %s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, 0, fmt.Errorf("pack %s: %w", f.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, 0, fmt.Errorf("pack: %w", err)
	}
	if raw.Len() > maxTar {
		return nil, 0, fmt.Errorf("bundle: %d bytes as a tarball, more than %d: it has too many files (%d)", raw.Len(), maxTar, len(b.Files()))
	}
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // a valid level
	if _, err := z.Write(raw.Bytes()); err != nil {
		return nil, 0, fmt.Errorf("pack: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, 0, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), raw.Len(), nil
}

// unpack reads what pack wrote. It never unpacks more than was declared, and what is
// there must be just that: not a byte more or less, nothing behind it, and the bundle of
// this digest.
func unpack(d tenants.Digest, packed []byte, unpacked int) (tenants.Bundle, error) {
	if unpacked < 0 || unpacked > maxTar {
		return tenants.Bundle{}, fmt.Errorf("%d bytes unpacked are declared, at most %d are accepted", unpacked, maxTar)
	}
	source := bytes.NewReader(packed) // an io.ByteReader: gzip reads not a byte too far
	z, err := gzip.NewReader(source)
	if err != nil {
		return tenants.Bundle{}, errors.New("not gzip")
	}
	z.Multistream(false)
	raw := make([]byte, unpacked+1)
	n, err := io.ReadFull(z, raw)
	switch {
	case err == nil:
		return tenants.Bundle{}, fmt.Errorf("more than the declared %d bytes unpacked", unpacked)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return tenants.Bundle{}, errors.New("the packed bytes are damaged")
	case n != unpacked:
		return tenants.Bundle{}, fmt.Errorf("%d bytes unpacked, not the declared %d", n, unpacked)
	case source.Len() != 0:
		return tenants.Bundle{}, fmt.Errorf("%d bytes behind the end", source.Len())
	}
	files, err := untar(raw[:n])
	if err != nil {
		return tenants.Bundle{}, err
	}
	b, err := tenants.NewBundle(files)
	if err != nil {
		return tenants.Bundle{}, err
	}
	if b.Digest() != d {
		return tenants.Bundle{}, fmt.Errorf("its content is that of %s", b.Digest())
	}
	return b, nil
}

func untar(raw []byte) ([]tenants.File, error) {
	var files []tenants.File
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, errors.New("not a tarball")
		}
		// A header may declare any size: only what is there is ever allocated.
		if header.Typeflag != tar.TypeReg || header.Size < 0 || header.Size > int64(len(raw)) {
			return nil, fmt.Errorf("%q is not a file in a tarball of %d bytes", header.Name, len(raw))
		}
		content := make([]byte, header.Size)
		if _, err := io.ReadFull(r, content); err != nil {
			return nil, errors.New("not a whole tarball")
		}
		files = append(files, tenants.File{Path: header.Name, Content: content})
	}
}
