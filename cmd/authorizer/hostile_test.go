package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"regent/cmd/internal/lambdaapi"
	"regent/engine"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// What answers may take on a machine with much else to do: each, and the quickest of
// some. DESIGN.md §14 has 100 ms for a hostile policy, where there is nothing else.
const (
	answerLimit   = 2 * time.Second
	quickestLimit = 150 * time.Millisecond
)

// testHostile holds that a tenant whose rules have to be killed costs itself trouble,
// and soon is not evaluated any more, and that nobody else notices (REG-01, REG-03).
func testHostile(t *testing.T, path string) {
	t.Parallel()
	d := deploy(t, path, append(canaryEnvironment(), "REGENT_EVAL_TIMEOUT=50ms")...)
	neighbour := event("api.calm.example", "a1b2c3", "GET", "/orders/17", d.mint(t, "https://idp.calm.example"))
	d.eventually(t, "before", "allow", well)
	for _, name := range []string{"b11_compr_func_dag", "b05_set_contains_func"} {
		t.Run(name, func(t *testing.T) {
			digest := d.activate(t, bomb(t, name))
			asked := d.provoke(t, digest, neighbour)
			// More, if the machine did not give each its part of a processor.
			if len(asked) < 3 {
				t.Errorf("parked after %d evaluations, want 3", len(asked))
			}
			if quickest := slices.Min(asked); quickest > quickestLimit {
				t.Errorf("the quickest answer about it took %s, want at most %s", quickest, quickestLimit)
			}
			d.checkParked(t, digest)
			if quickest := min(d.took(t, neighbour, "allow"), d.took(t, neighbour, "allow"), d.took(t, neighbour, "allow")); quickest > quickestLimit {
				t.Errorf("while it is parked: the neighbour's quickest answer took %s", quickest)
			}
			good := d.activate(t, "allow := input.method == \"GET\"\n\n# after "+name)
			d.eventually(t, "a good revision after it", "allow", func(r engine.Record) bool {
				return r.Bundles["acme"].Revision == string(good) && well(r)
			})
		})
	}
	checkNothingIsLeft(t, d.Function)
	checkSecrets(t, map[string]string{"standard output": d.Stdout(), "standard error": d.Stderr(), "replies": strings.Join(d.replies, "\n")}, d.token)
}

// bomb is a hostile policy, without its package clause.
func bomb(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../engine/rules/testdata/bombs/" + name + ".rego")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(text), "package authz\n")
	if !found {
		t.Fatalf("%s is not of package authz", name)
	}
	return rules
}

// provoke asks for a hostile revision until it is parked, and for the neighbour in
// between. It returns how long each evaluation took.
func (d *deployment) provoke(t *testing.T, digest tenants.Digest, neighbour []byte) []time.Duration {
	t.Helper()
	var asked []time.Duration
	for end := time.Now().Add(patience); time.Now().Before(end); {
		begun := time.Now()
		outcome, record := d.ask(t, d.get)
		took := time.Since(begun)
		if record.Bundles["acme"].Revision != string(digest) {
			continue // it is not known yet
		}
		if outcome != "trouble" || took > answerLimit {
			t.Fatalf("%s %+v %+v after %s, want trouble", outcome, record.Result, record.Error, took)
		}
		if record.Result.Code == sandbox.CodeParked {
			return asked
		}
		if record.Result.Code != "evaluation" {
			t.Fatalf("%+v %+v, want the code evaluation", record.Result, record.Error)
		}
		asked = append(asked, took)
		d.took(t, neighbour, "allow")
	}
	t.Fatalf("not parked after %d evaluations", len(asked))
	return nil
}

// took wants an outcome of an event and returns how long it took.
func (d *deployment) took(t *testing.T, event []byte, want string) time.Duration {
	t.Helper()
	begun := time.Now()
	outcome, record := d.ask(t, event)
	took := time.Since(begun)
	if outcome != want || took > answerLimit {
		t.Errorf("%s %+v after %s, want %s", outcome, record.Error, took, want)
	}
	return took
}

// checkParked holds that operators and the tenant's administrators are told.
func (d *deployment) checkParked(t *testing.T, digest tenants.Digest) {
	t.Helper()
	all, err := d.admin.Parked(t.Context(), "acme", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p tenants.Parked) bool { return p.Revision == digest })
	if i < 0 {
		t.Fatalf("the table has %+v as parked, want %s among them", all, digest.Short())
	}
	if p := all[i]; !p.Until.After(time.Now()) || p.Reason == "" {
		t.Errorf("the table says %+v", p)
	}
	for _, want := range [][]string{
		{"an evaluation was ended together with its process", `"tenant":"acme"`}, // not each: they are bounded
		{"a revision is parked", `"tenant":"acme"`, string(digest)},
	} {
		if !slices.ContainsFunc(strings.Split(d.Stderr(), "\n"), func(line string) bool {
			return !slices.ContainsFunc(want, func(word string) bool { return !strings.Contains(line, word) })
		}) {
			t.Errorf("no message says %q:\n%s", want, d.Stderr())
		}
	}
}

// checkNothingIsLeft kills the function's process alone, and holds that its children end
// with it.
func checkNothingIsLeft(t *testing.T, f *lambdaapi.Function) {
	t.Helper()
	children := f.Children()
	if len(children) == 0 {
		t.Error("the function has no child in which rules are evaluated")
	}
	if err := f.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = f.Wait() // it was killed
	awaitEnd(t, children)
}

// awaitEnd waits for processes to end: the kernel kills children when their parent ends. It
// waits for less than an evaluation may take in the tests of it.
func awaitEnd(t *testing.T, all []lambdaapi.Process) {
	t.Helper()
	end := time.Now().Add(3 * time.Second)
	for _, p := range all {
		for p.State() != 0 {
			if time.Now().After(end) {
				t.Fatalf("process %d is left behind in the state %q", p.ID, p.State())
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// mint returns a token of a viewer of another issuer with the same keys.
func (d *deployment) mint(t *testing.T, iss string) string {
	t.Helper()
	return mint(t, d.issuer, iss, time.Now().Add(time.Hour))
}
