package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/policies"
	"regent/tenants/dir"
)

func (c *cli) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Walk through it on the built-in workspace, without files or network",
		Long: `Puts the built-in workspace's REST API behind a local gateway on a free port of
127.0.0.1, sends it a few requests, and shows what came back and why. The exit status
is 1 if an answer is not the expected one.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context()) },
	}
}

// The demo's API, tenants and routes, all of the built-in workspace.
const (
	demoAPI    = "a1b2c3"
	demoTenant = "acme"
)

// step is one request of the demo, and what must come back.
type step struct {
	// What says what is special about the request.
	What   string
	Host   string
	Method string
	Path   string
	// Token is empty for none.
	Token string
	// Status and Cache are the expected answer.
	Status int
	Cache  string
}

// stepResult is a step as it went. Its JSON form is stable.
type stepResult struct {
	What   string `json:"what"`
	Host   string `json:"host"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Want   int    `json:"want"`
	Status int    `json:"status"`
	// Cache is hit, miss, or - if neither cache nor authorizer were asked.
	WantCache string `json:"want_cache"`
	Cache     string `json:"cache"`
	Why       string `json:"why"`
	// Context is what the upstream learned.
	Context map[string]string `json:"context,omitempty"`
	OK      bool              `json:"ok"`
}

func (c *cli) demo(ctx context.Context) error {
	d, err := newDemo()
	if err != nil {
		return err
	}
	defer assemble.Close(d.local.authorizer)
	steps, err := d.steps()
	if err != nil {
		return err
	}
	f, err := listen("127.0.0.1:0", d.gateway)
	if err != nil {
		return err
	}
	defer d.gateway.Close()
	results, ok, err := d.run(ctx, "http://"+f.address, steps)
	if err = errors.Join(err, f.close()); err != nil {
		return err
	}
	if c.json {
		err = c.out.json(struct {
			OK    bool         `json:"ok"`
			Steps []stepResult `json:"steps"`
		}{ok, results})
	} else {
		c.showDemo(results)
	}
	if err == nil && !ok {
		c.errorLine("an answer is not the expected one")
		err = exitStatus(exitNo)
	}
	return err
}

// demo is the built-in workspace's API behind a gateway.
type demo struct {
	snapshot *dir.Snapshot
	issuer   *devissuer.Issuer
	local    *local
	gateway  *gateway.Handler
	// answers has one entry for each request that has been answered.
	answers chan answer
}

func newDemo() (*demo, error) {
	snapshot, err := dir.Load(policies.FS, "the built-in workspace")
	if err != nil {
		return nil, err
	}
	issuer, err := devissuer.New()
	if err != nil {
		return nil, err
	}
	authorizer, err := assemble.Authorizer(assemble.Parts{
		Store: devStore{snapshot, issuer}, EvalTimeout: patience, Log: func(engine.Record) {},
	})
	if err != nil {
		return nil, err
	}
	d := &demo{snapshot: snapshot, issuer: issuer, answers: make(chan answer, 1)}
	api, err := snapshot.API(context.Background(), demoAPI)
	if err != nil {
		return nil, err
	}
	d.local = newLocal(authorizer, func(a answer) { d.answers <- a })
	d.gateway, err = gateway.New(api, d.local.options())
	return d, err
}

// steps are the walkthrough: DESIGN.md §11.
func (d *demo) steps() ([]step, error) {
	viewer, err := d.mint("victor", "viewer")
	if err != nil {
		return nil, err
	}
	greeter, err := d.mint("alice", "greeter")
	if err != nil {
		return nil, err
	}
	const home, other = demoTenant + ".localhost", "globex.localhost"
	return []step{
		{"no token", home, "GET", "/sayhello", "", 401, "-"},
		{"a forged token", home, "GET", "/sayhello", forge(viewer, greeter), 401, "miss"},
		{"victor, a viewer", home, "GET", "/sayhello", viewer, 403, "miss"},
		{"alice, a greeter", home, "GET", "/sayhello", greeter, 200, "miss"},
		{"alice, another route", home, "GET", "/saygoodbye", greeter, 200, "hit"},
		{"alice, another method", home, "POST", "/sayhello", greeter, 403, "hit"},
		{"alice, at another tenant", other, "GET", "/sayhello", greeter, 403, "miss"},
	}, nil
}

func (d *demo) mint(subject, role string) (string, error) {
	tenant, err := tenantNamed(d.snapshot, demoTenant)
	if err != nil {
		return "", err
	}
	o := order{
		Tenant: tenant, APIs: d.snapshot.APIs(), Subject: subject,
		Claims: map[string]any{"roles": []string{role}}, Now: time.Now(), TTL: 5 * time.Minute,
	}
	claims, err := o.claims(d.issuer)
	if err != nil {
		return "", err
	}
	return d.issuer.Mint(claims)
}

// forge puts one token's claims under another token's signature.
func forge(signed, claims string) string {
	to, from := strings.Split(signed, "."), strings.Split(claims, ".")
	to[1] = from[1]
	return strings.Join(to, ".")
}

// run sends the steps one by one and reports whether every answer is the expected one.
func (d *demo) run(ctx context.Context, address string, steps []step) (results []stepResult, ok bool, err error) {
	ok = true
	for _, s := range steps {
		r, err := d.send(ctx, address, s)
		if err != nil {
			return nil, false, err
		}
		ok = ok && r.OK
		results = append(results, r)
	}
	return results, ok, nil
}

func (d *demo) send(ctx context.Context, address string, s step) (stepResult, error) {
	req, err := http.NewRequestWithContext(ctx, s.Method, address+s.Path, nil)
	if err != nil {
		return stepResult{}, err
	}
	req.Host = s.Host
	if s.Token != "" {
		req.Header.Set("jwt_token", s.Token)
	}
	// Not the default client: a proxy of the environment has no part in this.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return stepResult{}, fmt.Errorf("%s %s: %w", s.Method, s.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return stepResult{}, fmt.Errorf("%s %s: %w", s.Method, s.Path, err)
	}
	a := <-d.answers
	r := stepResult{
		What: s.What, Host: s.Host, Method: s.Method, Path: s.Path, Want: s.Status, Status: res.StatusCode,
		WantCache: s.Cache, Cache: cacheWord(a.Authorizer), Why: a.Reason, Context: learned(body),
	}
	r.OK = r.Status == r.Want && r.Cache == r.WantCache
	if r.Status == http.StatusOK && r.Context["tenantId"] != demoTenant {
		r.OK = false
	}
	return r, nil
}

// learned is the authorizer context that the echo shows, if the answer is an echo.
func learned(body []byte) map[string]string {
	var echo struct {
		Authorizer map[string]any `json:"authorizer"`
	}
	if json.Unmarshal(body, &echo) != nil {
		return nil
	}
	context := map[string]string{}
	for _, key := range []string{"tenantId", "principalId", "plan", "roles"} {
		if text, ok := echo.Authorizer[key].(string); ok {
			context[key] = text
		}
	}
	if len(context) == 0 {
		return nil
	}
	return context
}

// learned is the part of the context that tells tenants and callers apart, in a line.
func (r stepResult) learned() string {
	var parts []string
	for _, key := range []string{"tenantId", "roles", "plan"} {
		parts = append(parts, key+" "+r.Context[key])
	}
	return "context: " + strings.Join(parts, ", ")
}

func (c *cli) showDemo(results []stepResult) {
	rows := [][]cell{{{"", plain}, {"SENT", dim}, {"BY", dim}, {"ANSWER", dim}, {"CACHE", dim}, {"WHY", dim}}}
	for i, r := range results {
		// The host's first label is the tenant.
		tenant, _, _ := strings.Cut(r.Host, ".")
		answer := cell{strconv.Itoa(r.Status), statusStyle(r.Status)}
		if !r.OK {
			answer = cell{fmt.Sprintf("%d %s, want %d %s", r.Status, r.Cache, r.Want, r.WantCache), red}
		}
		rows = append(rows, []cell{
			{strconv.Itoa(i + 1), dim}, {text: fmt.Sprintf("%s %s to %s", r.Method, r.Path, tenant)}, {text: r.What},
			answer, {r.Cache, dim}, {text: printable(r.Why)},
		})
		if len(r.Context) > 0 {
			rows = append(rows, []cell{{}, {}, {}, {}, {}, {text: printable(r.learned()), style: dim}})
		}
	}
	c.out.table(rows)
	c.err.line("")
	c.err.line("A cache hit is answered by API Gateway alone, from the policy that it was given for the first request.")
	c.err.line("next: " + c.err.paint(bold, "regent init shop && cd shop && regent serve") + "  to have these tenants as files, and change them")
}
