package shuffle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Whatever the storage, the memory, the codec and the
// number of maps and reducers, every reducer gets exactly its rows, in the
// order of the maps and within a map in the order of adding.
func TestSHUF_006_EveryRowComesToItsReducer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, place := range []Storage{Auto, Disk} {
		for _, comp := range []string{"none", "lz4", "zstd"} {
			for _, budget := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
				for _, shape := range []struct{ maps, reducers, rows int }{{1, 1, 0}, {3, 7, 10}, {4, 3, 30_000}, {2, 64, 20_000}} {
					name := fmt.Sprintf("storage=%d/codec=%s/memory=%s/maps=%d/reducers=%d", place, comp, budget, shape.maps, shape.reducers)
					t.Run(name+"/int64", func(t *testing.T) {
						checkShuffle(t, newRig(t, budget, Config{Storage: place, Compression: compression(t, comp)}), shape.maps, shape.reducers, shape.rows,
							byValue(shape.reducers), func() int64 { return rng.Int64N(1000) }, same)
					})
					t.Run(name+"/string", func(t *testing.T) {
						checkShuffle(t, newRig(t, budget, Config{Storage: place, Compression: compression(t, comp)}), shape.maps, shape.reducers, shape.rows,
							byText(shape.reducers), func() string { return strings.Repeat("x", rng.IntN(100)) + fmt.Sprint(rng.IntN(300)) }, strings.Clone)
					})
				}
			}
		}
	}
}

func checkShuffle[T comparable](t *testing.T, r *rig, maps, reducers, rows int, partition Partitioner[T], make1 func() T, clone func(T) T) {
	t.Helper()
	c := mustCodec[T](t)
	want := make([][]T, reducers)
	var statuses []*task.MapStatus
	for m := range maps {
		var batches [][]T
		for left := rows; left > 0; {
			n := min(left, 1+m*1500+rows/7)
			b := make([]T, n)
			for i := range b {
				b[i] = make1()
			}
			parts := make([]int32, n)
			partition(parts, b)
			for i, p := range parts {
				want[p] = append(want[p], b[i])
			}
			batches = append(batches, b)
			left -= n
		}
		s, err := write(r, Target{Shuffle: 3, Map: id.Task(10 + m), Reducers: reducers}, c, partition, batches...)
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, s)
	}
	total := 0
	for p := range reducers {
		got, err := read(r, Source{Shuffle: 3, Statuses: statuses, From: p, To: p + 1}, c, clone)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want[p]) {
			t.Fatalf("reducer %d got %d rows, not the %d sent in order", p, len(got), len(want[p]))
		}
		total += len(got)
	}
	all, err := read(r, Source{Shuffle: 3, Statuses: statuses, From: 0, To: reducers}, c, clone)
	if err != nil || len(all) != total {
		t.Errorf("all reducers at once: %d rows of %d, %v", len(all), total, err)
	}
	if w, rd := r.metrics[task.ShuffleRecordsWritten], r.metrics[task.ShuffleRecordsRead]; w != int64(total) || rd != int64(2*total) {
		t.Errorf("%d records written and %d read twice over, want %d", w, rd, total)
	}
	if w, rd := r.metrics[task.ShuffleBytesWritten], r.metrics[task.ShuffleLocalBytesRead]; 2*w != rd {
		t.Errorf("%d bytes written, %d read twice over", w, rd)
	}
	if n := r.m.RemoveShuffle(3); n != maps {
		t.Errorf("removed %d outputs of %d", n, maps)
	}
	if r.m.Used() != 0 || len(r.disk.Names()) != 0 {
		t.Errorf("after removal %d bytes and %v are left", r.m.Used(), r.disk.Names())
	}
}

// NOT APPLICABLE: SHUF-003, because there is one writer: it holds reducers
// apart in memory, so it neither sorts by reducer nor keeps a file for each.
//
// NOT APPLICABLE: SHUF-009, SHUF-010, SHUF-019, because no block crosses a
// network: a reader opens the writers' pages and files, one frame at a time,
// so there are no requests whose bytes or blocks could be in flight.
//
// NOT APPLICABLE: SHUF-022, because rows are not sorted by pointers packed
// with a reducer's number: a row goes to its reducer's chunk when it comes.
