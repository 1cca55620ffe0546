package engine_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// ends records how attempts ended.
type ends struct{ list []event.TaskEnd }

func (e *ends) Emit(ev event.Event) {
	if te, ok := ev.(*event.TaskEnd); ok {
		e.list = append(e.list, *te)
	}
}

func (e *ends) routes() map[task.Route]int {
	m := map[task.Route]int{}
	for _, te := range e.list {
		m[te.Route]++
	}
	return m
}

// blob makes parts results of n bytes each.
func blob(s *engine.Session, parts, n int) *engine.Dataset[string] {
	return engine.FromFunc(s, "blob", parts, func(_ *engine.Task, _ int, emit func([]string) error) error {
		return emit([]string{strings.Repeat("x", n)})
	})
}

// TestRoutes drives the three routes of results, and the driver's running
// total, through the public API.
func TestRoutes(t *testing.T) {
	conf := map[string]string{"task.maxDirectResultSize": "64KiB", "driver.maxResultSize": "1MiB"}
	dropped := int64(0)
	run := func(parts, n int) (map[task.Route]int, int, error) {
		e := &ends{}
		s := open(t, engine.Config{Conf: conf, Events: []event.Sink{e}})
		rows, err := blob(s, parts, n).Collect(t.Context())
		for _, r := range rows {
			if len(r) != n {
				t.Errorf("a result came back with %d bytes of %d", len(r), n)
			}
		}
		if err := s.Close(); err != nil { // also flushes the events
			t.Error(err)
		}
		for _, te := range e.list {
			if te.Route == task.RouteDropped {
				dropped += te.Metrics[task.ResultSize]
			}
		}
		return e.routes(), len(rows), err
	}
	t.Run("direct", func(t *testing.T) {
		routes, n, err := run(3, 1000)
		check(t, err, n, 3)
		check(t, nil, routes, map[task.Route]int{task.RouteDirect: 3})
	})
	t.Run("stored", func(t *testing.T) {
		routes, n, err := run(3, 100_000)
		check(t, err, n, 3)
		check(t, nil, routes, map[task.Route]int{task.RouteIndirect: 3})
	})
	t.Run("dropped at the executor", func(t *testing.T) {
		routes, _, err := run(1, 1_153_434) // 1.1 × the limit
		wantLimit(t, err, "1.10 MiB")
		if routes[task.RouteDropped] != 1 {
			t.Errorf("routes %v, want one dropped", routes)
		}
		if dropped < 1_153_434 {
			t.Errorf("the end of the attempt says that %d bytes were dropped", dropped)
		}
	})
	t.Run("running total", func(t *testing.T) {
		_, _, err := run(2, 629_146) // 2 × 0.6 of the limit
		wantLimit(t, err, "1.20 MiB")
	})
	t.Run("no limit", func(t *testing.T) {
		s := open(t, engine.Config{Conf: map[string]string{"driver.maxResultSize": "0"}})
		rows, err := blob(s, 2, 3_000_000).Collect(t.Context())
		check(t, err, len(rows), 2)
	})
	t.Run("map outputs are never limited", func(t *testing.T) {
		s := open(t, engine.Config{Conf: map[string]string{"driver.maxResultSize": "16KiB"}})
		n, err := engine.Repartition(engine.Range(s, 100_000, 8), 100).Count(t.Context())
		check(t, err, n, 100_000)
	})
}

// weighed is a type whose codec looks, whenever rows are encoded, whether there
// is room for them and whether somebody has reserved it.
type weighed struct{ bytes int }

type weighedCodec struct{}

// weighing is told of every encoding: the room, what of it is needed.
var weighing atomic.Pointer[func(capacity, need int)]

func init() { codec.Register[weighed](weighedCodec{}) }

func (weighedCodec) Name() string { return "weighed" }
func (weighedCodec) Fixed() int   { return -1 }

func (weighedCodec) Size(rows []weighed) (n int) {
	for _, w := range rows {
		n += 8 + w.bytes
	}
	return n
}

func (weighedCodec) RowLen(src []byte) int { return 8 + int(binary.LittleEndian.Uint64(src)) }

func (c weighedCodec) Append(dst []byte, rows []weighed) []byte {
	if f := weighing.Load(); f != nil {
		(*f)(cap(dst), len(dst)+c.Size(rows))
	}
	for _, w := range rows {
		dst = append(binary.LittleEndian.AppendUint64(dst, uint64(w.bytes)), make([]byte, w.bytes)...)
	}
	return dst
}

func (weighedCodec) Decode(dst []weighed, src []byte, limit int) ([]weighed, []byte, error) {
	for ; limit > 0 && len(src) >= 8; limit-- {
		n := int(binary.LittleEndian.Uint64(src))
		dst, src = append(dst, weighed{n}), src[8+n:]
	}
	return dst, src, nil
}

// A result's memory is reserved before its bytes are there, and what does not
// fit fails the attempt with an error that says where the memory is.
func TestResultsAreReservedBeforeTheyAreMade(t *testing.T) {
	r := start(t, engine.Config{Cores: 1, Memory: 64 * units.MiB, Conf: conf("task.maxFailures", "1")})
	encoded := 0
	watch := func(capacity, need int) {
		encoded++
		if held := r.held("result"); capacity < need || held < int64(capacity) {
			t.Errorf("rows that take a buffer to %d bytes are encoded into one of %d, with %d reserved", need, capacity, held)
		}
	}
	weighing.Store(&watch)
	defer weighing.Store(nil)
	d := func(n int) *engine.Dataset[weighed] {
		return engine.FromFunc(r.Session, "weighed", 2, func(_ *engine.Task, _ int, emit func([]weighed) error) error {
			for range n {
				if err := emit([]weighed{{100_000}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	rows, err := d(50).Collect(t.Context()) // 5 MB in each result: stored
	check(t, err, len(rows), 100)
	check(t, nil, encoded, 100)
	_, err = d(1000).Collect(t.Context()) // 100 MB, where 32 MiB are managed
	wantError(t, err, "cannot collect partition 0", "for result of task ", " free, ", "largest holders: result ")
	if !errors.Is(err, engine.ErrNoMemory) {
		t.Errorf("it is not ErrNoMemory: %v", err)
	}
	check(t, nil, r.held("result"), 0)
}

// TestCollectEach takes results one by one, and stops at one.
func TestCollectEach(t *testing.T) {
	s := open(t, engine.Config{})
	got := make([][]int64, 5)
	err := engine.Range(s, 12, len(got)).CollectEach(t.Context(), func(part int, rows []int64) error {
		if got[part] != nil {
			t.Errorf("partition %d came twice", part)
		}
		got[part] = rows
		return nil
	})
	check(t, err, got, [][]int64{{0, 1, 2}, {3, 4, 5}, {6, 7}, {8, 9}, {10, 11}})
	enough, calls := errors.New("enough"), 0
	err = engine.Range(s, 12, 5).CollectEach(t.Context(), func(int, []int64) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls: %v", calls, err)
	}
}

func wantLimit(t *testing.T, err error, size string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error above the limit")
	}
	for _, s := range []string{size, "1.00 MiB", "driver.maxResultSize"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the error does not say %q: %v", s, err)
		}
	}
}

// TestDeepLineage runs a lineage of 100,000 nodes.
func TestDeepLineage(t *testing.T) {
	s := open(t, engine.Config{})
	d := engine.Range(s, 100, 2)
	for range 100_000 {
		d = engine.Map(d, func(v int64) int64 { return v + 1 })
	}
	sum, _, err := d.Reduce(t.Context(), func(a, b int64) int64 { return a + b })
	check(t, err, sum, 4950+100*100_000)
	if plan := engine.Explain(d); len(plan) > 10_000 || !strings.Contains(plan, "more nodes") {
		t.Errorf("a deep lineage prints %d bytes", len(plan))
	}
}

// Tasks do not run ahead of a caller who takes its time over results: what
// waits for it is bounded, whatever the job returns in all.
func TestResultsDoNotPileUpBeforeTheirCaller(t *testing.T) {
	const cores, size = 2, 1 << 20
	for route, conf := range map[string]map[string]string{"direct": {"task.maxDirectResultSize": "2MiB"}, "stored": {"task.maxDirectResultSize": "64KiB"}} {
		r := start(t, engine.Config{Cores: cores, Memory: 128 * units.MiB, Conf: conf})
		var made atomic.Int64
		d := engine.FromFunc(r.Session, "blobs", 60, func(_ *engine.Task, _ int, emit func([]string) error) error {
			made.Add(1)
			return emit([]string{strings.Repeat("x", size)})
		})
		handled, most := int64(0), int64(0)
		err := d.CollectEach(t.Context(), func(int, []string) error {
			n, err := engine.Range(r.Session, 100, 4).Count(t.Context()) // others get the workers
			check(t, err, n, 100)
			for range 1000 { // every chance to run ahead
				yieldNow()
			}
			most = max(most, made.Load()-handled)
			handled++
			return nil
		})
		check(t, err, handled, 60)
		// 8 MiB, a sixteenth, may wait, one is with the caller, each worker makes one, and of
		// stored ones each getter has one.
		if most > 8+1+1+cores+4+1 {
			t.Errorf("%s: %d results were made and not handled", route, most)
		}
	}
}
