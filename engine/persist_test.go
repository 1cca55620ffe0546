package engine_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

var levels = []block.Level{block.MemoryOnly, block.MemoryOnlySer, block.MemoryAndDisk, block.MemoryAndDiskSer, block.DiskOnly, block.OffHeap}

// wideRow is a record that fills memory quickly.
type wideRow struct {
	N   int64
	Pad [1016]byte
}

// rows makes n wide rows (1 KiB each) from first on, in parts partitions, and
// counts how many were computed.
func rows(s *engine.Session, first, n int64, parts int, computed *atomic.Int64) *engine.Dataset[wideRow] {
	return engine.MapBatches(engine.Range(s, n, parts), func(t *engine.Task, dst []wideRow, src []int64) ([]wideRow, error) {
		computed.Add(int64(len(src)))
		for _, v := range src {
			row := wideRow{N: first + v}
			row.Pad[0], row.Pad[1015] = byte(row.N), byte(row.N>>8)
			dst = append(dst, row)
		}
		return dst, nil
	})
}

// sumRows adds the rows up and checks that each is whole.
func sumRows(t *testing.T, d *engine.Dataset[wideRow]) int64 {
	t.Helper()
	var mu sync.Mutex
	var sum int64
	err := d.Foreach(t.Context(), func(_ *engine.Task, b []wideRow) error {
		part := int64(0)
		for i := range b {
			if b[i].Pad[0] != byte(b[i].N) || b[i].Pad[1015] != byte(b[i].N>>8) {
				return errors.New("a row is damaged")
			}
			part += b[i].N
		}
		mu.Lock()
		defer mu.Unlock()
		sum += part
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestBLK_002 caches three datasets of 24 MiB each at every level where 32
// MiB are managed: what does not fit is evicted, dropped to disk or computed
// again, and the answers stay right.
func TestBLK_002_PersistUnderTinyMemory(t *testing.T) {
	for _, level := range levels {
		t.Run(level.String(), func(t *testing.T) {
			r := start(t, engine.Config{Memory: 64 * units.MiB})
			const n = 24 << 10
			var computed [3]atomic.Int64
			var sets [3]*engine.Dataset[wideRow]
			for i := range sets {
				sets[i] = rows(r.Session, int64(i)*n, n, 8, &computed[i]).Persist(level)
			}
			for range 2 {
				for i, d := range sets {
					base := int64(i) * n
					check(t, nil, sumRows(t, d), base*n+n*(n-1)/2)
				}
			}
			for i := range computed {
				if got := computed[i].Load(); level.Disk() && got != n {
					t.Errorf("dataset %d on %v was computed %d times over", i, level, got/n)
				} else if got < n || got > 2*n {
					t.Errorf("%d rows computed", got)
				}
			}
			evicted, files := 0, len(r.files("rdd_"))
			for _, e := range of[*event.BlockUpdated](r.rec) {
				if strings.HasPrefix(e.Block, "rdd_") && (e.Level == block.LevelNone || e.Level&block.UseMemory == 0) {
					evicted++
				}
			}
			if level.Memory() && evicted == 0 {
				t.Error("nothing was evicted: the test proves nothing")
			}
			if level.Disk() != (files > 0) {
				t.Errorf("%d files at level %v", files, level)
			}
			for _, d := range sets { // BLK-025
				d.Unpersist()
			}
			check(t, nil, len(r.files("rdd_")), 0)
			check(t, nil, r.held("cached"), 0)
			for i, d := range sets {
				for p := range d.Partitions() {
					if engine.HasBlock(r.Session, block.Node(d.Node().ID, p)) {
						t.Errorf("partition %d of dataset %d is still there", p, i)
					}
				}
			}
			check(t, nil, len(of[*event.NodeUnpersisted](r.rec)), 3)
		})
	}
}

// TestBLK_002 within one dataset: its own partitions do not push each other
// out. Those that fit stay, from the first pass on; the others are computed
// again.
func TestBLK_002_NoEvictionWithinADataset(t *testing.T) {
	r := start(t, engine.Config{Memory: 64 * units.MiB, Cores: 1})
	const n, parts = 48 << 10, 24 // 2 MiB each
	var computed atomic.Int64
	d := rows(r.Session, 0, n, parts, &computed).Cache()
	kept := func() (list []int) {
		for p := range parts {
			if engine.HasBlock(r.Session, block.Node(d.Node().ID, p)) {
				list = append(list, p)
			}
		}
		return list
	}
	sumRows(t, d)
	first := kept()
	if len(first) == 0 || len(first) == parts {
		t.Fatalf("partitions %v are kept: the test proves nothing", first)
	}
	check(t, nil, first[0], 0)
	for range 2 {
		computed.Store(0)
		sumRows(t, d)
		check(t, nil, kept(), first)
		check(t, nil, computed.Load(), int64(n/parts*(parts-len(first))))
	}
	for _, e := range of[*event.BlockUpdated](r.rec) {
		if strings.HasPrefix(e.Block, "rdd_") && !e.Level.Memory() {
			t.Errorf("%s was thrown out", e.Block)
		}
	}
}

// A partition that is too large to be kept costs others their place in memory
// and is not kept itself; who reads it gets every row in order all the same,
// and nothing stays unrolled. With disk it is kept there.
func TestBLK_005_PartitionTooLargeToKeep(t *testing.T) {
	for _, level := range []block.Level{block.MemoryOnly, block.MemoryAndDisk} {
		t.Run(level.String(), func(t *testing.T) {
			r := start(t, engine.Config{Memory: 64 * units.MiB, Cores: 1})
			const n = 40 << 10 // 40 MiB, of which 32 are managed
			var first, computed atomic.Int64
			small := rows(r.Session, 0, 4<<10, 4, &first).Cache()
			sumRows(t, small)
			d := rows(r.Session, 0, n, 1, &computed).Persist(level)
			for range 2 {
				next := int64(0)
				err := d.Foreach(t.Context(), func(_ *engine.Task, b []wideRow) error {
					for i := range b {
						if b[i].N != next || b[i].Pad[0] != byte(next) || b[i].Pad[1015] != byte(next>>8) {
							return fmt.Errorf("row %d came as %d", next, b[i].N)
						}
						next++
					}
					return nil
				})
				check(t, err, next, n)
				check(t, nil, r.held("unroll"), 0)
				check(t, nil, engine.HasBlock(r.Session, block.Node(d.Node().ID, 0)), level.Disk())
				check(t, nil, len(r.files("rdd_")) == 1, level.Disk())
			}
			want := int64(2 * n) // computed again, because it was not kept
			if level.Disk() {
				want = n
			}
			check(t, nil, computed.Load(), want)
			left := 0
			for p := range 4 {
				if engine.HasBlock(r.Session, block.Node(small.Node().ID, p)) {
					left++
				}
			}
			check(t, nil, left, 0) // what made room has not come back
			check(t, nil, r.held("cached partitions"), 0)
		})
	}
}

// Removing a dataset or a broadcast takes its blocks from every executor, and
// no other's; of each block that was told of it is told that it is gone.
func TestBLK_017_RemovalReachesEveryExecutor(t *testing.T) {
	r := several(t, 2, "locality.wait", "0s")
	keep := func(level block.Level) *engine.Dataset[int64] {
		var both sync.WaitGroup
		both.Add(2)
		d := engine.MapBatches(engine.Range(r.Session, 200, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			both.Done()
			both.Wait() // so that each executor has one
			return append(dst, src...), nil
		}).Persist(level)
		n, err := d.Count(t.Context())
		check(t, err, n, 200)
		return d
	}
	type place struct{ block, executor string }
	places := func(d *engine.Dataset[int64]) (list []place) {
		for p := range 2 {
			b := block.Node(d.Node().ID, p)
			for _, x := range engine.Holders(r.Session, b) {
				list = append(list, place{string(b), x})
			}
		}
		return list
	}
	value := func() *engine.Broadcast[string] {
		b, err := engine.NewBroadcast(r.Session, strings.Repeat("z", 10_000))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	goes, onDisk, stays := keep(block.MemoryOnly), keep(block.DiskOnly), keep(block.MemoryOnly)
	gone, other := value(), value()
	was := map[*engine.Dataset[int64]][]place{}
	for _, d := range []*engine.Dataset[int64]{goes, onDisk, stays} {
		was[d] = places(d)
		if l := was[d]; len(l) != 2 || l[0].executor == l[1].executor {
			t.Fatalf("blocks at %v, want one on each executor", l)
		}
	}
	if err := engine.Idle(r.Session); err != nil { // the task binaries are gone
		t.Fatal(err)
	}
	memory, broadcasts := r.held("cached partitions"), r.held("broadcasts")
	for _, d := range []*engine.Dataset[int64]{goes, onDisk} {
		before := len(r.rec.events())
		d.Unpersist()
		var told []place
		for _, e := range r.rec.events()[before:] {
			if u, ok := e.(*event.BlockUpdated); ok {
				check(t, nil, []int64{int64(u.Level), u.Memory, u.Disk}, []int64{int64(block.LevelNone), 0, 0})
				told = append(told, place{u.Block, string(u.Executor)})
			}
		}
		slices.SortFunc(told, func(a, b place) int { return strings.Compare(a.block, b.block) })
		check(t, nil, told, was[d])
		check(t, nil, len(places(d)), 0)
	}
	check(t, nil, places(stays), was[stays])
	check(t, nil, r.held("cached partitions"), memory/2)
	check(t, nil, len(r.files("rdd_")), 0)

	check(t, gone.Destroy(), engine.HasBlock(r.Session, block.Broadcast(gone.ID())), false)
	check(t, nil, engine.HasBlock(r.Session, block.Broadcast(other.ID())), true)
	if freed := broadcasts - r.held("broadcasts"); freed < 10_000 || freed > 70_000 {
		t.Errorf("a broadcast of 10,000 bytes gave back %d", freed)
	}
	check(t, nil, places(stays), was[stays])
}

func TestBLK_006_LostDiskPartitions(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, path string){
		"deleted":   remove,
		"flipped":   flip,
		"truncated": func(t *testing.T, path string) { check(t, os.Truncate(path, 100), 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, engine.Config{Conf: conf("task.maxFailures", "2", "storage.readBackFraction", "0")})
			var computed atomic.Int64
			d := rows(r.Session, 0, 1000, 4, &computed).Persist(block.DiskOnly)
			check(t, nil, sumRows(t, d), 499500)
			for _, f := range r.shuffleFiles(t, "rdd_") {
				lose(t, f)
			}
			check(t, nil, sumRows(t, d), 499500)
			check(t, nil, computed.Load(), 2000)
			check(t, nil, r.rec.ended(task.ExceptionFailure) > 0, true)
			check(t, nil, sumRows(t, d), 499500)
			check(t, nil, computed.Load(), 2000)
		})
	}
}

// Two jobs at once over one cached dataset compute each partition once.
func TestCachedPartitionIsComputedOnce(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	var computed atomic.Int64
	d := rows(r.Session, 0, 2000, 6, &computed).Persist(block.MemoryAndDisk)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if n, err := d.Count(t.Context()); err != nil || n != 2000 {
				t.Errorf("got %d, %v", n, err)
			}
		})
	}
	wg.Wait()
	check(t, nil, computed.Load(), 2000)
}

// An attempt that fails while it caches leaves nothing; one that only takes a
// few records caches all of them.
func TestCachingOfFailedAndShortAttempts(t *testing.T) {
	r := start(t, engine.Config{})
	var fail atomic.Bool
	fail.Store(true)
	in := engine.FromFunc(r.Session, "fails at the end", 2, func(t *engine.Task, part int, emit func([]int64) error) error {
		if err := emit(ints(100)); err != nil {
			return err
		}
		if fail.Load() {
			panic("at the end")
		}
		return emit(ints(100))
	}).Cache()
	_, err := in.Count(t.Context())
	wantError(t, err, "at the end")
	fail.Store(false)
	got, err := in.Take(t.Context(), 5)
	check(t, err, got, ints(5))
	check(t, nil, engine.HasBlock(r.Session, block.Node(in.Node().ID, 0)), true)
	check(t, nil, engine.HasBlock(r.Session, block.Node(in.Node().ID, 1)), false)
	n, err := in.Count(t.Context())
	check(t, err, n, 400)
}

func TestUnpersistWhileRead(t *testing.T) {
	r := start(t, engine.Config{})
	var computed atomic.Int64
	d := rows(r.Session, 0, 3000, 2, &computed).Persist(block.MemoryAndDisk)
	check(t, nil, sumRows(t, d), 3000*2999/2)
	inside, gate := make(chan struct{}, 100), make(chan struct{})
	var once sync.Once
	slow := engine.Map(d, func(v wideRow) int64 {
		once.Do(func() { inside <- struct{}{}; <-gate })
		return v.N
	})
	var sum int64
	wait := background(func() (err error) { sum, _, err = slow.Reduce(t.Context(), add); return err })
	<-inside
	d.Unpersist()
	close(gate)
	check(t, wait(), sum, 3000*2999/2)
	check(t, nil, r.held("cached"), 0)
	check(t, nil, len(r.files("rdd_")), 0)
}

func TestPersistRefusals(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.Range(r.Session, 10, 2).Cache()
	d.Cache() // the same level again is fine
	for name, f := range map[string]func(){
		"another level": func() { d.Persist(block.DiskOnly) },
		"no level":      func() { engine.Range(r.Session, 10, 2).Persist(block.LevelNone) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// Persisting again after Unpersist takes up the same names and files.
func TestPersistAgain(t *testing.T) {
	for _, level := range []block.Level{block.DiskOnly, block.MemoryAndDisk} {
		r := start(t, engine.Config{Memory: 64 * units.MiB})
		const n = 40 << 10
		var computed atomic.Int64
		d := rows(r.Session, 0, n, 8, &computed)
		for round := range int64(4) {
			d.Persist(level)
			for range 2 {
				check(t, nil, sumRows(t, d), n*(n-1)/2)
			}
			check(t, nil, computed.Load(), n*(round+1))
			d.Unpersist()
		}
		check(t, nil, r.rec.ended(task.ExceptionFailure), 0)
	}
}

// A flag of the configuration compresses files of its own kind of block and no
// others.
func TestBLK_022_FlagsOfTheConfiguration(t *testing.T) {
	const n = 500_000 // zeros of 8 bytes
	flags := map[string]string{"rdd": "rdd.compress", "broadcast": "broadcast.compress", "shuffle": "shuffle.compress"}
	for _, on := range flags {
		keys := conf("io.compression.codec", "lz4", "shuffle.storage", "disk", "storage.readBackFraction", "0")
		for _, flag := range flags {
			keys[flag] = fmt.Sprint(flag == on)
		}
		r := start(t, engine.Config{Cores: 1, Conf: keys})
		zeros := engine.Map(engine.Range(r.Session, n, 1), func(int64) int64 { return 0 }).Persist(block.DiskOnly)
		got, err := engine.Repartition(zeros, 2).Count(t.Context())
		check(t, err, got, n)
		release := engine.Crowd(r.Session, 3*units.MiB) // it goes to a file
		_, err = engine.NewBroadcast(r.Session, make([]int64, n))
		release()
		if err != nil {
			t.Fatal(err)
		}
		largest := map[string]int64{}
		for _, e := range of[*event.BlockUpdated](r.rec) {
			kind, _, _ := strings.Cut(e.Block, "_")
			largest[kind] = max(largest[kind], e.Disk)
		}
		for _, e := range of[*event.TaskEnd](r.rec) {
			largest["shuffle"] += e.Metrics[task.ShuffleBytesWritten]
		}
		for kind, flag := range flags {
			if size := largest[kind]; size == 0 || (size < 4*n) != (flag == on) {
				t.Errorf("with %s alone, the block of kind %s has %d bytes", on, kind, size)
			}
		}
	}
}
