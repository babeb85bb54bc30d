package main

import (
	"regexp"
	"strconv"
	"strings"
)

// results holds each benchmark's metrics, one value for each run, by its name
// without the number of processors, and by unit.
type results map[string]map[string][]float64

var processors = regexp.MustCompile(`-[0-9]+$`)

// parse reads the result lines of `go test -bench`.
func parse(text string) results {
	found := results{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue
		}
		name := processors.ReplaceAllString(fields[0], "")
		if found[name] == nil {
			found[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				found[name][fields[i+1]] = append(found[name][fields[i+1]], v)
			}
		}
	}
	return found
}
