package apigw_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"regent/engine"
	"regent/engine/apigw"
)

const corpus = "../../testdata/events"

// expectation is what one event of the corpus is read as. Fields that are left out are
// empty.
type expectation struct {
	// Request is the normal form; its keys are engine.Request's fields in lower case.
	Request engine.Request
	// Error is part of the text of the Trouble, for events that cannot be read.
	Error string
}

// events returns the corpus by file name without .json.
func events(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no events in %s: %v", corpus, err)
	}
	found := make(map[string][]byte, len(files))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(f), ".json")] = b
	}
	return found
}

func event(tb testing.TB, name string) []byte {
	tb.Helper()
	b, ok := events(tb)[name]
	if !ok {
		tb.Fatalf("no event %s", name)
	}
	return b
}

// load reads a YAML file strictly.
func load(tb testing.TB, file string, into any) {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
}

func TestDecodeCorpus(t *testing.T) {
	t.Parallel()
	var want map[string]expectation
	load(t, filepath.Join(corpus, "expected.yaml"), &want)
	all := events(t)
	for name := range want {
		if _, ok := all[name]; !ok {
			t.Errorf("expected.yaml has %s, which is not an event", name)
		}
	}
	for name, event := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, ok := want[name]
			if !ok {
				t.Fatal("expected.yaml does not have it")
			}
			checkName(t, name, want)
			got, err := apigw.Gateway{}.Decode(event)
			if want.Error != "" {
				checkTrouble(t, got, err, want.Error)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Request, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

// checkName keeps file names honest: the first word says how an event ends.
func checkName(t *testing.T, name string, want expectation) {
	t.Helper()
	word, _, _ := strings.Cut(name, "-")
	for prefix, is := range map[string]bool{
		"ambiguous": want.Request.Ambiguous != "",
		"doubtful":  want.Request.Doubtful != "",
		"broken":    want.Error != "",
	} {
		if (word == prefix) != is {
			t.Errorf("name and expectation disagree on whether the event is %s", prefix)
		}
	}
}

func checkTrouble(t *testing.T, got engine.Request, err error, want string) {
	t.Helper()
	var trouble *engine.Trouble
	if !errors.As(err, &trouble) || !strings.Contains(err.Error(), want) {
		t.Fatalf("Decode error = %v, want a Trouble with %q", err, want)
	}
	if strings.Contains(err.Error(), "not-a-real") {
		t.Errorf("the error quotes a secret: %v", err)
	}
	if diff := cmp.Diff(engine.Request{}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Decode returned a request with an error:\n%s", diff)
	}
}
