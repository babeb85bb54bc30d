package sandbox

import (
	"encoding/binary"
	"runtime"
	"testing"

	"regent/engine"
	"regent/engine/rules"
)

// repeated is a message with one list: as many of the shortest elements as there is room
// for in so many bytes, behind what comes before it.
func repeated(limit int, before, element, after []byte) []byte {
	n := (limit - len(before) - len(after) - binary.MaxVarintLen64) / len(element)
	b := append([]byte{}, before...)
	b = binary.AppendUvarint(b, uint64(n+1))
	for range n {
		b = append(b, element...)
	}
	return append(b, after...)
}

// TestRoom holds that no answer takes much more memory than it has bytes: a child that
// somebody has taken over can say what it likes.
func TestRoom(t *testing.T) {
	none, text := []byte{0}, []byte{1, 'x'}
	key := func(n int) []byte { return append([]byte{4}, byte(n), byte(n>>8), byte(n>>16), 'k') }
	var keys []byte
	for i := range 10_000 {
		keys = append(append(keys, key(i)...), kindNull)
	}
	context := append([]byte{0, 0, 1, kindObject}, binary.AppendUvarint(nil, 10_000)...)
	decision := func(r *reader) { r.decision() }
	permissions := func(r *reader) { r.permissions() }
	tests := []struct {
		name    string
		message []byte
		room    int
		read    func(*reader)
	}{
		{"segments", repeated(maxPermissions, []byte{2, 0, 0}, []byte{0, 0, 0, 0, 0}, []byte{0, 0, 0, 0}), roomPermissions, permissions},
		{"cells", repeated(maxPermissions, nil, []byte{0, 0, 0, 0, 0, 0}, none), roomPermissions, permissions},
		{"limits", repeated(maxPermissions, none, []byte{0, 0, 0}, nil), roomPermissions, permissions},
		{"indexes of limits", repeated(maxPermissions, []byte{2, 0, 0, 0, 0, 0}, none, none), roomPermissions, permissions},
		{"words", repeated(maxPermissions, []byte{2, 0, 0, 2, 0, 0, 0, 0}, none, []byte{0, 0, 0, 0}), roomPermissions, permissions},
		{"problems", repeated(maxLoaded, nil, []byte{0, 0, 0, 0, 0}, none), roomLoaded, func(r *reader) { r.problems() }},
		{"reasons", repeated(maxDecision, none, none, []byte{0, 0, 0}), roomDecision, decision},
		{"a context", append(context, keys...), roomDecision, decision},
		{"nested lists", append([]byte{0, 0, 1, kindObject, 1}, append(text, repeated(maxDecision-8, []byte{kindList}, []byte{kindList, 0}, nil)...)...), roomDecision, decision},
	}
	for _, tt := range tests {
		r := newReader(tt.message, tt.room)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		tt.read(r)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > memoryLimit {
			t.Errorf("%s: %d bytes became %d MB", tt.name, len(tt.message), grown>>20)
		}
	}
}

// TestRoomIsEnough holds that the largest answers of package rules are read.
func TestRoomIsEnough(t *testing.T) {
	t.Parallel()
	var p engine.Permissions
	for i := range 5_000 {
		p.Cells = append(p.Cells, engine.Cell{Method: "OPTIONS", Route: "/a/{b}/{c}/{d}", Segments: make([]engine.Segment, 4), Limits: []int{i % 100}})
		p.Cells[i].Segments[1].Not = []string{"a", "b", "c"}
	}
	p.Limits = make([]engine.Limit, 100)
	w := newFrame()
	w.permissions(p)
	r := newReader(w.b[headerSize:], roomPermissions)
	if got := r.permissions(); r.end() != nil || len(got.Cells) != len(p.Cells) {
		t.Errorf("%d cells, %v", len(got.Cells), r.err)
	}
	w = newFrame()
	w.problems(make500())
	r = newReader(w.b[headerSize:], roomLoaded)
	if got := r.problems(); r.end() != nil || len(got) != maxProblems+1 {
		t.Errorf("%d problems, %v", len(got), r.err)
	}
}

func make500() (ps rules.Problems) {
	for range 500 {
		ps = append(ps, &rules.Problem{File: "a.rego", Line: 1, Message: string(make([]byte, maxText))})
	}
	return ps
}

// TestNothingPinsAnswers holds that what is kept of an answer, such as the reason of a
// remembered document's limit, does not keep the whole of it.
func TestNothingPinsAnswers(t *testing.T) {
	long := string(make([]byte, 1<<20))
	w := newFrame()
	w.permissions(engine.Permissions{Cells: []engine.Cell{{Method: long}}, Limits: []engine.Limit{{File: "a.rego", Reason: "it depends"}}})
	var kept []engine.Limit
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 100 {
		p := newReader(w.b[headerSize:], roomPermissions).permissions()
		kept = append(kept, p.Limits...)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(kept) != 100 || after.HeapAlloc > before.HeapAlloc+20<<20 {
		t.Errorf("%d limits keep %d MB", len(kept), (after.HeapAlloc-before.HeapAlloc)>>20)
	}
	runtime.KeepAlive(kept)
}
