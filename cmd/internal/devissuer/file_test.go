package devissuer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"regent/cmd/internal/devissuer"
)

func TestOpenCreatesAndKeeps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ".regent", "dev-key.json")
	if _, err := devissuer.Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Load before Open: %v, want fs.ErrNotExist", err)
	}
	first, err := devissuer.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := devissuer.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if first.KeyID() != second.KeyID() {
		t.Errorf("the second Open has key %s, the first had %s", second.KeyID(), first.KeyID())
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, want)
			}
		}
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("the directory has %v, %v; want the key file alone", names, err)
	}
}

// TestOpenAtOnce holds that processes starting together end up with one key.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dev-key.json")
	var wg sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		wg.Go(func() {
			if is, err := devissuer.Open(path); err != nil {
				t.Error(err)
			} else {
				ids[i] = is.KeyID()
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("different keys: %v", ids)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "good")
	if _, err := devissuer.Open(good); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if _, err := devissuer.Open(other); err != nil {
		t.Fatal(err)
	}
	otherKey, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	dAt := strings.Index(string(otherKey), `"d":"`)
	secret := string(otherKey[dAt+5 : dAt+5+43])
	mixed := string(key[:strings.Index(string(key), `"d":"`)]) + `"d":"` + secret + `"}`
	tests := []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"readable by others", string(key), 0o644, "chmod 600"},
		{"readable by the group", string(key), 0o640, "chmod 600"},
		{"not JSON", "hello", 0o600, "not a JSON object"},
		{"empty", "", 0o600, "not a JSON object"},
		{"public half only", `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, 0o600, "not a private EC key"},
		{"another curve", `{"kty":"EC","crv":"P-384","x":"AA","y":"AA","d":"AA"}`, 0o600, "not a private EC key on P-256"},
		{"bad d", `{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"A="}`, 0o600, "d is not base64url"},
		{"short d", `{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AAAA"}`, 0o600, "d is not a private key"},
		{"halves of two keys", mixed, 0o600, "not the public half of d"},
		{"too long", string(key) + strings.Repeat(" ", 5000), 0o600, "more than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && tt.mode != 0o600 {
				t.Skip("no permission bits")
			}
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			is, err := devissuer.Open(path)
			if err == nil || is != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Open() = %v, %v; want error with %q", is, err, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the key: %v", err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != tt.content {
				t.Errorf("the file was changed: %q, %v", got, err)
			}
		})
	}
	t.Run("a link", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(good, path); err != nil {
			t.Skip(err)
		}
		if _, err := devissuer.Open(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a link is taken: %v", err)
		}
	})
}
