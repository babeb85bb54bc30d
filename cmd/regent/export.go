package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"regent/tenants"
)

func (c *cli) exportCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write everything that is in a table as a workspace",
		Long: `Writes the APIs, the tenants and the rules in force of the table that --store names as a
workspace at DIR, which must be empty or not exist. What was imported comes back byte for
byte. A YAML file that no longer says what the table's record says is written anew from
the record, and so loses its comments; which ones is said.

With --force the workspace that is at DIR is replaced; files there that are no part of a
workspace stay.

It has neither the history of revisions nor tenants without a revision in force.`,
		Example:           "  regent export backup --store dynamodb:regent",
		Args:              exactlyOne("directory"),
		ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			return c.exportWorkspace(cmd.Context(), reg, args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the workspace that is there")
	return cmd
}

func (c *cli) exportWorkspace(ctx context.Context, reg tenants.Registry, path string, force bool) error {
	if err := canExport(path, force); err != nil {
		return err
	}
	held, err := readHoldings(ctx, reg)
	if err != nil {
		return err
	}
	p, err := newPlace(path)
	if err != nil {
		return err
	}
	defer p.close()
	e := &exporting{holdings: held, to: p.stage}
	if err := e.write(); err != nil {
		return err
	}
	if err := e.verify(); err != nil {
		return err
	}
	if err := p.swap(); err != nil {
		return err
	}
	for _, n := range e.notes {
		c.warn("%s", n)
	}
	if c.json {
		return c.out.json(struct {
			Workspace string   `json:"workspace"`
			Tenants   int      `json:"tenants"`
			APIs      int      `json:"apis"`
			Files     int      `json:"files"`
			Notes     []string `json:"notes"`
		}{path, len(e.tenants), len(e.apis), e.written, append([]string{}, e.notes...)})
	}
	c.out.line(fmt.Sprintf("exported to %s: %s, %s, %s", filepath.Clean(path),
		plural(len(e.tenants), "tenant"), plural(len(e.apis), "API"), plural(e.written, "file")))
	return nil
}
