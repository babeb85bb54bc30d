package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"regent/cmd/internal/config"
	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// matrixFlags are the flags of `regent matrix`.
type matrixFlags struct {
	tenant  string
	api     string
	callers string
	against string
	stage   string
	verbose bool
}

func (c *cli) matrixCommand() *cobra.Command {
	var f matrixFlags
	cmd := &cobra.Command{
		Use:   "matrix [DIR]",
		Short: "Show who may do what: routes by sample callers",
		Long: `Judges every route of every API for each tenant's sample callers, whatever the
requests' parameters, headers and queries may be, and shows a table for each tenant and
API: allowed, denied, allowed with certain parameters, or hanging on something that is
known only when the request is there. It asks the rules themselves and makes no requests.

Sample callers are in tenants/TENANT/callers.yaml, or for tenants without that file in
callers.yaml at the workspace's root:

  callers:
    - name: clerk
      subject: carol
      claims: {roles: [clerk]}
    - name: visitor
      anonymous: true

A caller can also have an issuer (of the tenant's; else the first), scopes, and headers,
query and source_ip for the values of identity sources.

--against compares with another workspace, such as a Git worktree of the release that is
in production, and shows what changes: the callers are this workspace's. With a table as
the store, it takes a revision too: active, previous, or the first digits of a digest,
and compares with what the table has.`,
		Example: `  regent matrix
  regent matrix --tenant acme --api a1b2c3 -v
  regent matrix --against ../production
  regent matrix shop --against active --store dynamodb:regent`,
		Args:              maxOne("directory"),
		ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.againstTable(cmd, f)
			if err != nil {
				return err
			}
			if reg != nil {
				path := "."
				if len(args) > 0 {
					path = args[0]
				}
				return c.matrix(cmd.Context(), path, reg, f)
			}
			path, err := c.location(cmd, args)
			if err != nil {
				return err
			}
			return c.matrix(cmd.Context(), path, nil, f)
		},
	}
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "only this tenant")
	cmd.Flags().StringVar(&f.api, "api", "", "only this API")
	cmd.Flags().StringVar(&f.callers, "callers", "", "a file with sample callers, for every tenant")
	cmd.Flags().StringVar(&f.against, "against", "", "compare with the workspace in this directory, or with this revision in a table")
	cmd.Flags().StringVar(&f.stage, "stage", defaultStage, "the stage that requests are sent to, for rules that ask")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "spell out with which parameters requests are allowed")
	c.completeFlag(cmd, "tenant", c.tenantIDs)
	return cmd
}

// matrix is what `regent matrix` shows. Its JSON form is stable.
type matrix struct {
	Workspace string `json:"workspace"`
	// Against is the workspace or the revision that it is compared with; empty for none.
	Against string        `json:"against,omitempty"`
	Tables  []matrixTable `json:"tables"`
	// Gone are the tenants and APIs that only Against has: "tenant acme", "API a1b2c3".
	Gone []string `json:"gone,omitempty"`
	// Changes count, by kind, the rulings that differ; only with Against.
	Changes map[string]int `json:"changes,omitzero"`
}

// matrixTable is about one API and one tenant.
type matrixTable struct {
	Tenant string `json:"tenant"`
	API    string `json:"api"`
	Kind   string `json:"kind"`
	// Callers are the columns. Sampled tells that somebody chose them.
	Callers []string    `json:"callers"`
	Sampled bool        `json:"sampled"`
	Rows    []matrixRow `json:"rows"`
}

// matrixRow is one route, or those methods of an ANY route that are alike.
type matrixRow struct {
	Route   string   `json:"route"`
	Methods []string `json:"methods"`
	Path    string   `json:"path,omitempty"`
	// Cells are one for each caller.
	Cells []matrixCell `json:"cells"`
}

// matrixCell is a ruling, and what it was in the other workspace.
type matrixCell struct {
	Caller string `json:"caller"`
	ruling
	Before *ruling `json:"before,omitempty"`
	// Change is gained, lost or changed; empty for none.
	Change string `json:"change,omitempty"`
}

// matrix shows the workspace at path. With reg, --against is a revision there.
func (c *cli) matrix(ctx context.Context, path string, reg tenants.Registry, f matrixFlags) error {
	store, err := openWorkspace(path)
	if err != nil {
		return err
	}
	conf, err := settings(path)
	if err != nil {
		return err
	}
	j, err := newJudge(ctx, store.Snapshot(), f.stage, conf, 1)
	if err != nil {
		return err
	}
	defer j.close()
	m := matrix{Workspace: path, Tables: []matrixTable{}}
	chosen, apis, err := f.choose(store.Snapshot())
	if err != nil {
		return err
	}
	var before *judge
	switch {
	case reg != nil:
		before, chosen, err = revisionsAgainst(ctx, reg, f, chosen, conf)
		m.Against = f.against + " of the store"
	case f.against != "":
		if before, err = openAgainst(ctx, f, conf); err == nil {
			m.Gone = f.gone(before.snapshot, store.Snapshot())
		}
		m.Against = strings.TrimPrefix(f.against, "dir:")
	}
	if err != nil {
		return err
	}
	if before != nil {
		defer before.close()
		m.Changes = map[string]int{}
	}
	for _, t := range chosen {
		callers, err := callersOf(path, f.callers, t.ID)
		if err != nil {
			return err
		}
		for _, api := range apis {
			if !recognises(api, t) {
				continue
			}
			table, err := j.table(ctx, api, t, callers)
			if err == nil && before != nil {
				err = before.compare(ctx, &table, callers)
			}
			if err != nil {
				return err
			}
			m.add(table)
		}
	}
	if c.json {
		err = c.out.json(m)
	} else {
		c.showMatrix(m, f)
	}
	if err == nil {
		err = c.endMatrix(j, before)
	}
	return err
}

// endMatrix tells of rules that had to be ended. Those of the workspace are what the
// matrix is about; those that it is compared with are not.
func (c *cli) endMatrix(j, before *judge) error {
	ended := j.warden.told()
	if before != nil {
		others := slices.DeleteFunc(before.warden.told(), func(o *endedError) bool {
			return slices.ContainsFunc(ended, func(e *endedError) bool { return e.Error() == o.Error() })
		})
		c.tellEnded(others, func(text string) { c.warn("%s", text) })
	}
	c.tellEnded(ended, c.errorLine)
	if len(ended) > 0 {
		return exitStatus(exitNo)
	}
	return nil
}

// add adds a table and counts what has changed in it.
func (m *matrix) add(table matrixTable) {
	m.Tables = append(m.Tables, table)
	for _, row := range table.Rows {
		for _, cell := range row.Cells {
			if cell.Change != "" {
				m.Changes[cell.Change]++
			}
		}
	}
}

// openAgainst opens the workspace to compare with.
func openAgainst(ctx context.Context, f matrixFlags, conf config.Config) (*judge, error) {
	path := strings.TrimPrefix(f.against, "dir:")
	if _, err := os.Stat(path); err != nil {
		return nil, &failure{err: fmt.Errorf("--against: %w", err), hints: []string{"it takes the directory of a workspace, such as one that git worktree add makes"}}
	}
	store, err := openWorkspace(path)
	if err != nil {
		return nil, fmt.Errorf("--against: %w", err)
	}
	return newJudge(ctx, store.Snapshot(), f.stage, conf, 1)
}

// choose returns the tenants and APIs to show: those that the flags name, else the
// active tenants and the APIs with routes.
func (f matrixFlags) choose(s rulebook) (chosen []tenants.Tenant, apis []tenants.API, err error) {
	for _, t := range s.Tenants() {
		if t.Status == tenants.Active {
			chosen = append(chosen, t)
		}
	}
	if f.tenant != "" {
		t, err := tenantNamed(s, f.tenant)
		if err != nil {
			return nil, nil, err
		}
		chosen = []tenants.Tenant{t}
	}
	var ids []string
	for _, a := range s.APIs() {
		ids = append(ids, a.ID)
		switch {
		case f.api == "" && len(a.Routes) > 0, f.api == a.ID && a.Kind != tenants.WebSocket:
			apis = append(apis, a)
		case f.api == a.ID:
			return nil, nil, &failure{err: fmt.Errorf("API %s is a WebSocket API: it has one route to authorize, $connect", a.ID), hints: []string{"regent eval decides an event of it"}}
		}
	}
	switch {
	case len(apis) == 0 && f.api != "":
		err = &failure{err: fmt.Errorf("there is no API %q", f.api), hints: []string{didYouMean(f.api, ids)}}
	case len(apis) == 0:
		err = &failure{err: errors.New("no API of the workspace lists its routes"), hints: []string{"list them under routes in regent.yaml, or name an API with --api"}}
	case len(chosen) == 0:
		err = &failure{err: errors.New("the workspace has no active tenant"), hints: []string{"name a suspended one with --tenant"}}
	}
	return chosen, apis, err
}

// gone names the tenants and APIs of a workspace that another has no more, as far as
// the flags do not leave them out.
func (f matrixFlags) gone(old, now rulebook) (names []string) {
	for _, a := range old.APIs() {
		if !slices.ContainsFunc(now.APIs(), func(n tenants.API) bool { return n.ID == a.ID }) && f.api == "" {
			names = append(names, "API "+a.ID)
		}
	}
	for _, t := range old.Tenants() {
		if !slices.ContainsFunc(now.Tenants(), func(n tenants.Tenant) bool { return n.ID == t.ID }) && f.tenant == "" {
			names = append(names, "tenant "+t.ID)
		}
	}
	return names
}

// rule judges an API's routes for one caller. Where there are no verdicts, every one of
// routes has the reason.
func (j *judge) rule(ctx context.Context, api tenants.API, t tenants.Tenant, s sampleCaller, file string) (map[tenants.Route]ruling, ruling, error) {
	if !s.reaches(api, t) {
		return nil, ruling{Verdict: verdictNone, Status: http.StatusUnauthorized, Why: "requests without a token are answered with 401, and no rule is asked"}, nil
	}
	// With the path in the key the verdict would be on one path of each route.
	api.Cache.Identity = slices.DeleteFunc(slices.Clone(api.Cache.Identity), func(s tenants.Source) bool {
		return api.Cache.TTL <= 0 || s == tenants.Source{Kind: "context", Name: "path"}
	})
	perms, err := j.permissions(ctx, api, t, s)
	var ended *endedError
	var eval *rules.EvalError
	var trouble *engine.Trouble
	switch {
	case errors.As(err, &ended):
		return nil, ruling{Verdict: verdictNone, Why: ended.reason()}, nil
	case errors.As(err, &eval):
		l := j.blame(eval, t)
		return nil, ruling{Verdict: verdictNone, Why: finding{File: l.File, Line: l.Line}.place() + beforehand(l.Reason)}, nil
	case errors.As(err, &trouble), ctx.Err() != nil:
		return nil, ruling{}, err
	case err != nil:
		return nil, ruling{}, &failure{err: fmt.Errorf("sample caller %q of tenant %s: %w", s.Name, t.ID, err), hints: []string{"see " + cmp.Or(file, callersFile)}}
	}
	perms.Limits = places(perms.Limits, t, j.snapshot)
	all := rulings(perms)
	for key, r := range all {
		for i, l := range r.Depends {
			r.Depends[i].Reason = beforehand(l.Reason)
		}
		all[key] = r
	}
	return all, ruling{Verdict: verdictNo}, nil
}

// beforehand puts what is said of a cache key in words that fit every API.
func beforehand(reason string) string {
	return strings.NewReplacer(
		"is not part of the cache key", "is known only when the request is there",
		"that are not in the cache key", "that are known only when it is there",
	).Replace(reason)
}

// table judges an API for a tenant's sample callers.
func (j *judge) table(ctx context.Context, api tenants.API, t tenants.Tenant, callers sampleCallers) (matrixTable, error) {
	table := matrixTable{Tenant: t.ID, API: api.ID, Kind: string(api.Kind), Callers: []string{}, Sampled: callers.File != "", Rows: []matrixRow{}}
	for _, route := range routesOf(api) {
		for _, m := range methodsOf(route, api.Routes) {
			table.Rows = append(table.Rows, matrixRow{Route: route.String(), Methods: []string{m}, Path: route.Path})
		}
	}
	for _, s := range callers.Callers {
		table.Callers = append(table.Callers, s.Name)
		all, other, err := j.rule(ctx, api, t, s, callers.File)
		if err != nil {
			return table, err
		}
		for i := range table.Rows {
			row := &table.Rows[i]
			row.Cells = append(row.Cells, matrixCell{Caller: s.Name, ruling: lookUp(all, other, row)})
		}
	}
	return table, nil
}

func lookUp(all map[tenants.Route]ruling, other ruling, row *matrixRow) ruling {
	if r, ok := all[tenants.Route{Method: row.Methods[0], Path: row.Path}]; ok {
		return r
	}
	return other
}
