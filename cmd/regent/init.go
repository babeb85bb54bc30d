package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"regent/policies"
)

func (c *cli) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Make a workspace with three example tenants",
		Long: `Makes a workspace at DIR, which must be empty or not exist: three tenants whose
rules are written in three ways, guardrails, helpers, and tests for all of it.
README.md in it says what is where.`,
		Example:           "  regent init shop",
		Args:              exactlyOne("directory"),
		ValidArgsFunction: directories,
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := scaffold(args[0], policies.FS)
			if err != nil {
				return err
			}
			if c.json {
				return c.out.json(struct {
					Workspace string   `json:"workspace"`
					Files     []string `json:"files"`
				}{args[0], files})
			}
			c.out.line(fmt.Sprintf("made a workspace at %s: %s", args[0], plural(len(files), "file")))
			c.nextSteps(args[0])
			return nil
		},
	}
}

func (c *cli) nextSteps(path string) {
	c.err.line("next:")
	if filepath.Clean(path) != "." {
		c.err.line("  cd " + path)
	}
	c.err.table([][]cell{
		{{text: "  regent test"}, {"run the rules' tests", dim}},
		{{text: "  regent matrix"}, {"see who may do what", dim}},
		{{text: "  regent check"}, {"compile them strictly, against the schema and the contract", dim}},
		{{text: "  regent serve"}, {"run them behind a local API Gateway", dim}},
	})
}

// scaffold writes a workspace into an empty directory and returns its files. If it
// fails, the directory is as it was. regent.yaml comes last: what a crash leaves
// behind is not taken for a workspace.
func scaffold(path string, from fs.FS) (files []string, err error) {
	entries, err := os.ReadDir(path)
	made := errors.Is(err, fs.ErrNotExist)
	switch {
	case made:
		err = os.MkdirAll(path, 0o755)
	case err == nil && len(entries) > 0:
		return nil, &failure{
			err:   fmt.Errorf("%s is not empty: it has %s", path, entries[0].Name()),
			hints: []string{"name a directory that does not exist yet"},
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make workspace: %w", err)
	}
	var placed []string
	defer func() {
		if err == nil {
			return
		}
		for _, name := range placed {
			_ = os.RemoveAll(filepath.Join(path, name))
		}
		if made {
			_ = os.Remove(path)
		}
	}()
	stage, err := os.MkdirTemp(path, ".regent-init-*")
	if err != nil {
		return nil, fmt.Errorf("make workspace: %w", err)
	}
	placed = append(placed, filepath.Base(stage))
	if files, err = copyFiles(stage, from); err != nil {
		return nil, fmt.Errorf("make workspace: %w", err)
	}
	names, err := topLevel(stage)
	if err != nil {
		return nil, fmt.Errorf("make workspace: %w", err)
	}
	for _, name := range names {
		if err = os.Rename(filepath.Join(stage, name), filepath.Join(path, name)); err != nil {
			return nil, fmt.Errorf("make workspace: %w", err)
		}
		placed = append(placed, name)
	}
	if err = os.Remove(stage); err != nil {
		return nil, fmt.Errorf("make workspace: %w", err)
	}
	return files, nil
}

// copyFiles writes all of a file system's files below a directory.
func copyFiles(to string, from fs.FS) (files []string, err error) {
	err = fs.WalkDir(from, ".", func(p string, d fs.DirEntry, err error) error {
		target := filepath.Join(to, filepath.FromSlash(p))
		switch {
		case err != nil:
			return err
		case p == ".":
			return nil
		case d.IsDir():
			return os.Mkdir(target, 0o755)
		}
		content, err := fs.ReadFile(from, p)
		if err != nil {
			return err
		}
		files = append(files, p)
		return os.WriteFile(target, content, 0o644)
	})
	return files, err
}

// topLevel lists a directory with regent.yaml at the end.
func topLevel(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		if e.Name() != registry {
			names = append(names, e.Name())
		}
	}
	if len(names) < len(entries) {
		names = append(names, registry)
	}
	return slices.Clip(names), err
}
