package shuffle

import (
	"fmt"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Attempts that write, read, evict and remove at once, in memory that holds
// a part of it all, bring every row to its reducer.
func TestManyAttemptsAtOnce(t *testing.T) {
	const workers, rounds, maps, reducers, rows = 4, 3, 3, 4, 60_000
	r := newRig(t, 8*units.MiB, Config{})
	c := mustCodec[int64](t)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			errs[w] = func() error {
				for round := range rounds {
					own := &rig{tb: t, memory: r.memory, disk: r.disk, m: r.m} // its own metrics
					s := id.Shuffle(w*rounds + round)
					var statuses []*task.MapStatus
					for m := range maps {
						st, err := write(own, Target{Shuffle: s, Map: id.Task(int(s)*100 + m), Reducers: reducers}, c, byValue(reducers), count(rows))
						if err != nil {
							return err
						}
						statuses = append(statuses, st)
					}
					for p := range reducers {
						got, err := read(own, Source{Shuffle: s, Statuses: statuses, From: p, To: p + 1}, c, same)
						if err != nil {
							return err
						}
						if len(got) != maps*rows/reducers {
							return fmt.Errorf("shuffle %d, reducer %d: %d rows", s, p, len(got))
						}
						for i, v := range got {
							if v != int64(i%(rows/reducers)*reducers+p) {
								return fmt.Errorf("shuffle %d, reducer %d: row %d is %d", s, p, i, v)
							}
						}
					}
					if round%2 == 0 {
						r.m.RemoveShuffle(s)
					}
				}
				return nil
			}()
		})
	}
	wg.Wait()
	for w, err := range errs {
		if err != nil {
			t.Errorf("worker %d: %v", w, err)
		}
	}
	if r.m.Evicted().Memory == 0 {
		t.Error("nothing was evicted: this test should run short of memory")
	}
}

func TestTooManyReducersAreRefused(t *testing.T) {
	r := newRig(t, 8*units.MiB, Config{})
	for reducers, ok := range map[int]bool{-1: false, 0: true, MaxReducers: true, MaxReducers + 1: false} {
		err := r.attempt(1, func(env spill.Env) error {
			w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: 1, Reducers: reducers}, byValue(1), mustCodec[int64](t))
			if err != nil {
				return err
			}
			return w.Close()
		})
		if (err == nil) != ok {
			t.Errorf("%d reducers: %v", reducers, err)
		}
	}
}

// A killed attempt stops at its next batch and leaves nothing.
func TestKilledWriterStops(t *testing.T) {
	r := newRig(t, 8*units.MiB, Config{})
	killed := fmt.Errorf("killed by the test")
	a := r.memory.NewTask(1)
	calls := 0
	env := spill.Env{Memory: a, Disk: r.disk, Check: func() error {
		if calls++; calls > 2 {
			return killed
		}
		return nil
	}}
	w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: 1, Reducers: 2}, byValue(2), mustCodec[int64](t))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = w.Add(count(100))
	}
	if err != killed || calls != 3 {
		t.Errorf("after %d batches: %v", calls, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if leaked := a.Close(); leaked != 0 {
		t.Errorf("%d bytes leaked", leaked)
	}
}

// The memory of a map task does not depend on how often it is called, and no
// record costs an allocation.
func TestWritingAllocatesNothingPerRecord(t *testing.T) {
	r := newRig(t, 512*units.MiB, Config{})
	rows := records(4096)
	err := r.attempt(1, func(env spill.Env) error {
		w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: 1, Reducers: 16}, func(dst []int32, rows []record) {
			for i := range rows {
				dst[i] = int32(rows[i][0] >> 4)
			}
		}, mustCodec[record](t))
		if err != nil {
			return err
		}
		defer w.Close()
		if n := testing.AllocsPerRun(50, func() {
			if err := w.Add(rows); err != nil {
				t.Error(err)
			}
		}); n > 2 { // a page now and then
			t.Errorf("%.0f allocations a batch of %d records", n, len(rows))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
