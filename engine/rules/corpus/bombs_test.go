package corpus_test

import (
	"bytes"
	"testing"

	"regent/engine/rules/corpus"
)

func TestBombs(t *testing.T) {
	t.Parallel()
	bombs, err := corpus.Bombs("../testdata/bombs")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bombs {
		if !bytes.Contains(b.Rego, []byte("package authz\n")) || b.About == "" {
			t.Errorf("%s: no package authz, or nothing about it", b.Name)
		}
		if _, err := b.Bundle(); err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
		if b.Name == "k11_reorder" && !bytes.Contains(b.Rego, []byte("\n x2999 = x3000\n x3000 = 1\n")) {
			t.Errorf("the generated text ends with %q", b.Rego[max(0, len(b.Rego)-60):])
		}
	}
}
