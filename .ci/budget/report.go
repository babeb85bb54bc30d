package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is the table. Every row must have been measured.
func report(all []row, found map[string]results) (string, error) {
	var b strings.Builder
	b.WriteString("| what | budget | measured | holds |\n|---|---|---|---|\n")
	for _, r := range all {
		values := found[r.pkg][r.bench][r.unit]
		if len(values) == 0 {
			return "", fmt.Errorf("%s: %s reported no %s", r.pkg, r.bench, r.unit)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.what, r.budget(), span(values, r.show), r.verdict(values))
	}
	return b.String(), nil
}

// budget is the limit as DESIGN.md writes it.
func (r row) budget() string {
	if r.unbounded {
		return "–"
	}
	sign := "≤ "
	if r.atLeast {
		sign = "≥ "
	}
	return sign + number(r.limit) + r.show
}

// verdict judges the median: one run in a bad moment says nothing.
func (r row) verdict(values []float64) string {
	m := median(values)
	switch {
	case r.unbounded:
		return ""
	case r.atLeast && m >= r.limit, !r.atLeast && m <= r.limit:
		return "yes"
	default:
		return "**no**"
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// span is the range of the values.
func span(values []float64, show string) string {
	lo, hi := number(slices.Min(values)), number(slices.Max(values))
	if lo == hi {
		return lo + show
	}
	return lo + "–" + hi + show
}

// number writes three significant digits at most.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// conditions says when, where and how it was measured.
func conditions(count int, benchtime string) string {
	return fmt.Sprintf("Measured on %s at commit `%s`: %s, %s/%s, %d cores of %s, load average %s before. %d runs of %s; ranges are over the runs, and the median is judged.",
		time.Now().UTC().Format("2 January 2006"), commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), load(), count, benchtime)
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return "an unknown processor"
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	if one == "" {
		return "unknown"
	}
	return one
}
