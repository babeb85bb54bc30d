package wycheproof

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"

	vectors "github.com/c2sp/wycheproof"

	"regent/engine"
	"regent/engine/identity"
	"regent/tenants"
)

// refusedValid reads the frozen list of vectors called valid that are refused: the
// code of the refusal by file#tcId.
func refusedValid(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/refused-valid.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < 3 || list[fields[0]] != "" {
			t.Fatalf("not an entry with a reason, or there twice: %s", line)
		}
		list[fields[0]] = fields[1]
	}
	return list
}

type file struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []vector
	}
}

type vector struct {
	TcID    int
	Comment string
	JWS     json.RawMessage
	Result  string
}

func TestVectors(t *testing.T) { // JWT-31
	expected := refusedValid(t)
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		ran, accepted := 0, 0
		for _, group := range load(t, name).TestGroups {
			set := keySet(t, group.Public, group.Private)
			for _, v := range group.Tests {
				if v.JWS == nil {
					continue // a JWE
				}
				ran++
				id := fmt.Sprintf("%s#%d", name, v.TcID)
				_, err := identity.VerifyJWS(set, tenants.Algorithms(), compact(v.JWS))
				switch {
				case err == nil:
					accepted++
					if v.Result != "valid" {
						t.Errorf("%s (%s: %s) is %s and accepted", id, group.Comment, v.Comment, v.Result)
					}
				case v.Result == "valid" && expected[id] != code(err):
					t.Errorf("%s (%s: %s) is valid and refused as %s; the list says %q", id, group.Comment, v.Comment, code(err), expected[id])
				}
				if err != nil {
					delete(expected, id)
				}
			}
		}
		if ran == 0 || accepted == 0 {
			t.Errorf("%s: %d vectors ran, %d were accepted", name, ran, accepted)
		}
		t.Logf("%s: %d vectors ran, %d were accepted", name, ran, accepted)
	}
	for id := range maps.Keys(expected) {
		t.Errorf("%s is no longer refused: take it off the list", id)
	}
}

func load(t testing.TB, name string) file {
	t.Helper()
	b, err := fs.ReadFile(vectors.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// keySet is the group's public key or keys as a set; symmetric ones have no public
// part and are handed over as they are.
func keySet(t testing.TB, public, private json.RawMessage) []byte {
	t.Helper()
	key := public
	if key == nil {
		key = private
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(key, &members); err != nil {
		t.Fatal(err)
	}
	if members["keys"] != nil {
		return key
	}
	return fmt.Appendf(nil, `{"keys":[%s]}`, key)
}

// compact is the serialization as a caller would send it: a JSON serialization is
// an object in the vectors, the compact one a string.
func compact(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func code(err error) string {
	var u *engine.Unauthorized
	if errors.As(err, &u) {
		return u.Code
	}
	return err.Error()
}
