package shuffle

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Outputs leave memory for files when execution wants it, oldest first, and
// read the same.
func TestOutputsAreWrittenOutForExecution(t *testing.T) {
	for _, comp := range []string{"none", "lz4"} {
		r := newRig(t, 16*units.MiB, Config{Compression: compression(t, comp)})
		c := mustCodec[int64](t)
		var statuses []*task.MapStatus
		for m := range 4 {
			s, err := write(r, Target{Shuffle: 1, Map: id.Task(m), Reducers: 7}, c, byValue(7), count(100_000))
			if err != nil {
				t.Fatal(err)
			}
			statuses = append(statuses, s)
		}
		if _, resident := r.m.Outputs(); resident != 4 {
			t.Fatalf("%d outputs in memory, want all", resident)
		}
		before, err := read(r, Source{Shuffle: 1, Statuses: statuses, From: 2, To: 4}, c, same)
		if err != nil {
			t.Fatal(err)
		}
		err = r.attempt(50, func(env spill.Env) error {
			hungry := env.Memory.Consumer("hungry", nil)
			defer hungry.Close()
			var told [2]int64
			env.Memory.OnEviction(func() func(memory, disk int64) {
				return func(memory, disk int64) { told[0] += memory; told[1] += disk }
			})
			used := r.m.Used()
			if err := hungry.Need(int64(16*units.MiB) - used - writeSize + used/3); err != nil {
				return err
			}
			if _, resident := r.m.Outputs(); resident == 4 || resident == 0 {
				t.Errorf("%s: %d outputs in memory, want some", comp, resident)
			}
			if o := r.m.mu.outputs[outputID{1, 0}]; o.resident != nil {
				t.Error("the oldest output is still in memory")
			}
			if e := r.m.Evicted(); e.Memory == 0 || e.Disk == 0 || e.Memory != told[0] || e.Disk != told[1] || e.OwnMemory != 0 || e.OwnDisk != 0 {
				t.Errorf("%+v is counted as evicted, the attempt that asked was told %v", e, told)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		after, err := read(r, Source{Shuffle: 1, Statuses: statuses, From: 2, To: 4}, c, same)
		if err != nil || !slices.Equal(before, after) {
			t.Errorf("%s: %d rows from files, %d from memory, %v", comp, len(after), len(before), err)
		}
	}
}

// An output that is read or retained stays, and goes when it is let go.
func TestPinnedOutputsStay(t *testing.T) {
	r := newRig(t, 16*units.MiB, Config{})
	c := mustCodec[string](t)
	s, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 1}, c, byText(1), slices.Repeat([]string{strings.Repeat("p", 50)}, 20_000))
	if err != nil {
		t.Fatal(err)
	}
	err = r.attempt(2, func(env spill.Env) error {
		rd := NewReader(r.m, env, Source{Shuffle: 1, Statuses: []*task.MapStatus{s}, From: 0, To: 1})
		f, err := rd.Next()
		if err != nil {
			return err
		}
		f.Pin.Retain()
		rd.Close()
		if freed := r.m.evict(nil, 1<<30); freed != 0 {
			t.Errorf("%d bytes were taken from under a reader", freed)
		}
		r.m.RemoveShuffle(1)
		if r.m.Used() == 0 {
			t.Error("the output is gone while it is read")
		}
		if got, _, err := c.Decode(nil, f.Data, f.Rows); err != nil || len(got) != f.Rows || got[f.Rows-1] != strings.Repeat("p", 50) {
			t.Errorf("the retained frame changed: %v", err)
		}
		f.Pin.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if used := r.m.Used(); used != 0 {
		t.Errorf("%d bytes are left of a removed shuffle", used)
	}
}

// A reducer that sorts frames where they lie gives them up when memory is
// short, whether they are in memory or come from files.
func TestSortingInPlaceWithLittleMemory(t *testing.T) {
	for _, place := range []Storage{Auto, Disk} {
		r := newRig(t, 6*units.MiB, Config{Storage: place})
		c := mustCodec[record](t)
		rows := records(60_000)
		var statuses []*task.MapStatus
		for m := range 3 {
			s, err := write(r, Target{Shuffle: 1, Map: id.Task(m), Reducers: 1}, c, func(dst []int32, _ []record) { clear(dst) }, rows[20_000*m:20_000*(m+1)])
			if err != nil {
				t.Fatal(err)
			}
			statuses = append(statuses, s)
		}
		var got []record
		err := r.attempt(9, func(env spill.Env) error {
			s := spill.NewSorter(env, "sort", c, spill.Order[record]{
				Prefixes: func(dst []uint64, rows []record) {
					for i := range rows {
						dst[i] = uint64(rows[i][0])
					}
				},
				Compare: func(a, b *record) int { return slices.Compare(a[:10], b[:10]) },
			})
			defer s.Close()
			rd := NewReader(r.m, env, Source{Shuffle: 1, Statuses: statuses, From: 0, To: 1})
			defer rd.Close()
			for {
				f, err := rd.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				if err := s.AddFrame(f.Data, f.Rows, f.Pin); err != nil {
					return err
				}
			}
			return s.Sorted(func(batch []record) error { got = append(got, batch...); return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(rows, func(a, b record) int { return slices.Compare(a[:10], b[:10]) })
		if !slices.Equal(got, rows) {
			t.Errorf("storage %d: %d rows, not the %d sorted", place, len(got), len(rows))
		}
		if r.metrics[task.SpillCount] == 0 {
			t.Errorf("storage %d: nothing was spilled", place)
		}
	}
}
