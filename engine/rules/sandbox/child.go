package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	lru "github.com/hashicorp/golang-lru/v2"

	"regent/engine/rules"
	"regent/tenants"
)

// childArgument is the one argument of a child. Nothing else makes a process one,
// no variable of its environment in particular.
const childArgument = "regent-sandbox-child"

// Main makes the process a child if it was started as one, and then does not
// return. Every program that uses this package calls it first in main, and every
// test binary that does first in TestMain.
func Main() {
	if isChild() {
		os.Exit(runChild())
	}
}

func isChild() bool { return len(os.Args) == 2 && os.Args[1] == childArgument }

// runChild answers requests until there are no more. The limits are set before the
// first byte is read.
func runChild() int {
	if err := confine(configuration{memory: DefaultMemory, capacity: 1}); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 2
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 2
	}
	return 0
}

// child is what a child keeps between requests.
type child struct {
	policies *lru.Cache[pairKey, *rules.Policy]
}

func serve(in io.Reader, out io.Writer) error {
	from := bufio.NewReaderSize(in, 64<<10)
	c := &child{}
	var buf []byte
	for {
		f, err := readFrame(from, maxRequest, buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if cap(f.payload) <= 64<<10 {
			buf = f.payload
		}
		w, status, err := c.answer(f)
		if err != nil {
			return err
		}
		if _, err := out.Write(w.seal(f.id, status)); err != nil {
			return err
		}
	}
}

// answer answers one request. An error ends the child: its parent does not speak
// the protocol.
func (c *child) answer(f frame) (w *writer, status byte, err error) {
	r := newReader(f.payload, roomRequest)
	w = newFrame()
	if (f.code == opConfigure) != (c.policies == nil) {
		return nil, 0, errWire
	}
	switch f.code {
	case opConfigure:
		conf := r.configuration()
		if err := r.end(); err != nil {
			return nil, 0, err
		}
		if err := confine(conf); err != nil {
			return nil, 0, err
		}
		c.policies, err = lru.New[pairKey, *rules.Policy](conf.capacity)
		return w, statusOK, err
	case opLoad:
		k, l := r.pair(), r.load()
		if err := r.end(); err != nil {
			return nil, 0, err
		}
		status = c.guard(w, k, func() error { return c.load(w, k, l) })
	case opDecide, opPermissions:
		q := r.question()
		policy, ok := c.policies.Get(q.pair)
		if !ok {
			return w, statusNotLoaded, nil
		}
		ask := c.decide
		if f.code == opPermissions {
			ask = c.permissions
		}
		status = c.guard(w, q.pair, func() error { return ask(w, q, policy, r) })
		if r.err != nil {
			return nil, 0, r.err
		}
	default:
		return nil, 0, errWire
	}
	return w, status, nil
}

// guard turns errors and panics into an answer. A policy in which something
// panicked is not kept.
func (c *child) guard(w *writer, k pairKey, do func() error) (status byte) {
	defer func() {
		if p := recover(); p != nil {
			c.policies.Remove(k)
			w.b = w.b[:headerSize]
			w.text(fmt.Sprintf("panic: %T", p))
			status = statusError
		}
	}()
	err := do()
	if err == nil {
		return statusOK
	}
	w.b = w.b[:headerSize]
	var eval *rules.EvalError
	if errors.As(err, &eval) {
		w.evalError(eval)
		return statusEval
	}
	if ps, ok := rules.IsProblems(err); ok {
		w.problems(ps)
		return statusProblems
	}
	w.text(cut(err.Error()))
	return statusError
}

// load compiles a pair, and answers with the digests of what was compiled.
func (c *child) load(w *writer, k pairKey, l load) error {
	platform, err := tenants.NewBundle(l.platform)
	if err != nil {
		return err
	}
	tenant, err := tenants.NewBundle(l.tenant)
	if err != nil {
		return err
	}
	if got := (pairKey{platform.Digest(), tenant.Digest()}); got != k {
		return errors.New("the bundles do not have the digests that they were sent under")
	}
	policy, err := rules.Compile(context.Background(), platform, tenant, rules.Options{Schema: l.schema})
	if err != nil {
		return err
	}
	c.policies.Add(k, policy)
	w.pair(k)
	return nil
}

func (c *child) decide(w *writer, q question, p *rules.Policy, r *reader) error {
	in := r.input()
	if r.end() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	d, err := p.Decide(ctx, in, q.now)
	if err != nil {
		return err
	}
	if err := w.decision(d); err != nil {
		return err
	}
	return fits(w, maxDecision, "the decision")
}

func (c *child) permissions(w *writer, q question, p *rules.Policy, r *reader) error {
	known, routes := r.known(), r.routes()
	if r.end() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	perms, err := p.Permissions(ctx, known, routes, q.now)
	if err != nil {
		return err
	}
	w.permissions(perms)
	return fits(w, maxPermissions, "what the rules permit")
}

func fits(w *writer, limit int, what string) error {
	if n := len(w.b) - headerSize; n > limit {
		return &rules.EvalError{Code: "contract", Message: fmt.Sprintf("%s has %d bytes; at most %d are taken", what, n, limit)}
	}
	return nil
}
