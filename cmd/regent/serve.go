package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/tenants"
	"regent/tenants/dir"
)

// serveFlags are the flags of `regent serve`.
type serveFlags struct {
	listen    string
	devIssuer bool
}

func (c *cli) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := c.onWorkspace(&cobra.Command{
		Use:   "serve [DIR]",
		Short: "Run the workspace behind a local API Gateway",
		Long: `Runs every API of the workspace behind a local gateway that behaves as API Gateway
does: routes, identity sources, cache, 401, 403 and 500. Allowed requests go to the
API's upstream, or are echoed with their authorizer context. A save takes effect at
once; a broken one is reported and the last good state stays.

A development key (.regent/dev-key.json, made if there is none) stands in for every
tenant's identity providers; regent token mints tokens with it. This is for
development: it is neither fast nor safe to expose.`,
		Example: `  regent serve
  regent serve shop --listen 127.0.0.1:0`,
	}, func(cmd *cobra.Command, path string) error {
		s := &server{c: c, path: path, fronts: map[string]*apiFront{}}
		var err error
		if s.host, s.port, err = splitAddress(f.listen); err != nil {
			return usage(cmd, err)
		}
		return s.run(cmd.Context(), f)
	})
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "the first API's address; the next ones get the following ports, or free ones with port 0")
	cmd.Flags().BoolVar(&f.devIssuer, "dev-issuer", true, "let the development key stand in for the tenants' providers; =false asks the providers themselves")
	return cmd
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("--listen %q is not HOST:PORT, such as 127.0.0.1:8080", address)
	}
	return host, port, nil
}

// server is a running `regent serve`.
type server struct {
	c    *cli
	path string
	host string
	// port is the next API's; 0 stays 0.
	port  int
	store *dir.Store
	local *local
	// issuer is nil if the tenants' own providers are asked.
	issuer *devissuer.Issuer

	// mu guards what a reload changes.
	mu       sync.Mutex
	snapshot *dir.Snapshot
	// fronts are the APIs that are served, by id.
	fronts map[string]*apiFront

	// limits are those that have been warned of.
	limits sync.Map
}

// apiFront is one API's gateway. A changed API gets a new handler at the old address.
type apiFront struct {
	*front
	api     tenants.API
	handler atomic.Pointer[gateway.Handler]
}

func (s *server) run(ctx context.Context, f serveFlags) (err error) {
	if err := s.prepare(ctx, f); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.snapshot = s.store.Snapshot()
	for _, api := range s.snapshot.APIs() {
		if err := s.open(api); err != nil {
			return err
		}
	}
	// The watch ends before the fronts are closed, so that no reload opens another.
	watched := make(chan error, 1)
	go func() { watched <- s.store.Watch(ctx, s.reload) }()
	s.announce(ctx)
	if err = <-watched; err == nil && !s.c.json {
		s.c.say("stopped")
	}
	return err
}

// prepare loads and checks the workspace and assembles the authorizer.
func (s *server) prepare(ctx context.Context, f serveFlags) error {
	var err error
	if s.store, err = openWorkspace(s.path); err != nil {
		return err
	}
	found, err := inspect(ctx, s.store.Snapshot())
	if err = cmp.Or(err, found.err()); err != nil {
		return err
	}
	for _, w := range found.Warnings {
		s.c.warn("%s", w)
	}
	s.store.Check = func(snapshot *dir.Snapshot) error {
		found, err := inspect(ctx, snapshot)
		return cmp.Or(err, found.err())
	}
	conf, err := settings(s.path)
	if err != nil {
		return err
	}
	var store tenants.Store = s.store
	if f.devIssuer {
		if s.issuer, err = openDevIssuer(s.path); err != nil {
			return err
		}
		store = devStore{s.store, s.issuer}
	}
	authorizer, err := assemble.Authorizer(assemble.Parts{
		Store: store, AllowPrivate: conf.AllowPrivate, EvalTimeout: conf.EvalTimeout,
		InProcess: conf.InProcess, Children: assemble.SeveralChildren(),
		Log: func(engine.Record) {},
	})
	if err != nil {
		return err
	}
	if err := assemble.Ready(ctx, authorizer); err != nil {
		assemble.Close(authorizer)
		return err
	}
	s.local = newLocal(authorizer, s.show)
	return nil
}

// open starts to serve an API at the next port.
func (s *server) open(api tenants.API) error {
	h, err := gateway.New(api, s.local.options())
	if err != nil {
		return err
	}
	f := &apiFront{api: api}
	f.handler.Store(h)
	serve := func(w http.ResponseWriter, r *http.Request) { f.handler.Load().ServeHTTP(w, r) }
	if f.front, err = listen(net.JoinHostPort(s.host, strconv.Itoa(s.port)), http.HandlerFunc(serve)); err != nil {
		return &failure{
			err:   fmt.Errorf("serve API %s: %w", api.ID, err),
			hints: []string{"--listen 127.0.0.1:0 takes ports that are free"},
		}
	}
	if s.port > 0 {
		s.port++
	}
	s.fronts[api.ID] = f
	return nil
}

func (s *server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.fronts {
		errs = append(errs, f.close())
		f.handler.Load().Close()
	}
	assemble.Close(s.local.authorizer)
	return errors.Join(errs...)
}

// announce says what is served where, and what to try. The last line says that it is up.
func (s *server) announce(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	try := s.sample(ctx)
	if s.c.json {
		s.caution()
		s.jsonLine(readyLine{"ready", s.describe(), try.curl})
		return
	}
	rows := [][]cell{{{"API", dim}, {"KIND", dim}, {"ADDRESS", dim}, {"ROUTES", dim}, {"CACHE", dim}, {"UPSTREAM", dim}}}
	for _, a := range s.describe() {
		rows = append(rows, cells(a.ID, a.Kind, a.Address, strconv.Itoa(a.Routes), cmp.Or(a.Cache, "off"), cmp.Or(a.Upstream, "echo")))
	}
	s.c.out.table(rows)
	s.caution()
	if try.curl != "" {
		s.c.say("try this, %s:", try.expect)
		s.c.err.line("")
		s.c.err.line("  " + printable(try.curl))
		s.c.err.line("")
	}
	s.c.out.line(s.c.out.paint(dim, requestHeader))
	s.c.say("ready; serving %s, Ctrl-C stops", s.path)
}

// caution says what is not as it would be in production.
func (s *server) caution() {
	if s.issuer != nil {
		s.c.warn("a development key stands in for every tenant's identity providers: regent token mints tokens, and --dev-issuer=false asks the providers")
	}
	if ip := net.ParseIP(s.host); s.host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		s.c.warn("%s can be reached from other machines, and this is for development only", net.JoinHostPort(s.host, "..."))
	}
}

// served is an API in the list of what is served.
type served struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Address  string `json:"address"`
	Routes   int    `json:"routes"`
	Cache    string `json:"cache,omitempty"`
	Upstream string `json:"upstream,omitempty"`
}

func (s *server) describe() []served {
	var all []served
	for _, api := range s.snapshot.APIs() {
		f, ok := s.fronts[api.ID]
		if !ok {
			continue // it could not be opened on a reload, which has been said
		}
		scheme := "http://"
		if api.Kind == tenants.WebSocket {
			scheme = "ws://"
		}
		one := served{ID: api.ID, Kind: string(api.Kind), Address: scheme + f.address, Routes: len(api.Routes), Upstream: api.Upstream}
		if api.Cache.TTL > 0 {
			one.Cache = fmt.Sprintf("%ds", int(api.Cache.TTL/time.Second))
		}
		all = append(all, one)
	}
	return all
}

// reload follows a save, or says why it does not.
func (s *server) reload(e dir.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Err != nil {
		if s.c.json {
			s.jsonLine(reloadLine{Event: "reload", Error: e.Err.Error()})
		}
		s.c.fail(e.Err)
		s.c.say("the last good state stays in force")
		return
	}
	changes := differences(s.snapshot, e.Snapshot)
	s.snapshot = e.Snapshot
	s.limits.Clear()
	for id, f := range s.fronts {
		if !slices.ContainsFunc(e.Snapshot.APIs(), func(a tenants.API) bool { return a.ID == id }) {
			delete(s.fronts, id)
			if err := f.close(); err != nil {
				s.c.fail(err)
			}
			f.handler.Load().Close()
		}
	}
	for _, api := range e.Snapshot.APIs() {
		if err := s.renew(api); err != nil {
			s.c.fail(err)
		}
	}
	if s.c.json {
		s.jsonLine(reloadLine{Event: "reload", OK: true, Changes: changes})
		return
	}
	for _, change := range changes {
		s.c.out.line(s.c.out.paint(cyan, "reloaded") + "  " + printable(change))
	}
}

// renew brings an API's gateway up to date. Whatever changed, cached replies may be
// out of date.
func (s *server) renew(api tenants.API) error {
	f, ok := s.fronts[api.ID]
	if !ok {
		if err := s.open(api); err != nil {
			return err
		}
		s.c.say("API %s is at %s", api.ID, s.fronts[api.ID].address)
		return nil
	}
	if sameJSON(f.api, api) {
		f.handler.Load().Flush()
		return nil
	}
	h, err := gateway.New(api, s.local.options())
	if err != nil {
		return err
	}
	f.api = api
	f.handler.Swap(h).Close()
	return nil
}
