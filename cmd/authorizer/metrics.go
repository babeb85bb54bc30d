package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// metricsInterval is the shortest time between two lines of metrics.
const metricsInterval = time.Minute

// namespace is the CloudWatch namespace of the metrics.
const namespace = "Regent"

// metrics are counts that show in no single decision. While there are events, one line
// a minute says what was added to each since the line before, in CloudWatch's embedded
// metric format, from which CloudWatch Logs makes metrics without a call. What is
// counted after the last line is lost with the environment.
//
// It has no goroutine and no timer, for a frozen function has neither: tick is called
// after every event.
type metrics struct {
	w io.Writer
	// function is the dimension of every metric.
	function string

	mu     sync.Mutex
	counts []*count
	last   time.Time
}

// count is one metric: read returns a number that only grows.
type count struct {
	name string
	read func() uint64
	was  uint64
}

// newMetrics returns metrics without counts. The first line comes a minute after now,
// at the earliest.
func newMetrics(w io.Writer, function string, now time.Time) *metrics {
	return &metrics{w: w, function: function, last: now}
}

// count adds a metric. The names are those of docs/function.md.
func (m *metrics) count(name string, read func() uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts = append(m.counts, &count{name: name, read: read})
}

// tick writes a line if one is due. A nil *metrics does nothing.
func (m *metrics) tick(now time.Time) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// The wall clock may be set back: then a line comes early, not never.
	if passed := now.Sub(m.last); len(m.counts) == 0 || passed >= 0 && passed < metricsInterval {
		return nil
	}
	m.last = now
	line, err := json.Marshal(m.line(now))
	if err != nil {
		return err
	}
	_, err = m.w.Write(append(line, '\n'))
	return err
}

// line is what was added since the last one, in embedded metric format.
func (m *metrics) line(now time.Time) map[string]any {
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	var all []metric
	line := map[string]any{"msg": "metrics", "FunctionName": m.function}
	for _, c := range m.counts {
		is := c.read()
		all = append(all, metric{c.name, "Count"})
		line[c.name] = is - c.was
		c.was = is
	}
	line["_aws"] = map[string]any{
		"Timestamp":         now.UnixMilli(),
		"CloudWatchMetrics": []directive{{namespace, [][]string{{"FunctionName"}}, all}},
	}
	return line
}
