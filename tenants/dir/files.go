package dir

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"

	"regent/tenants"
)

// Limits on single files, in bytes. Bundles have tenants.MaxBundle.
const (
	maxYAML   = 1 << 20
	maxSchema = 1 << 20
	// maxSpec is the largest document that API Gateway itself imports.
	maxSpec = 6 << 20
)

// Warning is something in a workspace that has no effect and perhaps should have.
type Warning struct {
	// File is the path inside the workspace.
	File string `json:"file"`
	// Message says why it has no effect.
	Message string `json:"message"`
}

// String returns "file: message".
func (w Warning) String() string { return w.File + ": " + w.Message }

// files reads a workspace's files within limits and keeps account of what it read.
type files struct {
	fsys     fs.FS
	errs     *Errors
	warnings []Warning
	// seen digests the path and content of everything read, in order.
	seen hash.Hash
	// dirs are the directories that what was read depends on, and those above them.
	// What is missing counts: it may come.
	dirs map[string]bool
}

func newFiles(fsys fs.FS, errs *Errors) *files {
	return &files{fsys: fsys, errs: errs, seen: sha256.New(), dirs: map[string]bool{}}
}

// kind is what a path leads to.
type kind int

const (
	absent kind = iota
	file
	directory
	refused // there is something, and an error says why it is not read
)

// look says what is at a path. Links are followed to files only, and only inside
// the workspace: a linked directory would be followed by some tools and not by
// others, and rules would go missing.
func (f *files) look(p string) kind {
	for dir := path.Dir(p); !f.dirs[dir]; dir = path.Dir(dir) {
		f.dirs[dir] = true
	}
	info, err := fs.Lstat(f.fsys, p)
	if errors.Is(err, fs.ErrNotExist) {
		return absent
	}
	linked := err == nil && info.Mode()&fs.ModeSymlink != 0
	if linked {
		info, err = fs.Stat(f.fsys, p)
	}
	switch {
	case err != nil && linked:
		f.errs.addf(p, "this symbolic link leads out of the workspace, or nowhere")
	case err != nil:
		f.errs.addf(p, "%v", cause(err))
	case linked && info.IsDir():
		f.errs.addf(p, "symbolic links to directories are not followed")
	case info.IsDir():
		f.dirs[p] = true
		return directory
	case info.Mode().IsRegular():
		return file
	default:
		f.errs.addf(p, "neither a file nor a directory")
	}
	return refused
}

// read returns the content of a file of at most limit bytes.
func (f *files) read(p string, limit int) ([]byte, bool) {
	content, err := f.content(p, limit)
	if err != nil {
		f.errs.addf(p, "%v", cause(err))
		return nil, false
	}
	if len(content) > limit {
		f.errs.addf(p, "larger than %d bytes", limit)
		return nil, false
	}
	return content, true
}

// content returns a file's first limit+1 bytes at most.
func (f *files) content(p string, limit int) ([]byte, error) {
	in, err := f.fsys.Open(p)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil {
		f.account(p, content)
	}
	return content, err
}

func (f *files) account(p string, content []byte) {
	var length [8]byte
	for _, b := range [][]byte{[]byte(p), content} {
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		f.seen.Write(length[:])
		f.seen.Write(b)
	}
}

// list returns the entries of a directory, sorted by name.
func (f *files) list(p string) []fs.DirEntry {
	entries, err := fs.ReadDir(f.fsys, p)
	if err != nil {
		f.errs.addf(p, "%v", cause(err))
	}
	return entries
}

// tree collects the bundle files below a directory, with paths relative to root.
// left is what remains of tenants.MaxBundle.
func (f *files) tree(root, dir string, left *int) []tenants.File {
	var found []tenants.File
	for _, entry := range f.list(dir) {
		p := path.Join(dir, entry.Name())
		rel := strings.TrimPrefix(strings.TrimPrefix(p, root), "/")
		switch k := f.look(p); {
		case k == directory:
			found = append(found, f.tree(root, p, left)...)
		case k != file || *left < 0:
		case !bundled(rel):
			f.ignored(p)
		default:
			found = append(found, f.member(root, p, rel, left)...)
		}
	}
	return found
}

// member reads one file of a bundle.
func (f *files) member(root, p, rel string, left *int) []tenants.File {
	content, err := f.content(p, *left)
	switch {
	case err != nil:
		f.errs.addf(p, "%v", cause(err))
	case len(content) > *left:
		f.errs.addf(cmp.Or(root, "platform"), "the files of a bundle may have %d bytes together, and %s is past that", tenants.MaxBundle, p)
		*left = -1 // saying it once is enough
	default:
		*left -= len(content)
		return []tenants.File{{Path: rel, Content: content}}
	}
	return nil
}

// bundled reports whether OPA's bundle format has a place for a file: Rego, data in
// files of these names, and the manifest at the root.
func bundled(rel string) bool {
	switch path.Base(rel) {
	case "data.json", "data.yaml", "data.yml":
		return true
	case ".manifest":
		return rel == ".manifest"
	default:
		return path.Ext(rel) == ".rego"
	}
}

// ignored warns of a file that is left out of a bundle, but for those that editors
// and version control leave behind.
func (f *files) ignored(p string) {
	base := path.Base(p)
	if base != ".manifest" && (strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~")) {
		return
	}
	message := "not part of the bundle: only *.rego, data.json, data.yaml and .manifest are"
	switch path.Ext(base) {
	case ".json", ".yaml", ".yml":
		message = "not part of the bundle: data belongs in a file named data.json or data.yaml"
	}
	f.warnings = append(f.warnings, Warning{File: p, Message: message})
}

// cause leaves out the path of a file system error, which the message has already.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("cannot %s: %w", strings.TrimSuffix(pe.Op, "at"), pe.Err)
	}
	return err
}
