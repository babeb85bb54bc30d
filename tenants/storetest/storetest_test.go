package storetest

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"regent/tenants"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	Run(t, func(_ *testing.T, seed Seed) tenants.Store { return &memory{seed: seed} })
}

// Each store here breaks one sentence, and the case of that name must notice.
func TestCasesBite(t *testing.T) {
	t.Parallel()
	const (
		missing = "A method returns an error that wraps ErrNotFound"
		part    = "It never returns part"
	)
	tests := []struct {
		name  string
		wrong memory
		want  string // the start of the sentence
	}{
		{"not found without ErrNotFound", memory{plainErrors: true}, missing},
		{"not found when time is up", memory{impatient: true}, missing},
		{"a value beside an error", memory{valueWithError: true}, part},
		{"nothing, without an error", memory{silent: true}, part},
		{"routes lost", memory{noRoutes: true}, "API returns"},
		{"suspended tenants hidden", memory{activeOnly: true}, "Tenant returns"},
		{"kinds of selectors mixed", memory{anyKind: true}, "Select returns"},
		{"selectors without case", memory{foldCase: true}, "Select returns"},
		{"content that is not the digest's", memory{tampered: true}, "Bundle returns"},
		{"no platform bundle without files", memory{platformless: true}, "A platform without files"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(cases(), func(c testCase) bool { return strings.HasPrefix(c.sentence, tt.want) })
			c := cases()[i]
			store := tt.wrong
			store.seed = c.seed()
			var r recorder
			r.TB = t
			c.check(&r, &store, store.seed)
			if !r.failed {
				t.Errorf("the case %q passes", c.sentence)
			}
		})
	}
}

// A sentence that is added to a contract needs a case.
func TestEverySentenceHasACase(t *testing.T) {
	t.Parallel()
	// What is not a promise of the store: introductions, and the callers' duties.
	exempt := []string{
		"Store is what the engine reads.", "Values returned must not be changed.",
		"Registry is a Store that is administered: what publishing writes.",
		"The store does not judge the record: its callers use Validate and CheckProviders first.",
		"ParkingLot is implemented by a Store that can tell administrators about parked revisions.",
		"Nothing is decided by what it holds.",
	}
	var reading, writing, parking []string
	for _, c := range cases() {
		reading = append(reading, c.sentence)
	}
	for _, c := range registryCases() {
		writing = append(writing, c.sentence)
	}
	for _, c := range parkingCases() {
		parking = append(parking, c.sentence)
	}
	for _, tt := range []struct {
		file, name string
		got        []string
	}{{"../store.go", "Store", reading}, {"../registry.go", "Registry", writing}, {"../registry.go", "ParkingLot", parking}} {
		var want []string
		for _, s := range contract(t, tt.file, tt.name) {
			if !slices.Contains(exempt, s) {
				want = append(want, s)
			}
		}
		if len(want) == 0 || !slices.Equal(want, tt.got) {
			t.Errorf("sentences of %s:\n%s\ncases:\n%s", tt.name, strings.Join(want, "\n"), strings.Join(tt.got, "\n"))
		}
	}
}

// contract returns the sentences of the comments on an interface and its methods.
func contract(t *testing.T, name, of string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var sentences []string
	add := func(doc *ast.CommentGroup) {
		text := strings.Join(strings.Fields(doc.Text()), " ")
		if text == "" {
			return
		}
		for s := range strings.SplitSeq(strings.TrimSuffix(text, "."), ". ") {
			sentences = append(sentences, s+".")
		}
	}
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		spec := decl.Specs[0].(*ast.TypeSpec)
		methods, ok := spec.Type.(*ast.InterfaceType)
		if !ok || spec.Name.Name != of {
			continue
		}
		add(decl.Doc)
		for _, m := range methods.Methods.List {
			add(m.Doc)
		}
	}
	return sentences
}

// recorder is a testing.TB that only remembers that it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

// memory is the plainest store there can be, with switches that break it.
type memory struct {
	seed Seed

	plainErrors, impatient, valueWithError, silent bool
	noRoutes, activeOnly, anyKind, foldCase        bool
	tampered, platformless                         bool
}

func (m *memory) missing() error {
	switch {
	case m.silent:
		return nil
	case m.plainErrors:
		return fmt.Errorf("%v", tenants.ErrNotFound)
	default:
		return tenants.ErrNotFound
	}
}

func (m *memory) API(_ context.Context, id string) (tenants.API, error) {
	for _, a := range m.seed.APIs {
		if a.ID == id {
			if m.noRoutes {
				a.Routes = nil
			}
			return a, nil
		}
	}
	return tenants.API{}, m.missing()
}

func (m *memory) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	if m.impatient && ctx.Err() != nil {
		return tenants.Tenant{}, m.missing()
	}
	for _, tenant := range m.seed.Tenants {
		if tenant.Record.ID == id && (!m.activeOnly || tenant.Record.Status == tenants.Active) {
			b, err := tenants.NewBundle(tenant.Policy)
			tenant.Record.Revision, tenant.Record.Version = b.Digest(), 1
			return tenant.Record, err
		}
	}
	if m.valueWithError {
		return tenants.Tenant{ID: id, Status: tenants.Active}, m.missing()
	}
	return tenants.Tenant{}, m.missing()
}

func (m *memory) Select(_ context.Context, kind tenants.SelectorKind, value string) (string, error) {
	for _, tenant := range m.seed.Tenants {
		s := tenant.Record.Selectors
		held := s.Of(kind)
		if m.anyKind {
			held = slices.Concat(s.Hosts, s.Issuers, s.Values)
		}
		for _, v := range held {
			if v == value || (m.foldCase && strings.EqualFold(v, value)) {
				return tenant.Record.ID, nil
			}
		}
	}
	return "", m.missing()
}

func (m *memory) Bundle(_ context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	all := [][]tenants.File{m.seed.Platform}
	for _, tenant := range m.seed.Tenants {
		all = append(all, tenant.Policy)
	}
	for _, files := range all {
		b, err := tenants.NewBundle(files)
		if err != nil || (m.platformless && len(files) == 0) || b.Digest() != digest {
			continue
		}
		if m.tampered {
			return tenants.NewBundle(files[1:])
		}
		return b, nil
	}
	return tenants.Bundle{}, m.missing()
}

func (m *memory) Platform(context.Context) (tenants.Digest, error) {
	b, err := tenants.NewBundle(m.seed.Platform)
	return b.Digest(), err
}
