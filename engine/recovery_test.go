package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/task"
)

// failing passes the integers [0, parts) through, one a partition; the first
// `times` attempts of partition 1 end with what fail does.
func failing(s *engine.Session, parts, times int, fail func(t *engine.Task) error) *engine.Dataset[int64] {
	return engine.MapBatches(engine.Range(s, int64(parts), parts), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 1 && int(t.Number) < times {
			if err := fail(t); err != nil {
				return nil, err
			}
		}
		return append(dst, src...), nil
	})
}

func TestTSM_001_RetriesUpToMaxFailures(t *testing.T) {
	boom := func(t *engine.Task) error { return fmt.Errorf("boom %d", t.Number) }
	for _, c := range []struct {
		name  string
		conf  map[string]string
		cores int
		limit int
	}{
		{"default", nil, 2, 4},
		{"key", conf("task.maxFailures", "3"), 2, 3},
		{"key with prefix", conf("spark.task.maxFailures", "1"), 2, 1},
		{"local", conf("master", "local"), 0, 1},
		{"local[2]", conf("master", "local[2]"), 0, 1},
		{"local[2,3]", conf("master", "local[2,3]"), 0, 3},
		{"master before key", conf("master", "local[2]", "task.maxFailures", "4"), 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, engine.Config{Conf: c.conf, Cores: c.cores})
			got, err := failing(r.Session, 3, c.limit-1, boom).Collect(t.Context())
			check(t, err, got, []int64{0, 1, 2})
			check(t, nil, r.rec.ended(task.ExceptionFailure), c.limit-1)

			_, err = failing(r.Session, 3, c.limit, boom).Collect(t.Context())
			wantError(t, err, fmt.Sprintf("boom %d", c.limit-1))
			var te *engine.TaskError
			if !errors.As(err, &te) {
				t.Fatalf("no TaskError: %v", err)
			}
			check(t, nil, []any{te.Partition, te.Failures, te.Number, te.Index}, []any{1, c.limit, c.limit - 1, 1})
			n, err := engine.Range(r.Session, 10, 2).Count(t.Context()) // the session goes on
			check(t, err, n, 10)
		})
	}
}

// What is told of a task that failed for several reasons is the last one's
// whole chain.
func TestEXE_013_TheLastCauseIsTold(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
	_, err := failing(r.Session, 3, 2, func(t *engine.Task) error {
		return fmt.Errorf("outer %d: %w", t.Number, fmt.Errorf("inner %d", t.Number))
	}).Collect(t.Context())
	wantError(t, err, "outer 1: inner 1")
	if strings.Contains(err.Error(), "inner 0") {
		t.Errorf("the error tells of the first attempt: %v", err)
	}
	var te *engine.TaskError
	if !errors.As(err, &te) || te.Number != 1 {
		t.Errorf("it is not the second attempt's: %v", err)
	}
}

func TestTSM_001_FailuresOfDifferentTasksDoNotAddUp(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
	d := engine.MapBatches(engine.Range(r.Session, 8, 8), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Number == 0 {
			return nil, errors.New("first time")
		}
		return append(dst, src...), nil
	})
	got, err := d.Collect(t.Context())
	check(t, err, got, ints(8))
	check(t, nil, r.rec.ended(task.ExceptionFailure), 8)
}

func TestEXE_004_AttemptNumbers(t *testing.T) {
	r := start(t, engine.Config{})
	var mu sync.Mutex
	var numbers []int32
	tids := map[id.Task]bool{}
	d := failing(r.Session, 3, 3, func(t *engine.Task) error {
		mu.Lock()
		defer mu.Unlock()
		numbers = append(numbers, t.Number)
		tids[t.Task] = true
		return errors.New("again")
	})
	got, err := d.Collect(t.Context())
	check(t, err, got, ints(3))
	check(t, nil, numbers, []int32{0, 1, 2})
	check(t, nil, len(tids), 3)
	check(t, nil, r.rec.numbers(of[*event.TaskStart](r.rec)[0].Info.StageAttempt, 1), []int32{0, 1, 2, 3})
}

func TestEXE_012_OneRetryRunsOneMoreAttempt(t *testing.T) {
	once := func(t *engine.Task) error { return errors.New("once") }
	square := func(v int64) int64 { return (v + 1) * (v + 1) }
	t.Run("result stage", func(t *testing.T) {
		r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
		got, err := engine.Map(failing(r.Session, 3, 1, once), square).Collect(t.Context())
		check(t, err, got, []int64{1, 4, 9})
		check(t, nil, len(of[*event.TaskStart](r.rec)), 4)
	})
	t.Run("reduce stage", func(t *testing.T) {
		r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
		d := engine.Repartition(engine.Map(engine.Range(r.Session, 3, 3), square), 3)
		d = engine.MapBatches(d, func(t *engine.Task, dst, src []int64) ([]int64, error) {
			if t.Partition == 0 && t.Number == 0 {
				return nil, errors.New("once")
			}
			return append(dst, src...), nil
		})
		got, err := d.Collect(t.Context())
		slices.Sort(got)
		check(t, err, got, []int64{1, 4, 9})
		check(t, nil, len(of[*event.TaskStart](r.rec)), 7)
	})
	t.Run("map stage", func(t *testing.T) {
		r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
		got, err := engine.Repartition(engine.Map(failing(r.Session, 3, 1, once), square), 2).Collect(t.Context())
		slices.Sort(got)
		check(t, err, got, []int64{1, 4, 9})
		check(t, nil, len(of[*event.TaskStart](r.rec)), 4+2)
	})
	t.Run("map stage alone", func(t *testing.T) {
		r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
		key := func(v int64) numbered { return numbered{Key: v, Value: square(v)} }
		side := engine.Map(failing(r.Session, 3, 1, once), key)
		got, err := engine.Join(engine.Map(engine.Range(r.Session, 3, 3), key), side, engine.Partitions(2)).Collect(t.Context())
		check(t, err, matchesOf(got), []string{"0 1 1", "1 4 4", "2 9 9"})
		// The join's first job writes the side, to learn how large it is.
		job, end := of[*event.JobStart](r.rec)[0], of[*event.JobEnd](r.rec)[0]
		if len(job.Stages) != 1 || job.Stages[0].Kind != task.ShuffleMapTask || end.Job != job.Job || end.Error != "" {
			t.Fatalf("no job of a map stage alone that succeeds: %+v, %+v", job, end)
		}
		attempts := of[*event.TaskStart](r.rec)
		attempts = slices.DeleteFunc(attempts, func(e *event.TaskStart) bool { return e.Info.Stage != job.Stages[0].Stage })
		check(t, nil, len(attempts), 4)
		check(t, nil, r.rec.numbers(job.Stages[0].StageAttempt, 1), []int32{0, 1})
	})
}

func TestEXE_014_AFailingMapStageFailsEveryTime(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
	d := engine.Repartition(failing(r.Session, 3, 1000, func(*engine.Task) error { return errors.New("always") }), 2)
	for run := range 2 {
		_, err := d.Count(t.Context())
		wantError(t, err, "always")
		check(t, nil, r.rec.ended(task.ExceptionFailure), 2*(run+1)) // it was tried, not remembered
	}
}

var nowhere map[int]int // writing to it panics

func TestPanicsAndLostGoroutinesAreRetried(t *testing.T) {
	for name, fail := range map[string]func(*engine.Task) error{
		"panic":                func(*engine.Task) error { panic("ouch") },
		"nil map":              func(*engine.Task) error { nowhere[1] = 1; return nil },
		"panic with nil error": func(*engine.Task) error { panic(error(nil)) },
		"goexit":               func(*engine.Task) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, engine.Config{})
			got, err := failing(r.Session, 4, 3, fail).Collect(t.Context())
			check(t, err, got, ints(4))
			check(t, nil, r.rec.ended(task.ExceptionFailure), 3)
			_, err = failing(r.Session, 4, 4, fail).Collect(t.Context())
			if err == nil {
				t.Fatal("four failures did not end the job")
			}
			var pe *engine.PanicError
			if isPanic := name != "goexit"; errors.As(err, &pe) != isPanic {
				t.Errorf("a PanicError: %v, want %v: %v", !isPanic, isPanic, err)
			}
			if pe != nil && !strings.Contains(pe.Stack, "recovery_test.go") {
				t.Errorf("the stack does not lead to the panic: %s", pe.Stack)
			}
			n, err := engine.Range(r.Session, 1000, 50).Count(t.Context()) // all slots still serve
			check(t, err, n, 1000)
		})
	}
}

func TestPanicInMapSideAndCombiner(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
	var calls atomic.Int64
	sums := engine.ReduceByKey(keyed(r.Session, 5000, 7, 4), func(a, b int64) int64 {
		if calls.Add(1) == 100 {
			panic("in the combiner")
		}
		return a + b
	}, engine.Partitions(3))
	got, err := sums.Collect(t.Context())
	wantPairs(t, err, got, wantSums(5000, 7))
	check(t, nil, r.rec.ended(task.ExceptionFailure), 1)
}

// TestDAG_020: the user's handler fails on the driver.
func TestDAG_020_HandlerFails(t *testing.T) {
	r := start(t, engine.Config{})
	mine := errors.New("mine")
	run := func(handle func(int, int64) error) error {
		return engine.RunJob(t.Context(), engine.Range(r.Session, 100, 20), nil,
			func(t *engine.Task, next func(func([]int64) error) error) (n int64, err error) {
				err = next(func(b []int64) error { n += int64(len(b)); return nil })
				return n, err
			}, handle)
	}
	if err := run(func(i int, _ int64) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	err := run(func(i int, _ int64) error { panic("handler") })
	wantError(t, err, "handler")
	var total int64
	check(t, run(func(_ int, n int64) error { total += n; return nil }), 0, 0)
	check(t, nil, total, 100)
}

// damage is one way to lose a map output that lies in files.
var damages = map[string]func(t *testing.T, r *rig){
	"all files deleted": func(t *testing.T, r *rig) {
		for _, f := range r.shuffleFiles(t, "shuffle_") {
			remove(t, f)
		}
	},
	"one data file deleted": func(t *testing.T, r *rig) { remove(t, r.shuffleFiles(t, ".data")[0]) },
	"one index deleted":     func(t *testing.T, r *rig) { remove(t, r.shuffleFiles(t, ".index")[0]) },
	"data truncated": func(t *testing.T, r *rig) {
		f := r.shuffleFiles(t, ".data")[0]
		info, err := os.Stat(f)
		if err == nil {
			err = os.Truncate(f, info.Size()/2)
		}
		if err != nil {
			t.Error(err)
		}
	},
	"data emptied": func(t *testing.T, r *rig) {
		if err := os.Truncate(r.shuffleFiles(t, ".data")[0], 0); err != nil {
			t.Error(err)
		}
	},
	"index truncated": func(t *testing.T, r *rig) {
		if err := os.Truncate(r.shuffleFiles(t, ".index")[0], 9); err != nil {
			t.Error(err)
		}
	},
	"a bit of the data flipped":  func(t *testing.T, r *rig) { flip(t, r.shuffleFiles(t, ".data")[0]) },
	"a bit of the index flipped": func(t *testing.T, r *rig) { flip(t, r.shuffleFiles(t, ".index")[0]) },
	"bits of every output flipped": func(t *testing.T, r *rig) {
		for _, f := range r.shuffleFiles(t, ".data") {
			flip(t, f)
		}
	},
}

func (r *rig) shuffleFiles(t *testing.T, part string) []string {
	t.Helper()
	files := r.files(part)
	if len(files) == 0 {
		t.Fatalf("no file %q in the session's folder", part)
	}
	slices.Sort(files)
	return files
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
}

// flip turns one bit in the middle of a file around.
func flip(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	var b [1]byte
	if err == nil {
		_, err = f.ReadAt(b[:], info.Size()/2)
	}
	if b[0] ^= 4; err == nil {
		_, err = f.WriteAt(b[:], info.Size()/2)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestSHUF_002 loses map outputs between two jobs over one shuffle.
func TestSHUF_002_LostMapOutputsAreMadeAgain(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			r := start(t, engine.Config{Conf: conf("shuffle.storage", "disk")})
			sums := engine.ReduceByKey(keyed(r.Session, 20000, 500, 4), add, engine.Partitions(3))
			got, err := sums.Collect(t.Context())
			wantPairs(t, err, got, wantSums(20000, 500))
			damage(t, r)
			got, err = sums.Collect(t.Context())
			wantPairs(t, err, got, wantSums(20000, 500))
			if r.rec.ended(task.FetchFailed) == 0 {
				t.Error("nothing failed to be fetched: the test damaged nothing that is read")
			}
			again := 0
			for _, e := range of[*event.StageSubmitted](r.rec) {
				if e.Stage.Kind == task.ShuffleMapTask && e.Stage.Attempt > 0 {
					again++
				}
			}
			if again == 0 {
				t.Error("no map stage was attempted again")
			}
		})
	}
}

// The same, between the two stages of one job: the listener damages the files
// when the map stage is complete, before the result stage is submitted.
func TestSHUF_002_LostBetweenStages(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			var r *rig
			var once sync.Once
			r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk")}, func(e event.Event) {
				if c, ok := e.(*event.StageCompleted); ok && c.Stage.Kind == task.ShuffleMapTask {
					once.Do(func() { damage(t, r) })
				}
			})
			d := engine.SortBy(engine.Map(engine.Range(r.Session, 20000, 4), func(v int64) int64 { return v * 7919 % 20011 }),
				func(v int64) int64 { return v }, engine.Partitions(3))
			got, err := d.Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			check(t, nil, len(got), 20000)
			if !slices.IsSorted(got) {
				t.Error("not sorted")
			}
			if r.rec.ended(task.FetchFailed) == 0 {
				t.Error("nothing failed to be fetched")
			}
		})
	}
}

// A map task that runs again and writes other rows is found out, and with the
// key for it everything that read them is run again.
func TestDAG_032_MapTaskThatWritesOtherRows(t *testing.T) {
	for _, retry := range []string{"false", "true"} {
		var log bytes.Buffer
		r := start(t, engine.Config{Cores: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)), Conf: conf("shuffle.storage", "disk",
			"shuffle.orderIndependentChecksum.enabled", "true", "shuffle.orderIndependentChecksum.enableFullRetryOnMismatch", retry)})
		var runs atomic.Int64
		d := engine.MapBatches(engine.Range(r.Session, 10, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			if runs.Add(1) > 1 {
				src[0] += 1000
			}
			return append(dst, src...), nil
		})
		first := engine.PartitionBy(d, 2, func(v int64) int { return int(v % 2) })
		n, err := first.Count(t.Context())
		check(t, err, n, 10)
		remove(t, r.shuffleFiles(t, ".data")[0])
		n, err = first.Count(t.Context())
		check(t, err, n, 10)
		if got := strings.Count(log.String(), "wrote other rows"); got != 1 || runs.Load() != 2 {
			t.Errorf("retry %s: told %d times after %d runs", retry, got, runs.Load())
		}
	}
}

// Fetch failures raise the number of the stage attempt, not of the task attempt.
func TestEXE_004_FetchFailuresRaiseTheStageAttempt(t *testing.T) {
	var r *rig
	left := 2
	r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk")}, func(e event.Event) {
		if c, ok := e.(*event.StageCompleted); ok && c.Stage.Kind == task.ShuffleMapTask && left > 0 {
			left--
			for _, f := range r.files(".data") {
				os.Remove(f)
			}
		}
	})
	d := engine.Repartition(engine.Range(r.Session, 1000, 2), 1)
	type seen struct{ Stage, Task int32 }
	var got seen
	err := engine.RunJob(t.Context(), d, nil, func(t *engine.Task, next func(func([]int64) error) error) (seen, error) {
		err := next(func([]int64) error { return nil })
		return seen{t.StageAttempt.Attempt, t.Number}, err
	}, func(_ int, s seen) error { got = s; return nil })
	check(t, err, got, seen{2, 0})
	if s := r.rec.ended(task.ExceptionFailure); s != 0 {
		t.Errorf("%d exceptions: fetch failures are none", s)
	}
}

// TestDAG_031 fetch-fails for ever: the job is aborted, and so is a second.
func TestDAG_031_AlwaysFetchFailing(t *testing.T) {
	var r *rig
	r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk", "stage.maxConsecutiveAttempts", "2")}, func(e event.Event) {
		if c, ok := e.(*event.StageCompleted); ok && c.Stage.Kind == task.ShuffleMapTask {
			for _, f := range r.files("shuffle_") {
				os.Remove(f)
			}
		}
	})
	d := engine.Repartition(engine.Range(r.Session, 1000, 3), 3)
	for range 2 {
		_, err := d.Count(t.Context())
		wantError(t, err, "2 attempts", "spark.stage.maxConsecutiveAttempts")
	}
	n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
}

// User code may swallow or wrap what the input's fetching returned: the
// attempt fails with the fetch failure all the same (EXE-001).
func TestEXE_001_WrappedFetchFailure(t *testing.T) {
	var r *rig
	var once sync.Once
	r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk", "task.maxFailures", "1")}, func(e event.Event) {
		if c, ok := e.(*event.StageCompleted); ok && c.Stage.Kind == task.ShuffleMapTask {
			once.Do(func() {
				for _, f := range r.files(".data") {
					os.Remove(f)
				}
			})
		}
	})
	var total int64
	err := engine.RunJob(t.Context(), engine.Repartition(engine.Range(r.Session, 1000, 3), 2), nil,
		func(t *engine.Task, next func(func([]int64) error) error) (n int64, err error) {
			if err := next(func(b []int64) error { n += int64(len(b)); return nil }); err != nil {
				return 0, errors.New("something of my own")
			}
			return n, nil
		}, func(_ int, n int64) error { total += n; return nil })
	check(t, err, total, 1000)
	if n := r.rec.ended(task.FetchFailed); n == 0 {
		t.Error("no fetch failure was reported")
	}
}

// TestRES_002 removes a stored result before it is fetched.
func TestRES_002_LostStoredResult(t *testing.T) {
	var r *rig
	var once sync.Once
	r = start(t, engine.Config{Conf: conf("task.maxDirectResultSize", "1KiB", "task.maxFailures", "2")}, func(e event.Event) {
		// The event comes from the attempt that stores it, before its status.
		if b, ok := e.(*event.BlockUpdated); ok && strings.HasPrefix(b.Block, "taskresult_") && b.Level != block.LevelNone {
			once.Do(func() { engine.RemoveBlock(r.Session, block.ID(b.Block)) })
		}
	})
	rows, err := blob(r.Session, 1, 100_000).Collect(t.Context())
	check(t, err, len(rows), 1)
	check(t, nil, len(of[*event.TaskStart](r.rec)), 2)
	check(t, nil, r.rec.ended(task.TaskResultLost), 1)
}

func TestRES_001_StoredResultsAreRemoved(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxDirectResultSize", "1KiB")})
	rows, err := blob(r.Session, 5, 100_000).Collect(t.Context())
	check(t, err, len(rows), 5)
	check(t, nil, len(of[*event.TaskGettingResult](r.rec)), 5)
	check(t, nil, r.held("stored results"), 0)
	rows, err = blob(r.Session, 5, 100).Collect(t.Context())
	check(t, err, len(rows), 5)
	check(t, nil, len(of[*event.TaskGettingResult](r.rec)), 5)
}

// The description of a failure is damaged on its way: its task failed for an
// unknown reason, and the job ends.
func TestRES_005_UnreadableFailure(t *testing.T) {
	r := several(t, 2)
	engine.Between(r.Session, func(s *task.Status) {
		if s.State == task.Failed {
			s.Result = []byte("no failure at all")
		}
	})
	for _, x := range []id.Executor{"0", "1"} { // others, whose reports pass there, take their place
		check(t, r.LoseExecutor(x, "test"), 0, 0)
		if _, err := r.AddExecutor(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := failing(r.Session, 2, 4, func(*engine.Task) error { return errors.New("of which nobody hears") }).Count(t.Context())
	te, ok := errors.AsType[*scheduler.TaskError](err)
	if !ok || te.Failure.Kind != task.UnknownReason || te.Failures != 4 {
		t.Errorf("got %v", err)
	}
	n, err := engine.Range(r.Session, 10, 3).Count(t.Context())
	check(t, err, n, 10)
}

// How often a stage may be attempted in all is the configuration's to say: the
// second shuffle's would be a third time, after its output was lost and its
// input too.
func TestDAG_010_LimitOfTheConfiguration(t *testing.T) {
	for limit, aborts := range map[string]bool{"2": true, "3": false} {
		var r *rig
		var once sync.Once
		r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk", "stage.maxConsecutiveAttempts", "2", "stage.maxAttempts", limit)}, func(e event.Event) {
			if c, ok := e.(*event.StageCompleted); ok && c.Stage.Kind == task.ShuffleMapTask && len(c.Stage.Parents) > 0 {
				once.Do(func() {
					for _, f := range r.files("shuffle_") {
						os.Remove(f)
					}
				})
			}
		})
		n, err := engine.Repartition(engine.Repartition(engine.Range(r.Session, 100, 1), 1), 1).Count(t.Context())
		if aborts {
			wantError(t, err, "attempted 2 times", "spark.stage.maxAttempts")
		} else {
			check(t, err, n, 100)
		}
	}
}

func TestRES_004_EmptyResultsDoNotCount(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("driver.maxResultSize", "16KiB")})
	n := 10_000
	if testing.Short() {
		n = 2_000
	}
	err := engine.Range(r.Session, 0, n).Foreach(t.Context(), func(*engine.Task, []int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, r.rec.ended(task.Success), n)
}

// A failing job leaves what other jobs need: run one good and one bad job at
// once over one shuffle.
func TestFailingJobLeavesTheOther(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "1")})
	sums := engine.ReduceByKey(keyed(r.Session, 20000, 50, 8), add, engine.Partitions(4))
	bad := engine.MapBatches(sums, func(*engine.Task, []int64, []engine.Pair[int64, int64]) ([]int64, error) {
		return nil, errors.New("bad job")
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			if _, err := bad.Count(context.Background()); err == nil || !strings.Contains(err.Error(), "bad job") {
				t.Errorf("got %v", err)
			}
		}()
		go func() {
			defer wg.Done()
			got, err := sums.Collect(context.Background())
			if err != nil || len(got) != 50 {
				t.Errorf("%d keys, %v", len(got), err)
			}
		}()
	}
	wg.Wait()
}
