package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// What happens between executors.

// several is a session of n executors with one worker each.
func several(t *testing.T, n int, pairs ...string) *rig {
	t.Helper()
	return start(t, engine.Config{Cores: n, Executors: n, Conf: conf(pairs...)})
}

// seize keeps the one worker of executor x busy with a job of its own until
// the returned function is called.
func (r *rig) seize(x id.Executor) (free func()) {
	r.t.Helper()
	for range 100 {
		on, gate := make(chan id.Executor), make(chan struct{})
		held := engine.MapBatches(engine.Range(r.Session, 1, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			select {
			case on <- t.Executor:
			case <-gate: // its executor was lost, and it runs again
			case <-t.Context().Done():
			}
			select {
			case <-gate:
			case <-t.Context().Done():
			}
			return append(dst, src...), nil
		})
		end := background(func() error { _, err := held.Count(context.Background()); return err })
		got := <-on
		if got == x {
			return func() {
				r.t.Helper()
				close(gate)
				if err := end(); err != nil {
					r.t.Errorf("the job that held executor %s: %v", x, err)
				}
			}
		}
		close(gate)
		if err := end(); err != nil {
			r.t.Fatal(err)
		}
	}
	r.t.Fatalf("no task was ever offered to executor %s", x)
	return nil
}

// computed makes the numbers [0, n) and counts how often a partition of them is
// computed.
func computed(s *engine.Session, n int64, parts int) (*engine.Dataset[int64], *atomic.Int64) {
	var times atomic.Int64
	return engine.FromFunc(s, "computed", parts, func(_ *engine.Task, part int, emit func([]int64) error) error {
		times.Add(1)
		size := n / int64(parts)
		all := ints(int((int64(part) + 1) * size))[int64(part)*size:]
		for b := range slices.Chunk(all, 1000) {
			if err := emit(b); err != nil {
				return err
			}
		}
		return nil
	}), &times
}

// counts counts a dataset, on whatever goroutine.
func counts(d *engine.Dataset[int64], want int64) error {
	n, err := d.Count(context.Background())
	if err == nil && n != want {
		err = fmt.Errorf("got %d records, want %d", n, want)
	}
	return err
}

func sumOf(pairs []engine.Pair[int64, int64]) (sum int64) {
	for _, p := range pairs {
		sum += p.Value
	}
	return sum
}

// lastStart returns the latest attempt's launch.
func (r *rig) lastStart() event.TaskInfo {
	list := of[*event.TaskStart](r.rec)
	return list[len(list)-1].Info
}

func TestExecutorsAreIntroduced(t *testing.T) {
	r := start(t, engine.Config{Cores: 4, Executors: 2, Hosts: []string{"a", "b"}, Memory: 128 * units.MiB})
	want := []engine.ExecutorInfo{{ID: "0", Host: "a", Slots: 2}, {ID: "1", Host: "b", Slots: 2}}
	if got := r.Executors(); !slices.Equal(got, want) {
		t.Errorf("executors %v, want %v", got, want)
	}
	n, err := engine.Range(r.Session, 100, 20).Count(t.Context())
	check(t, err, n, 100)
	for i, e := range of[*event.ExecutorAdded](r.rec) {
		if e.Executor != want[i].ID || e.Host != want[i].Host || e.Cores != 2 {
			t.Errorf("added %+v, want %v", *e, want[i])
		}
	}
	var stores []id.Executor
	sum := int64(0)
	for _, e := range of[*event.BlockManagerAdded](r.rec) {
		stores = append(stores, e.Executor)
		sum += e.Memory
	}
	// The budget less the reserve, divided.
	if !slices.Equal(stores, []id.Executor{id.Driver, "0", "1"}) || sum != int64(96*units.MiB) {
		t.Errorf("stores of %v with %d bytes", stores, sum)
	}
	hosts := map[id.Executor]string{}
	for _, e := range of[*event.TaskEnd](r.rec) {
		hosts[e.Info.Executor] = e.Info.Host
	}
	if len(hosts) != 2 || hosts["0"] != "a" || hosts["1"] != "b" {
		t.Errorf("tasks ran on %v", hosts)
	}
}

func TestExecutorsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		cfg  engine.Config
		want string
	}{
		{engine.Config{Cores: 3, Executors: 2}, "cannot divide 3 workers among 2 executors"},
		{engine.Config{Cores: 2, Executors: -1}, "with -1 executors"},
		{engine.Config{Cores: 4, Executors: 2, Conf: conf("task.cpus", "3")}, "cannot use task.cpus=3: an executor has 2 worker slots; accepted is a number from 1 to 2"},
		{engine.Config{Cores: 2, Executors: 2, Memory: 64 * units.MiB}, "they need at least 67.0 MiB"},
	} {
		s, err := engine.Open(c.cfg)
		if err == nil {
			s.Close()
		}
		wantError(t, err, c.want)
	}
	r := start(t, engine.Config{})
	wantError(t, r.LoseExecutor(id.Driver, "test"), "it is the only one")
	wantError(t, r.DisconnectExecutor(id.Driver), "it is the only one")
	_, err := r.AddExecutor(t.Context())
	wantError(t, err, "cannot add an executor")
	two := several(t, 2)
	wantError(t, two.LoseExecutor("7", "test"), "there is none of that name")
}

func TestBLK_018_BlockOfAnotherExecutorIsReadNotComputed(t *testing.T) {
	for _, level := range []block.Level{block.MemoryOnly, block.DiskOnly} {
		t.Run(level.String(), func(t *testing.T) {
			r := several(t, 2, "locality.wait", "0s", "rdd.compress", "true")
			d, times := computed(r.Session, 10_000, 1)
			d.Persist(level)
			want, err := d.Collect(t.Context())
			check(t, err, want, ints(10_000))
			owner := holder(t, r, d.Node().ID)

			n, err := d.Count(t.Context()) // nobody is in the way
			check(t, err, n, 10_000)
			if at := r.lastStart(); at.Executor != owner || at.Locality != task.ProcessLocal || r.BlockReads().Remote != 0 {
				t.Errorf("a free owner: on %s, %v, remote %v", at.Executor, at.Locality, r.BlockReads().Remote)
			}

			free := r.seize(owner)
			got, err := d.Collect(t.Context())
			check(t, err, got, want)
			if at := r.lastStart(); at.Executor == owner || at.Locality != task.NodeLocal {
				t.Errorf("a busy owner: on %s (owner %s), %v", at.Executor, owner, at.Locality)
			}
			free()
			check(t, nil, times.Load(), int64(1))
			if got := r.BlockReads().Remote; got != 80_000 {
				t.Errorf("%d bytes were read remotely, want 80000", got)
			}
			if now := engine.Holders(r.Session, block.Node(d.Node().ID, 0)); !slices.Equal(now, []string{string(owner)}) {
				t.Errorf("reading it remotely left it with %v", now)
			}
		})
	}
}

// holder returns the one executor that has partition 0 of a dataset.
func holder(t *testing.T, r *rig, n id.Node) id.Executor {
	t.Helper()
	names := engine.Holders(r.Session, block.Node(n, 0))
	if len(names) != 1 {
		t.Fatalf("%s is with %v, want one executor", block.Node(n, 0), names)
	}
	return id.Executor(names[0])
}

// NOT APPLICABLE: BLK-019 as to refreshing locations after 5 failures, because
// nobody keeps them: each store is asked.
func TestBLK_019_BlockOnTwoExecutors(t *testing.T) {
	r := several(t, 3, "locality.wait", "0s")
	var times, inside atomic.Int64
	both := make(chan struct{})
	d := engine.MapBatches(engine.Range(r.Session, 1000, 1), func(_ *engine.Task, dst, src []int64) ([]int64, error) {
		times.Add(1)
		if inside.Add(1) == 2 {
			close(both)
		}
		<-both
		return append(dst, src...), nil
	}).Cache()
	first := background(func() error { _, err := d.Count(context.Background()); return err })
	_, err := d.Count(t.Context())
	if err := errors.Join(err, first()); err != nil {
		t.Fatal(err)
	}
	b := block.Node(d.Node().ID, 0)
	two := engine.Holders(r.Session, b)
	if len(two) != 2 || times.Load() != 2 {
		t.Fatalf("computed %d times, with %v", times.Load(), two)
	}
	if err := r.LoseExecutor(id.Executor(two[0]), "test"); err != nil {
		t.Fatal(err)
	}
	free := r.seize(id.Executor(two[1])) // the third must read it there
	got, err := d.Collect(t.Context())
	check(t, err, got, ints(1000))
	free()
	if at := r.lastStart().Executor; slices.Contains(two, string(at)) || times.Load() != 2 || r.BlockReads().Remote == 0 {
		t.Errorf("one left: read on %s, computed %d times, %v remotely", at, times.Load(), r.BlockReads().Remote)
	}
	if err := r.LoseExecutor(id.Executor(two[1]), "test"); err != nil {
		t.Fatal(err)
	}
	if engine.HasBlock(r.Session, b) {
		t.Error("the block outlives both its executors")
	}
	got, err = d.Collect(t.Context())
	check(t, err, got, ints(1000))
	check(t, nil, times.Load(), int64(3))
}

// Delay scheduling between real executors: a task whose data is with a busy
// executor waits for it, while the other takes what has no such preference.
func TestTSM_011_TaskWaitsForTheExecutorThatHasItsData(t *testing.T) {
	for _, hosts := range [][]string{nil, {"a", "b"}} {
		r := start(t, engine.Config{Cores: 2, Executors: 2, Hosts: hosts, Conf: conf("locality.wait", "1h")})
		d, times := computed(r.Session, 1000, 1)
		n, err := d.Cache().Count(t.Context())
		check(t, err, n, 1000)
		owner := holder(t, r, d.Node().ID)
		free := r.seize(owner)
		before := len(of[*event.TaskStart](r.rec))
		waits := background(func() error { return counts(d, 1000) })
		n, err = engine.Range(r.Session, 10, 4).Count(t.Context()) // all on the other
		check(t, err, n, 10)
		for _, e := range of[*event.TaskStart](r.rec)[before:] {
			if e.Info.Executor == owner {
				t.Errorf("%v started on the busy executor", e.Info.TaskAttempt)
			}
		}
		free()
		if err := waits(); err != nil {
			t.Fatal(err)
		}
		if at := r.lastStart(); at.Executor != owner || at.Locality != task.ProcessLocal {
			t.Errorf("the task that waited ran on %s, %v", at.Executor, at.Locality)
		}
		check(t, nil, times.Load(), int64(1))
		r.finish()
	}
}

// With no wait a task goes where there is room: to the same host, or anywhere.
func TestSCH_007_LocalityByHostLabel(t *testing.T) {
	for _, c := range []struct {
		hosts []string
		want  task.Locality
	}{{nil, task.NodeLocal}, {[]string{"a", "b"}, task.AnyLocality}} {
		r := start(t, engine.Config{Cores: 2, Executors: 2, Hosts: c.hosts, Conf: conf("locality.wait", "0s")})
		d, _ := computed(r.Session, 1000, 1)
		n, err := d.Cache().Count(t.Context())
		check(t, err, n, 1000)
		free := r.seize(holder(t, r, d.Node().ID))
		n, err = d.Count(t.Context())
		check(t, err, n, 1000)
		check(t, nil, r.lastStart().Locality, c.want)
		free()
		r.finish()
	}
}

// Each reducer reads what its own executor's map tasks wrote and what the
// other's did, and says how much of each.
func TestSHUF_011_MapOutputsOfTwoExecutors(t *testing.T) {
	for _, where := range []string{"memory", "disk"} {
		r := several(t, 2, "shuffle.storage", where, "locality.wait", "0s")
		checkSums(t, r, 20_000, 100)
		var local, remote, blocks, records int64
		for _, e := range of[*event.TaskEnd](r.rec) {
			m := &e.Metrics
			local += m[task.ShuffleLocalBytesRead]
			remote += m[task.ShuffleRemoteBytesRead]
			blocks += m[task.ShuffleLocalBlocksFetched] + m[task.ShuffleRemoteBlocksFetched]
			records += m[task.ShuffleRecordsRead]
		}
		if local == 0 || remote == 0 || blocks != 8*4 || records != 8*100 {
			t.Errorf("%s: %d bytes local, %d remote, %d blocks, %d records", where, local, remote, blocks, records)
		}
		r.finish()
	}
}

// checkSums sums by key over 8 map partitions and 4 reducers.
func checkSums(t *testing.T, r *rig, n, keys int) {
	t.Helper()
	got, err := engine.ReduceByKey(keyed(r.Session, n, keys, 8), add, engine.Partitions(4)).Collect(t.Context())
	wantPairs(t, err, got, wantSums(n, keys))
}

// Losing an executor in the middle of a job: between map and reduce, and
// inside either. The answer is right whatever was lost.
func TestLostExecutorInMidJob(t *testing.T) {
	for _, where := range []string{"map", "reduce"} {
		for _, storage := range []string{"memory", "disk"} {
			t.Run(where+" "+storage, func(t *testing.T) {
				r := several(t, 2, "shuffle.storage", storage, "locality.wait", "0s")
				var once sync.Once
				lose := func(t *engine.Task) error {
					var err error
					if t.Partition == 2 {
						once.Do(func() { err = r.LoseExecutor(t.Executor, "pulled") })
					}
					return err
				}
				in := engine.MapBatches(keyed(r.Session, 20_000, 100, 8), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
					if where == "map" {
						if err := lose(t); err != nil {
							return nil, err
						}
					}
					return append(dst, src...), nil
				})
				sums := engine.MapBatches(engine.ReduceByKey(in, add, engine.Partitions(4)), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
					if where == "reduce" {
						if err := lose(t); err != nil {
							return nil, err
						}
					}
					return append(dst, src...), nil
				})
				got, err := sums.Collect(t.Context())
				wantPairs(t, err, got, wantSums(20_000, 100))
				removed := of[*event.ExecutorRemoved](r.rec)
				if len(removed) != 1 || removed[0].Reason != "pulled" || len(of[*event.BlockManagerRemoved](r.rec)) != 1 {
					t.Fatalf("removed: %v", removed)
				}
				lost := removed[0].Executor
				gone := false
				for _, e := range r.rec.events() {
					switch e := e.(type) {
					case *event.ExecutorRemoved:
						gone = true
					case *event.TaskStart:
						if gone && e.Info.Executor == lost {
							t.Errorf("%v was launched on the lost executor", e.Info.TaskAttempt)
						}
					case *event.BlockUpdated:
						if gone && e.Executor == lost {
							t.Errorf("block %s of the lost executor is told of", e.Block)
						}
					}
				}
				if n := r.rec.ended(task.ExecutorLostFailure); n < 1 {
					t.Errorf("%d attempts were lost", n)
				}
				check(t, nil, len(r.Executors()), 1)
				r.settled(1)
			})
		}
	}
}

// settled waits until only so many executors hold anything, and checks that
// nothing but broadcasts and map outputs is held.
func (r *rig) settled(executors int) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); engine.Groups(r.Session) > executors; {
		if time.Now().After(deadline) {
			r.t.Fatalf("%d executors hold something: %v", engine.Groups(r.Session), r.Accounts())
		}
		engine.Bury(r.Session)
		runtime.Gosched()
	}
}

// A job over map outputs that an executor made and lost computes those anew,
// and no others; workers that knew the former places drop them.
func TestMOT_001_LostOutputsAreComputedAnew(t *testing.T) {
	r := several(t, 2, "locality.wait", "0s")
	var maps atomic.Int64
	ran := map[id.Executor]int64{}
	var mu sync.Mutex
	in := engine.MapBatches(keyed(r.Session, 8, 8, 8), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
		maps.Add(1)
		mu.Lock()
		ran[t.Executor]++
		mu.Unlock()
		return append(dst, src...), nil
	})
	sums := engine.ReduceByKey(in, add, engine.Partitions(4))
	n, err := sums.Count(t.Context())
	check(t, err, n, 8)
	check(t, nil, maps.Load(), int64(8))
	n, err = sums.Count(t.Context()) // the map stage is skipped
	check(t, err, n, 8)
	check(t, nil, maps.Load(), int64(8))
	lost := ran["0"]
	if err := r.LoseExecutor("0", "pulled"); err != nil {
		t.Fatal(err)
	}
	n, err = sums.Count(t.Context())
	check(t, err, n, 8)
	check(t, nil, maps.Load(), 8+lost)
	check(t, nil, r.rec.ended(task.FetchFailed), 0) // the survivors asked anew
}

// A file of one executor, damaged on disk: those of another that find it put
// it down to the disk, and the output is made again.
func TestSHUF_014_DamagedFileOfAnotherExecutor(t *testing.T) {
	r := several(t, 2, "shuffle.storage", "disk", "locality.wait", "0s")
	sums := engine.ReduceByKey(keyed(r.Session, 4000, 400, 4), add, engine.Partitions(4))
	got, err := sums.Collect(t.Context())
	wantPairs(t, err, got, wantSums(4000, 400))
	damages["bits of every output flipped"](t, r)
	got, err = sums.Collect(t.Context())
	wantPairs(t, err, got, wantSums(4000, 400))
	failed := 0
	for _, e := range of[*event.TaskEnd](r.rec) {
		if e.Reason != task.FetchFailed || strings.Contains(e.Failure.Message, "is missing") {
			continue // or it came after the output was dropped
		}
		failed++
		if n := strings.Count(e.Failure.Message, "the file on disk is not what was written"); n != 1 {
			t.Errorf("the failure blames the disk %d times: %s", n, e.Failure.Message)
		}
	}
	if failed == 0 {
		t.Error("nothing failed to be fetched: the test damaged nothing that is read")
	}
}

func TestNoExecutorIsLeft(t *testing.T) {
	r := several(t, 2)
	held := engine.MapBatches(engine.Range(r.Session, 2, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 1 {
			for _, x := range r.Executors() {
				if err := r.LoseExecutor(x.ID, "pulled"); err != nil {
					return nil, err
				}
			}
		}
		<-t.Context().Done()
		return nil, t.Check()
	})
	_, err := held.Count(t.Context())
	if !errors.Is(err, engine.ErrNoExecutor) || !strings.Contains(err.Error(), "pulled") {
		t.Fatalf("got %v", err)
	}
	_, err = engine.Range(r.Session, 2, 2).Count(t.Context())
	if !errors.Is(err, engine.ErrNoExecutor) {
		t.Errorf("a job without executors: %v", err)
	}
	x, err := r.AddExecutor(t.Context())
	check(t, err, x, "2")
	checkSums(t, r, 1000, 10)
	check(t, nil, r.Executors(), []engine.ExecutorInfo{{ID: "2", Host: r.Executors()[0].Host, Slots: 1}})
}

// Executors come and go under a cached dataset that fills most of the memory:
// each gives back all it had, or the next would find none.
func TestExecutorsComeAndGo(t *testing.T) {
	r := several(t, 2, "locality.wait", "0s")
	d := noise(r.Session, 400_000, 8).Cache() // 40 MB of 90
	for i := range 6 {
		n, err := d.Count(t.Context())
		check(t, err, n, 400_000)
		checkSums(t, r, 20_000, 100)
		if err := r.LoseExecutor(r.Executors()[0].ID, "pulled"); err != nil {
			t.Fatal(err)
		}
		x, err := r.AddExecutor(t.Context())
		check(t, err, x, id.Executor(fmt.Sprint(i+2)))
	}
	r.settled(2)
	check(t, nil, len(of[*event.ExecutorAdded](r.rec)), 8)
}

// An attempt that uses what a lost executor had keeps it until it is done.
func TestReaderOutlivesALostExecutor(t *testing.T) {
	for _, level := range []block.Level{block.MemoryOnly, block.DiskOnly} {
		r := several(t, 2, "locality.wait", "0s")
		d, times := computed(r.Session, 200_000, 1) // of many batches
		d.Persist(level)
		n, err := d.Count(t.Context())
		check(t, err, n, 200_000)
		owner := holder(t, r, d.Node().ID)
		free := r.seize(owner)
		var once sync.Once
		sum := int64(0)
		got, err := engine.MapBatches(d, func(t *engine.Task, dst, src []int64) (out []int64, err error) {
			once.Do(func() { err = r.LoseExecutor(owner, "pulled") })
			for _, v := range src {
				sum += v
			}
			return dst, err
		}).Count(t.Context())
		check(t, err, got, 0)
		check(t, nil, sum, int64(200_000*199_999/2))
		check(t, nil, times.Load(), int64(1))
		free()
		r.settled(1)
		if left := r.files("rdd_"); len(left) > 0 || r.held("cached") != 0 {
			t.Errorf("%v: %v are left, and %d bytes", level, left, r.held("cached"))
		}
		r.finish()
	}
}

// An attempt that ignores its kill keeps what its lost executor held: there is
// no memory for another one until it has ended.
func TestLostExecutorWhoseAttemptStays(t *testing.T) {
	r := several(t, 2)
	inside, gate := make(chan id.Executor, 2), make(chan struct{})
	held := engine.FromFunc(r.Session, "stays", 1, func(t *engine.Task, _ int, emit func([]int64) error) error {
		inside <- t.Executor
		if t.Number == 0 {
			<-gate
		}
		return emit([]int64{1})
	})
	end := background(func() error { return counts(held, 1) })
	if err := r.LoseExecutor(<-inside, "pulled"); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil { // on the other
		t.Error(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := r.AddExecutor(ctx); !errors.Is(err, enough) || !errors.Is(err, engine.ErrNoMemory) {
		t.Errorf("an executor beside one that holds on: %v", err)
	}
	check(t, nil, engine.Groups(r.Session), 2)
	close(gate)
	x, err := r.AddExecutor(t.Context())
	check(t, err, x, "2")
	r.settled(2)
	checkSums(t, r, 1000, 10)
}

// An executor that falls silent gets nothing more, and what it had is tried
// elsewhere only when it is known why it went.
func TestSCH_003_SilentExecutor(t *testing.T) {
	r := several(t, 2)
	inside := make(chan id.Executor, 2)
	held := engine.MapBatches(engine.Range(r.Session, 1, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		inside <- t.Executor
		if t.Number == 0 {
			<-t.Context().Done()
			return nil, t.Check()
		}
		return append(dst, src...), nil
	})
	end := background(func() error { return counts(held, 1) })
	silent := <-inside
	if err := r.DisconnectExecutor(silent); err != nil {
		t.Fatal(err)
	}
	n, err := engine.Range(r.Session, 10, 6).Count(t.Context())
	check(t, err, n, 10)
	for _, e := range of[*event.TaskStart](r.rec)[1:] {
		if e.Info.Executor == silent || e.Info.Stage == 0 {
			t.Errorf("%v started on %s", e.Info.TaskAttempt, e.Info.Executor)
		}
	}
	if err := r.LoseExecutor(silent, "it answers no more"); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if other := <-inside; other == silent {
		t.Errorf("the task was tried again on %s", other)
	}
	check(t, nil, r.rec.ended(task.ExecutorLostFailure), 1)
}

// The loss of an executor is nobody's fault: with one failure allowed the job
// goes on.
func TestTSM_004_LossIsNotCounted(t *testing.T) {
	r := several(t, 3, "task.maxFailures", "1")
	var losses atomic.Int64
	got, err := engine.MapBatches(engine.Range(r.Session, 6, 3), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 1 && losses.Add(1) <= 2 {
			if err := r.LoseExecutor(t.Executor, "pulled"); err != nil {
				return nil, err
			}
		}
		return append(dst, src...), nil
	}).Collect(t.Context())
	check(t, err, got, ints(6))
	check(t, nil, len(r.Executors()), 1)
}

// A stored result that went with its executor before it was fetched counts as
// lost, and its task is run again.
func TestTSM_010_StoredResultGoesWithItsExecutor(t *testing.T) {
	for range 50 { // a result may be fetched before anybody has heard that it will be
		if storedResultLost(t) || t.Failed() {
			return
		}
	}
	t.Error("no result was lost")
}

func storedResultLost(t *testing.T) bool {
	var r *rig
	var once sync.Once
	lost := make(chan error, 1)
	r = start(t, engine.Config{Cores: 2, Executors: 2, Conf: conf("task.maxDirectResultSize", "1k", "task.maxFailures", "1000000")}, func(e event.Event) {
		if g, ok := e.(*event.TaskGettingResult); ok {
			once.Do(func() {
				engine.Hide(r.Session, g.Info.Executor)
				go func() { lost <- r.LoseExecutor(g.Info.Executor, "pulled") }()
			})
		}
	})
	got, err := engine.Range(r.Session, 20_000, 2).Collect(t.Context())
	check(t, err, got, ints(20_000))
	if err := <-lost; err != nil {
		t.Error(err)
	}
	return r.rec.ended(task.TaskResultLost) > 0
}

// Jobs on several goroutines while executors are lost and added: every answer
// is right.
func TestExecutorsUnderFire(t *testing.T) {
	r := start(t, engine.Config{Cores: 4, Executors: 4, Memory: 160 * units.MiB, Conf: conf("locality.wait", "0s", "stage.maxConsecutiveAttempts", "100")})
	d, _ := computed(r.Session, 4000, 4)
	d.Cache()
	stop := make(chan struct{})
	losing := background(func() error {
		for {
			select {
			case <-stop:
				return nil
			default:
			}
			if err := r.LoseExecutor(r.Executors()[0].ID, "pulled"); err != nil {
				return err
			}
			if _, err := r.AddExecutor(context.Background()); err != nil {
				return err
			}
		}
	})
	rounds := 10
	if testing.Short() || raceEnabled {
		rounds = 3
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range rounds {
				got, err := engine.ReduceByKey(keyed(r.Session, 2000, 50, 8), add, engine.Partitions(4)).Collect(context.Background())
				if sum := sumOf(got); err != nil || len(got) != 50 || sum != 2000*1999/2 {
					t.Errorf("%d sums by key, of %d in all, %v", len(got), sum, err)
				}
				if err := counts(d, 4000); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	if err := losing(); err != nil {
		t.Error(err)
	}
	r.settled(4)
}

// The event log of a run that lost an executor tells of it as Spark's does:
// every attempt ran on an executor that was there, on its host.
func TestEventLogOfSeveralExecutors(t *testing.T) {
	dir := t.TempDir()
	l, err := event.NewSparkLog(dir, event.SparkOptions{BlockUpdates: true})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, engine.Config{Cores: 2, Executors: 2, Hosts: []string{"a", "b"}, Events: []event.Sink{l}})
	d, _ := computed(r.Session, 4000, 8)
	if err := counts(d.Cache(), 4000); err != nil {
		t.Fatal(err)
	}
	checkSums(t, r, 2000, 50)
	if err := r.LoseExecutor("0", "pulled"); err != nil {
		t.Fatal(err)
	}
	x, err := r.AddExecutor(t.Context())
	check(t, err, x, "2")
	checkSums(t, r, 2000, 50)
	r.finish()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	type manager struct {
		ID   string `json:"Executor ID"`
		Host string
	}
	type line struct {
		Event    string
		Executor string  `json:"Executor ID"`
		Reason   string  `json:"Removed Reason"`
		Manager  manager `json:"Block Manager ID"`
		Info     struct {
			Host  string
			Cores int `json:"Total Cores"`
		} `json:"Executor Info"`
		Task       manager           `json:"Task Info"`
		Properties map[string]string `json:"Spark Properties"`
		Block      struct {
			Manager manager `json:"Block Manager ID"`
		} `json:"Block Updated Info"`
	}
	there, stores := map[string]string{}, map[string]string{}
	var story []string
	for text := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		var e line
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		switch e.Event {
		case "SparkListenerExecutorAdded":
			there[e.Executor] = e.Info.Host
			story = append(story, fmt.Sprintf("+%s@%s/%d", e.Executor, e.Info.Host, e.Info.Cores))
		case "SparkListenerExecutorRemoved":
			delete(there, e.Executor)
			story = append(story, "-"+e.Executor+" "+e.Reason)
		case "SparkListenerBlockManagerAdded":
			stores[e.Manager.ID] = e.Manager.Host
		case "SparkListenerBlockManagerRemoved":
			if stores[e.Manager.ID] != e.Manager.Host {
				t.Errorf("removed block manager %v", e.Manager)
			}
			delete(stores, e.Manager.ID)
		case "SparkListenerTaskStart":
			if e.Task.Host == "" || there[e.Task.ID] != e.Task.Host {
				t.Errorf("an attempt ran on executor %s of host %s: there are %v", e.Task.ID, e.Task.Host, there)
			}
		case "SparkListenerBlockUpdated":
			if m := e.Block.Manager; m.Host == "" || stores[m.ID] != m.Host {
				t.Errorf("a block is with %v: there are %v", m, stores)
			}
		case "SparkListenerEnvironmentUpdate":
			check(t, nil, e.Properties["spark.master"], "local-cluster[2,1,64]")
		}
	}
	check(t, nil, story, []string{"+0@a/1", "+1@b/1", "-0 pulled", "+2@a/1"})
	delete(stores, string(id.Driver))
	check(t, nil, stores, map[string]string{"1": "b", "2": "a"})
}

// What an attempt was told on one of several executors runs elsewhere, where
// there is one.
func TestDetachedFromSeveralExecutors(t *testing.T) {
	rec := new(engine.Recording)
	set := conf("shuffle.storage", "disk", "task.maxDirectResultSize", "1k")
	s := open(t, engine.Config{Cores: 2, Executors: 2, Conf: set, Record: rec})
	built := build[*wordsBuilt](t, s, "test/words", "5000")
	if _, err := built.sorted.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ran := map[id.Executor]int{}
	for _, a := range attempts(t, rec) {
		desc := describe(t, a.Detached)
		if desc.Kind != task.ResultTask {
			continue
		}
		ran[desc.Executor]++
		status, err := engine.RunDetached(t.Context(), engine.Config{Cores: 2, Executors: 2, Memory: 64 * units.MiB, Conf: set, Temp: t.TempDir()}, a.Detached)
		if err != nil {
			t.Fatal(err)
		}
		var here, there task.Result
		if err := errors.Join(task.DecodeResult(a.Status.Result, &here), task.DecodeResult(status.Result, &there)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(here.Value, there.Value) {
			t.Errorf("%v: %d bytes here, other %d there", desc.TaskAttempt, len(here.Value), len(there.Value))
		}
	}
	if len(ran) != 2 {
		t.Errorf("result tasks ran on %v", ran)
	}
}

// All tasks of a barrier stage run together, over all executors.
func TestBarrierOverExecutors(t *testing.T) {
	r := start(t, engine.Config{Cores: 4, Executors: 2, Hosts: []string{"a", "b"}})
	var mu sync.Mutex
	ran := map[id.Executor]int{}
	got, err := engine.MapBatches(engine.Barrier(engine.Range(r.Session, 4, 4)), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		mu.Lock()
		ran[t.Executor]++
		mu.Unlock()
		messages, err := t.AllGather(string(t.Executor))
		if len(messages) != 4 {
			return nil, fmt.Errorf("gathered %v, %w", messages, err)
		}
		return append(dst, src...), err
	}).Collect(t.Context())
	check(t, err, got, ints(4))
	check(t, nil, ran, map[id.Executor]int{"0": 2, "1": 2})
}

// pulling loses an executor in the middle of a map stage: that where the first
// of its tasks was done, while the one of partition 0 is done nowhere. No other
// is sure to have done one: elsewhere attempts may be slow, and lose to copies.
type pulling struct {
	executor   id.Executor // set before done is closed
	armed      atomic.Bool
	once, pull sync.Once
	done, lost chan struct{}
	err        error
}

func newPulling() *pulling {
	return &pulling{done: make(chan struct{}), lost: make(chan struct{})}
}

// hook is start's: it sees the map tasks that are done.
func (p *pulling) hook(e event.Event) {
	if end, ok := e.(*event.TaskEnd); ok && p.armed.Load() && end.Kind == task.ShuffleMapTask && end.Reason == task.Success {
		p.once.Do(func() {
			p.executor = end.Info.Executor
			close(p.done)
		})
	}
}

// over returns the dataset whose map stage is disturbed: 0 to 799 in 8
// partitions, by their last digit.
func (p *pulling) over(r *rig) *engine.Dataset[engine.Pair[int64, int64]] {
	p.armed.Store(true)
	return engine.MapBatches(keyed(r.Session, 800, 10, 8), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
		if t.Partition != 0 {
			return append(dst, src...), nil
		}
		select {
		case <-p.done:
		case <-t.Context().Done():
			return nil, context.Cause(t.Context())
		}
		p.pull.Do(func() {
			p.err = r.LoseExecutor(p.executor, "pulled")
			close(p.lost)
		})
		<-p.lost
		return append(dst, src...), p.err
	})
}

// Map tasks that were done where an executor is lost end a second time, as
// resubmitted, and run again in their stage attempt, each once; the answer is
// right, and what they had done is counted once.
func TestTSM_007_DoneMapTasksOfALostExecutor(t *testing.T) {
	for _, where := range []string{"memory", "disk"} {
		p := newPulling()
		r := start(t, engine.Config{Cores: 4, Executors: 2, Conf: conf("shuffle.storage", where)}, p.hook)
		got, err := engine.ReduceByKey(p.over(r), add, engine.Partitions(3)).Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sums := map[int64]int64{}
		for _, p := range got {
			sums[p.Key] = p.Value
		}
		check(t, nil, sums, wantSums(800, 10))
		r.finish()

		again, ends := map[int32]int{}, map[int32]int{}
		for _, e := range of[*event.TaskEnd](r.rec) {
			switch {
			case e.Info.StageAttempt != id.StageAttempt{}:
			case e.Reason == task.Resubmitted:
				if again[e.Info.Index]++; e.Info.Executor != p.executor || e.Info.Failed || e.Info.Killed {
					t.Errorf("%s: resubmitted %+v", where, e.Info)
				}
			case e.Reason == task.Success:
				ends[e.Info.Index]++
			}
		}
		for index := range int32(8) {
			if again[index] > 1 || ends[index] != 1+again[index] {
				t.Errorf("%s: map task %d succeeded %d times and was resubmitted %d times", where, index, ends[index], again[index])
			}
		}
		if len(again) == 0 || len(ends) != 8 {
			t.Errorf("%s: %d map tasks resubmitted, %d done", where, len(again), len(ends))
		}
	}
}
