package engine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

type numbered = engine.Pair[int64, int64]

// holds reports whether a join has been adapted to hold a side.
func holds[T any](d *engine.Dataset[T]) bool {
	return slices.ContainsFunc(d.Node().Deps(), func(d plan.Dep) bool { _, narrow := d.(*plan.NarrowDep); return narrow })
}

// matchesOf prints matches in an order of their own.
func matchesOf(rows []engine.Pair[int64, engine.Joined[int64, int64]]) (out []string) {
	for _, r := range rows {
		out = append(out, fmt.Sprint(r.Key, r.Value.Left, r.Value.Right))
	}
	slices.Sort(out)
	return out
}

// One join gives one answer, whichever way it is computed: over cores,
// partitions, executors, memory, places of map outputs, both strategies, and
// whether the keys' span is known and they are dealt out.
func TestJoinStrategiesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	side := func(n int, key func(i int) int64) (rows []numbered) {
		for i := range n {
			rows = append(rows, numbered{Key: key(i), Value: rng.Int64()})
		}
		return rows
	}
	dense := func(i int) int64 { return int64(i*7919%3000) - 1500 } // zero and negative ones among them
	sparse := func(i int) int64 { return int64(uint64(dense(i)+1500) * 0x9e3779b97f4a7c15) }
	any := func(f func(int) int64) func(int) int64 { return func(int) int64 { return f(rng.IntN(4000)) } }
	far := func(i int) int64 { return []int64{-1 << 63, 1<<63 - 1, 0, 1}[i%4] }
	for name, c := range map[string]struct {
		left, right []numbered
	}{
		"dense keys":         {side(20_000, any(dense)), side(3000, dense)},
		"dense keys, left":   {side(3000, dense), side(20_000, any(dense))},
		"dense with gaps":    {side(20_000, any(dense)), side(900, func(i int) int64 { return 3 * dense(i) })},
		"sparse keys":        {side(20_000, any(sparse)), side(3000, sparse)},
		"keys repeat":        {side(4000, any(dense)), side(3000, func(i int) int64 { return dense(i % 500) })},
		"one key has most":   {side(40, any(dense)), side(3000, func(i int) int64 { return dense(i * (i % 9 / 8)) })},
		"keys at the limits": {side(2000, far), side(4, far)},
		"one row":            {side(2000, any(dense)), side(1, dense)},
		"none":               {side(2000, any(dense)), nil},
		"both of a size":     {side(3000, any(sparse)), side(3000, any(sparse))},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, cfg := range []engine.Config{
				{Cores: 1, Memory: 96 * units.MiB}, {Cores: 3, Memory: 512 * units.MiB}, {Cores: 4, Executors: 2, Memory: 256 * units.MiB},
			} {
				for _, keys := range [][]string{{"sql.autoBroadcastJoinThreshold", "-1"}, {"shuffle.storage", "disk"}, {"io.compression.codec", "lz4"}} {
					cfg.Conf = conf(keys...)
					s := open(t, cfg)
					left, right := engine.Parallelize(s, c.left, 4), engine.Parallelize(s, c.right, 3)
					for _, parts := range []int{1, 3, 8, -3, -8} {
						if parts == -3 { // again, cached
							for _, d := range []*engine.Dataset[numbered]{left.Persist(block.MemoryAndDisk), right.Persist(block.MemoryAndDisk)} {
								if _, err := d.Count(t.Context()); err != nil {
									t.Fatal(err)
								}
							}
						}
						d := engine.Join(left, right, engine.Partitions(max(parts, -parts)))
						rows, err := d.Collect(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						got := matchesOf(rows)
						if want == nil {
							want = got
						}
						if !slices.Equal(got, want) {
							t.Errorf("%d cores, %v, %v, %d partitions: %d matches, not those %d", cfg.Cores, cfg.Memory, keys, parts, len(got), len(want))
						}
						if held := holds(d); held != (keys[1] != "-1") {
							t.Errorf("%v: a side is held: %v", keys, held)
						}
					}
				}
			}
		})
	}
}

// A side that is held is shuffled, and the other is not; the table stays for
// the next action, goes when memory is wanted, and ends with its scope.
func TestJoinHoldsTheSmallSide(t *testing.T) {
	r := start(t, engine.Config{})
	large, small := make([]numbered, 20_000), make([]numbered, 500)
	for i := range large {
		large[i] = numbered{Key: int64(i % 1000), Value: 1}
	}
	for i := range small {
		small[i] = numbered{Key: int64(i), Value: 2}
	}
	round := r.Scope()
	d := engine.Join(engine.Parallelize(round, large, 4), engine.Parallelize(round, small, 3), engine.Partitions(5))
	n, err := d.Count(t.Context())
	check(t, err, n, 10_000)
	written := int64(0)
	for _, e := range of[*event.TaskEnd](r.rec) {
		written += e.Metrics[task.ShuffleRecordsWritten]
	}
	check(t, nil, written, 500)
	check(t, nil, r.held("idle join tables") > 0, true)
	check(t, nil, len(of[*event.JobStart](r.rec)), 2)

	n, err = d.Count(t.Context())
	check(t, err, n, 10_000)
	read := int64(0)
	for _, e := range of[*event.TaskEnd](r.rec) {
		read += e.Metrics[task.ShuffleRecordsRead]
	}
	check(t, nil, read, 500) // of the first action alone
	check(t, nil, len(of[*event.JobStart](r.rec)), 3)

	most, err := r.Reserve("all there is", 90*units.MiB)
	if err != nil {
		t.Fatal(err)
	}
	for more := units.MiB; ; more /= 2 { // what is left
		if more < 1024 {
			break
		}
		if err := most.Resize(most.Bytes() + int64(more)); err == nil {
			more *= 2
		}
	}
	check(t, nil, r.held("idle join tables"), 0)
	most.Release()
	n, err = d.Count(t.Context())
	check(t, err, n, 10_000)
	check(t, nil, r.held("idle join tables") > 0, true)
	round.Release()
	check(t, nil, r.held("join tables"), 0)
}

// Where there is no memory for the table that was chosen, each task joins for
// itself, and gets the same partitions.
func TestJoinWithoutMemoryForTheTable(t *testing.T) {
	r := start(t, engine.Config{Memory: 160 * units.MiB})
	large, small := make([]numbered, 1_000_000), make([]numbered, 800_000)
	for i := range large {
		large[i] = numbered{Key: int64(i * 40), Value: int64(i)}
	}
	for i := range small {
		small[i] = numbered{Key: int64(i), Value: int64(-i)}
	}
	d := engine.Join(engine.Parallelize(r.Session, large, 40), engine.Parallelize(r.Session, small, 3), engine.Partitions(2))
	byPart := func() (out [2][]string) {
		err := d.CollectEach(t.Context(), func(part int, rows []engine.Pair[int64, engine.Joined[int64, int64]]) error {
			out[part] = matchesOf(rows)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := byPart()
	if !holds(d) || len(want[0])+len(want[1]) != 20_000 {
		t.Fatalf("%d and %d matches, held: %v", len(want[0]), len(want[1]), holds(d))
	}
	hog, err := r.Reserve("most of it", 114*units.MiB)
	if err != nil {
		t.Fatal(err)
	}
	defer hog.Release()
	got := byPart()
	if n := r.held("join tables"); n != 0 {
		t.Errorf("%d bytes of %v", n, r.Accounts())
	}
	for part := range want {
		if !slices.Equal(got[part], want[part]) {
			t.Errorf("partition %d has %d matches, and had %d", part, len(got[part]), len(want[part]))
		}
	}
}

// A side is shuffled where it cannot be held, or the other cannot stay where
// it is.
func TestJoinsThatHoldNothing(t *testing.T) {
	s := open(t, engine.Config{})
	rows := make([]numbered, 100)
	few := func(parts int) *engine.Dataset[numbered] { return engine.Parallelize(s, rows, parts) }
	texts := func(parts int) *engine.Dataset[engine.Pair[int64, string]] {
		return engine.MapValues(few(parts), func(int64) string { return "" })
	}
	for name, count := range map[string]func() (int64, bool, error){
		"texts": func() (int64, bool, error) {
			d := engine.Join(texts(2), texts(2))
			n, err := d.Count(t.Context())
			return n, holds(d), err
		},
		"one partition stays": func() (int64, bool, error) {
			d := engine.Join(few(1), few(1))
			n, err := d.Count(t.Context())
			return n, holds(d), err
		},
		"a barrier": func() (int64, bool, error) {
			d := engine.Join(engine.Barrier(few(2)), engine.Barrier(few(2)))
			n, err := d.Count(t.Context())
			return n, holds(d), err
		},
		"other records each time": func() (int64, bool, error) {
			d := engine.Join(engine.Repartition(engine.Repartition(few(2), 3), 2), engine.Repartition(engine.Repartition(few(2), 3), 2))
			n, err := d.Count(t.Context())
			return n, holds(d), err
		},
	} {
		n, held, err := count()
		check(t, err, n, 10_000)
		if held {
			t.Errorf("%s: a side is held", name)
		}
	}
	large := few(2).Persist(block.MemoryOnly)
	d := engine.Join(large, texts(2)) // only the left fits a table
	n, err := d.Count(t.Context())
	check(t, err, n, 10_000)
	check(t, nil, holds(d), true)
}

// Map outputs that are lost between two actions are made again, and so is the
// table.
func TestSHUF_002_LostSideOfAJoin(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			r := start(t, engine.Config{Conf: conf("shuffle.storage", "disk")})
			rows := make([]numbered, 3000)
			for i := range rows {
				rows[i] = numbered{Key: int64(i), Value: int64(i)}
			}
			d := engine.Join(engine.Parallelize(r.Session, rows, 4), engine.Parallelize(r.Session, rows, 3), engine.Partitions(3))
			n, err := d.Count(t.Context())
			check(t, err, n, 3000)
			damage(t, r)
			engine.DropJoinTables(r.Session)
			n, err = d.Count(t.Context())
			check(t, err, n, 3000)
			if !holds(d) || r.rec.ended(task.FetchFailed) == 0 {
				t.Error("nothing failed to be fetched: the test damaged nothing that is read")
			}
			engine.DropJoinTables(r.Session)
			if files := r.files("shuffle_"); len(files) == 0 {
				t.Fatal(os.ErrNotExist)
			}
		})
	}
}

// Attempts that end while one of them makes the table that the others wait
// for are made up for: another makes it, the answer is right, and nothing of
// what was half made is left.
func TestMakerOfAJoinTableEnds(t *testing.T) {
	running := func(r *rig) (list []id.Task) {
		for _, e := range of[*event.TaskStart](r.rec) {
			list = append(list, e.Info.Task)
		}
		for _, e := range of[*event.TaskEnd](r.rec) {
			list = slices.DeleteFunc(list, func(n id.Task) bool { return n == e.Info.Task })
		}
		return list
	}
	for name, c := range map[string]struct {
		do   func(r *rig) // while a frame is read; nil: it cannot be
		ends task.ReasonKind
	}{
		"all are killed": {func(r *rig) {
			for _, n := range running(r) {
				r.KillTask(n, "fault")
			}
		}, task.TaskKilled},
		"one is killed":  {func(r *rig) { r.KillTask(slices.Min(running(r)), "fault") }, task.TaskKilled},
		"it panics":      {func(r *rig) { panic("planted") }, task.ExceptionFailure},
		"it cannot read": {nil, task.FetchFailed},
	} {
		t.Run(name, func(t *testing.T) {
			for k := 1; k <= 3; k++ {
				before := runtime.NumGoroutine()
				r := &rig{rec: &recorder{}, temp: t.TempDir(), t: t}
				f := fsys.Fault{Ops: fsys.OpRead, Glob: "shuffle_*.data", K: k}
				if c.do != nil {
					f.Do = func(string) { c.do(r) }
				}
				files := fsys.NewFaulty(fsys.OS, f)
				var err error
				r.Session, err = engine.OpenOn(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: r.temp, Events: []event.Sink{r.rec},
					Conf: conf("shuffle.storage", "disk")}, files)
				if err != nil {
					t.Fatal(err)
				}
				rows := make([]numbered, 3000)
				for i := range rows {
					rows[i] = numbered{Key: int64(i), Value: int64(i)}
				}
				d := engine.Join(engine.Parallelize(r.Session, rows, 4), engine.Parallelize(r.Session, rows, 3), engine.Partitions(3))
				got, err := d.Collect(t.Context())
				if err != nil || len(got) != len(rows) || !holds(d) {
					t.Fatalf("place %d: %d matches, held %v, %v", k, len(got), holds(d), err)
				}
				for _, m := range got {
					if m.Value.Left != m.Key || m.Value.Right != m.Key {
						t.Fatalf("place %d: match %+v", k, m)
					}
				}
				if files.Fired() == 0 || r.rec.ended(c.ends) == 0 {
					t.Errorf("place %d: %d faults, %d attempts ended as %v: the test proves nothing", k, files.Fired(), r.rec.ended(c.ends), c.ends)
				}
				if err := engine.Idle(r.Session); err != nil {
					t.Errorf("place %d: %v", k, err)
				}
				if r.held("idle join tables") == 0 {
					t.Errorf("place %d: no table was made", k)
				}
				engine.DropJoinTables(r.Session)
				if n := r.held("join table"); n != 0 {
					t.Errorf("place %d: %d bytes are left: %v", k, n, r.Accounts())
				}
				r.finish()
				if open := files.StillOpen(); len(open) > 0 {
					t.Errorf("place %d: still open: %v", k, open)
				}
				for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
					if time.Now().After(deadline) {
						t.Fatalf("place %d: %d goroutines are left of %d", k, runtime.NumGoroutine(), before)
					}
				}
			}
		})
	}
}
