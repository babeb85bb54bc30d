package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/open-policy-agent/opa/v1/version"
	"github.com/spf13/cobra"
)

// contractVersion counts incompatible changes of the policy contract, DESIGN.md §4.
const contractVersion = 1

// build is what a binary is made of.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	// Modified tells that the source differs from the revision.
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OPA      string `json:"opa"`
	Contract int    `json:"contract"`
	Platform string `json:"platform"`
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this build, of OPA and of the policy contract",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			if c.json {
				return c.out.json(b)
			}
			c.out.table([][]cell{
				cells("regent", b.named()),
				cells("go", b.Go+" "+b.Platform),
				cells("opa", b.OPA),
				cells("contract", strconv.Itoa(b.Contract)),
			})
			return nil
		},
	}
}

func readBuild() build {
	b := build{
		Version: "(devel)", Go: runtime.Version(), OPA: version.Version,
		Contract: contractVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, b.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// named is the version, and the revision if there is one.
func (b build) named() string {
	text := b.Version
	if b.Revision != "" {
		text += " " + b.Revision[:min(12, len(b.Revision))]
	}
	if b.Modified {
		text += " (modified)"
	}
	return text
}
