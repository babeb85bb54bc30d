// Command sbom prints the modules that a Go binary was built from, as a CycloneDX
// document in JSON. It reads them from the binary itself; with -check it fails unless
// they are the modules of the packages that are named on standard input, one
// "PATH VERSION" a line, as `go list -deps` knows them.
//
// The document has neither a time nor a serial number: the same binary has the same one.
package main

import (
	"bufio"
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "compare with the modules on standard input")
	flag.Parse()
	if err := run(flag.Arg(0), *check, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(binary string, check bool, in io.Reader, out io.Writer) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	if check {
		return compare(info, in)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(document(filepath.Base(binary), info))
}

// bom is as much of CycloneDX 1.6 as is used here.
type bom struct {
	BOMFormat   string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    metadata    `json:"metadata"`
	Components  []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
	// Properties has the module's checksum, in the form of go.sum.
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func document(name string, info *debug.BuildInfo) bom {
	b := bom{
		BOMFormat: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{component{Type: "application", Name: name}},
		Components: []component{{
			Type: "library", Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"),
			PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"),
		}},
	}
	for _, m := range modules(info) {
		b.Components = append(b.Components, component{
			Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version,
			Properties: []property{{"go:sum", m.Sum}},
		})
	}
	return b
}

// modules are the dependencies; a replaced one is what it was replaced by.
func modules(info *debug.BuildInfo) []*debug.Module {
	var all []*debug.Module
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, m)
	}
	return all
}

func compare(info *debug.BuildInfo, in io.Reader) error {
	var want, got []string
	for s := bufio.NewScanner(in); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" {
			want = append(want, line)
		}
	}
	for _, m := range modules(info) {
		got = append(got, m.Path+" "+m.Version)
	}
	slices.Sort(want)
	slices.Sort(got)
	want = slices.Compact(want)
	if len(want) == 0 {
		return fmt.Errorf("no module on standard input")
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("the binary has other modules than its packages\nbinary:   %v\npackages: %v", got, want)
	}
	return nil
}
