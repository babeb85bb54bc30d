package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"regent/engine"
	"regent/tenants"
	"regent/tenants/dir"
)

// The lines of `regent serve --json`, told apart by event. Their form is stable.
type (
	readyLine struct {
		Event string   `json:"event"`
		APIs  []served `json:"apis"`
		Curl  string   `json:"curl,omitempty"`
	}
	reloadLine struct {
		Event   string   `json:"event"`
		OK      bool     `json:"ok"`
		Changes []string `json:"changes,omitempty"`
		Error   string   `json:"error,omitempty"`
	}
	requestLine struct {
		Event  string    `json:"event"`
		Time   time.Time `json:"time"`
		API    string    `json:"api"`
		Method string    `json:"method"`
		Path   string    `json:"path"`
		Route  string    `json:"route,omitempty"`
		Tenant string    `json:"tenant,omitempty"`
		Status int       `json:"status"`
		// Outcome is the gateway's word for how the request ended.
		Outcome string `json:"outcome"`
		// Cache is hit, miss, or - if neither cache nor authorizer were asked.
		Cache  string  `json:"cache"`
		Why    string  `json:"why"`
		Millis float64 `json:"ms"`
		// Incomplete says where a reply for the cache grants less than the rules do.
		Incomplete []engine.Limit `json:"incomplete,omitempty"`
	}
)

func (s *server) jsonLine(v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) == nil { // these types always have a JSON form
		_, _ = s.c.out.Write(b.Bytes())
	}
}

// requestFormat is a request's line, under requestHeader. Times and statuses have
// their own width, whatever their colour.
const requestFormat = "%s  %-8s %-7s %-24s %-12s %s  %-5s %9s  %s"

var requestHeader = fmt.Sprintf(requestFormat, "TIME    ", "API", "METHOD", "PATH", "TENANT", "   ", "CACHE", "TOOK", "WHY")

// show writes a request's line.
func (s *server) show(a answer) {
	millis := float64(a.TotalTime.Microseconds()) / 1000
	if s.c.json {
		s.jsonLine(requestLine{
			"request", a.Time.UTC(), a.API, a.Method, a.Path, a.Route, a.Tenant,
			a.Status, string(a.Outcome), cacheWord(a.Authorizer), a.Reason, millis, a.Incomplete,
		})
		return
	}
	o := s.c.out
	o.line(fmt.Sprintf(requestFormat,
		o.paint(dim, a.Time.Format(time.TimeOnly)), a.API, printable(a.Method), printable(a.Path), orDash(a.Tenant),
		o.paint(statusStyle(a.Status), strconv.Itoa(a.Status)), cacheWord(a.Authorizer), fmt.Sprintf("%.1f ms", millis), printable(a.Reason)))
	for _, l := range a.Incomplete {
		if _, told := s.limits.LoadOrStore(a.Tenant+" "+limitText(l), true); !told {
			s.c.warn("tenant %s: the reply that is cached grants less than the rules do: %s", a.Tenant, limitText(l))
		}
	}
}

// limitText is a limit in a line. The file is the bundle's.
func limitText(l engine.Limit) string {
	if l.File == "" {
		return l.Reason
	}
	return fmt.Sprintf("%s:%d: %s", l.File, l.Line, l.Reason)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func statusStyle(status int) style {
	switch {
	case status >= 500 || status == 0:
		return red
	case status >= 400:
		return yellow
	default:
		return green
	}
}

// differences tells what a reload changed, for people.
func differences(before, after *dir.Snapshot) []string {
	var changes []string
	add := func(format string, args ...any) { changes = append(changes, fmt.Sprintf(format, args...)) }
	if a, b := before.PlatformBundle().Digest(), after.PlatformBundle().Digest(); a != b {
		add("platform: rules %s → %s", a.Short(), b.Short())
	}
	known := map[string]tenants.Tenant{}
	for _, t := range before.Tenants() {
		known[t.ID] = t
	}
	for _, t := range after.Tenants() {
		old, was := known[t.ID]
		delete(known, t.ID)
		if !was {
			add("tenant %s: new", t.ID)
			continue
		}
		if old.Revision != t.Revision {
			add("tenant %s: rules %s → %s", t.ID, old.Revision.Short(), t.Revision.Short())
		}
		old.Revision = t.Revision
		if !sameJSON(old, t) {
			add("tenant %s: tenant.yaml", t.ID)
		}
	}
	for _, t := range before.Tenants() {
		if _, gone := known[t.ID]; gone {
			add("tenant %s: gone", t.ID)
		}
	}
	changes = append(changes, apiDifferences(before.APIs(), after.APIs())...)
	if !bytes.Equal(before.Schema(), after.Schema()) {
		add("schema/input.json")
	}
	if len(changes) == 0 {
		add("nothing differs from what was served")
	}
	return changes
}

func apiDifferences(before, after []tenants.API) (changes []string) {
	known := map[string]tenants.API{}
	for _, a := range before {
		known[a.ID] = a
	}
	for _, a := range after {
		old, was := known[a.ID]
		delete(known, a.ID)
		switch {
		case !was:
			changes = append(changes, "API "+a.ID+": new")
		case !sameJSON(old, a):
			changes = append(changes, "API "+a.ID+": changed")
		}
	}
	for _, a := range before {
		if _, gone := known[a.ID]; gone {
			changes = append(changes, "API "+a.ID+": gone")
		}
	}
	return changes
}

// sameJSON compares records by their stored form.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
