package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func TestBAR_001_TooFewSlots(t *testing.T) {
	for _, wide := range []bool{false, true} {
		t.Run(fmt.Sprint("map stage ", wide), func(t *testing.T) {
			r := start(t, engine.Config{Cores: 4, Conf: conf(
				"scheduler.barrier.maxConcurrentTasksCheck.interval", "5ms", "scheduler.barrier.maxConcurrentTasksCheck.maxFailures", "3")})
			d := engine.Barrier(engine.Range(r.Session, 10, 5))
			if wide {
				d = engine.Repartition(d, 2)
			}
			_, err := d.Count(t.Context())
			wantError(t, err, "slots")
			check(t, nil, len(of[*event.TaskStart](r.rec)), 0)
			n, err := engine.Range(r.Session, 10, 5).Count(t.Context())
			check(t, err, n, 10)
		})
	}
}

// Of 4 workers there are 2 slots for tasks that take two each.
func TestTasksTakeSeveralSlots(t *testing.T) {
	r := start(t, engine.Config{Cores: 4, Conf: conf("task.cpus", "2", "scheduler.barrier.maxConcurrentTasksCheck.interval", "1ms",
		"scheduler.barrier.maxConcurrentTasksCheck.maxFailures", "1")})
	n, err := engine.Barrier(engine.Range(r.Session, 10, 2)).Count(t.Context())
	check(t, err, n, 10)
	_, err = engine.Barrier(engine.Range(r.Session, 10, 3)).Count(t.Context())
	wantError(t, err, "3 tasks", "2 slots")
}

// A barrier job that waits for slots can be cancelled, and closed.
func TestBarrierJobThatWaitsIsCancelled(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("scheduler.barrier.maxConcurrentTasksCheck.interval", "1h")})
	d := engine.Barrier(engine.Range(r.Session, 10, 5))
	ctx, cancel := context.WithCancel(t.Context())
	wait := background(func() error { _, err := d.Count(ctx); return err })
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wait = background(func() error { _, err := d.Count(context.Background()); return err })
	r.finish()
	if err := wait(); err == nil {
		t.Error("no error from a job of a closed session")
	}
}

func TestBAR_002_FailedMapStageRunsWhole(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	var runs atomic.Int64
	d := engine.MapBatches(engine.Barrier(engine.Range(r.Session, 40, 4)), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		runs.Add(1)
		if t.Partition == 1 && t.StageAttempt.Attempt == 0 {
			return nil, errors.New("once")
		}
		if err := t.Barrier(); err != nil {
			return nil, err
		}
		return append(dst, src...), nil
	})
	n, err := engine.Repartition(d, 2).Count(t.Context())
	check(t, err, n, 40)
	// All four again, though only one failed.
	again := 0
	for _, e := range of[*event.TaskStart](r.rec) {
		if e.Kind == task.ShuffleMapTask && e.Info.StageAttempt.Attempt == 1 {
			again++
		}
	}
	check(t, nil, again, 4)
}

func TestBAR_003_FailedResultStageAborts(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	d := engine.MapBatches(engine.Barrier(engine.Range(r.Session, 2, 2)), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 1 {
			return nil, errors.New("once is enough")
		}
		return append(dst, src...), t.Barrier()
	})
	_, err := d.Count(t.Context())
	wantError(t, err, "barrier", "once is enough")
	check(t, nil, len(of[*event.TaskStart](r.rec)), 2)
	n, err := engine.Range(r.Session, 10, 5).Count(t.Context())
	check(t, err, n, 10)
}

// TestBAR_004: nobody passes a sync before all have reached it.
func TestBAR_004_NobodyPassesBeforeAllArrive(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	const rounds = 50
	var arrived [rounds]atomic.Int64
	err := engine.Barrier(engine.Range(r.Session, 4, 4)).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
		for i := range rounds {
			if int(t.Partition) == i%4 {
				yieldNow() // another is late each time
			}
			arrived[i].Add(1)
			if err := t.Barrier(); err != nil {
				return err
			}
			if n := arrived[i].Load(); n != 4 {
				return fmt.Errorf("passed round %d when %d had arrived", i, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBAR_005_AllGather(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	d := engine.MapBatches(engine.Barrier(engine.Range(r.Session, 4, 4)), func(t *engine.Task, dst []string, _ []int64) ([]string, error) {
		first, err := t.AllGather(fmt.Sprintf("message %d", t.Partition))
		if err != nil {
			return nil, err
		}
		second, err := t.AllGather(strings.Repeat("x", int(t.Partition)))
		if err != nil {
			return nil, err
		}
		if err := t.Barrier(); err != nil {
			return nil, err
		}
		second[0] = "changed by its owner alone"
		return append(dst, fmt.Sprint(first, len(second))), nil
	})
	got, err := d.Collect(t.Context())
	want := "[message 0 message 1 message 2 message 3] 4"
	check(t, err, got, []string{want, want, want, want})
}

// Whoever waits in a sync that not all reach fails, and is told the timeout.
func TestBAR_006_SyncTimesOut(t *testing.T) {
	until := func(t *engine.Task) error {
		<-t.Context().Done()
		return context.Cause(t.Context())
	}
	for name, c := range map[string]struct {
		body func(t *engine.Task, others *sync.WaitGroup) error
		wait int // how many of 4 wait in the sync that is not reached by all
	}{
		"one is late": {func(t *engine.Task, others *sync.WaitGroup) error {
			if t.Partition == 3 {
				others.Wait() // until they have given up
			}
			return t.Barrier()
		}, 3},
		"one skips the sync": {func(t *engine.Task, _ *sync.WaitGroup) error {
			if t.Partition == 3 {
				return until(t)
			}
			return t.Barrier()
		}, 3},
		"different numbers of syncs": {func(t *engine.Task, _ *sync.WaitGroup) error {
			if err := t.Barrier(); err != nil {
				return err
			}
			if t.Partition == 0 {
				return until(t)
			}
			return t.Barrier()
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, engine.Config{Cores: 4, Conf: conf("barrier.sync.timeout", "50ms", "task.maxFailures", "1")})
			var others sync.WaitGroup
			others.Add(3)
			var mu sync.Mutex
			told := map[int32]string{}
			err := engine.Barrier(engine.Range(r.Session, 4, 4)).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
				err := c.body(t, &others)
				mu.Lock()
				told[t.Partition] = fmt.Sprint(err)
				mu.Unlock()
				if t.Partition != 3 {
					others.Done()
				}
				return err
			})
			wantError(t, err, "50ms")
			r.finish()
			timedOut := 0
			for _, why := range told {
				if strings.Contains(why, "50ms") {
					timedOut++
				}
			}
			if timedOut < c.wait {
				t.Errorf("%d callers were told of the timeout, want %d: %v", timedOut, c.wait, told)
			}
		})
	}
}

func TestMixedSyncsAreRefused(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	err := engine.Barrier(engine.Range(r.Session, 2, 2)).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
		if t.Partition == 0 {
			return t.Barrier()
		}
		_, err := t.AllGather("")
		return err
	})
	wantError(t, err, "BARRIER", "ALL_GATHER")
	err = engine.Range(r.Session, 2, 2).Foreach(t.Context(), func(t *engine.Task, _ []int64) error { return t.Barrier() })
	wantError(t, err, "not a barrier stage")
}

// A barrier task fails at once, and the one that waits beside it ends and is
// tried again with it.
func TestBAR_009_SiblingEndsAndBothAreTriedAgain(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	ctx := engine.WithProperty(t.Context(), "spark.job.interruptOnCancel", "true")
	waits := make(chan struct{})
	d := engine.MapBatches(engine.Barrier(engine.Range(r.Session, 2, 2)), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		switch {
		case t.StageAttempt.Attempt > 0:
		case t.Partition == 0:
			<-waits
			return nil, errors.New("at once")
		default:
			close(waits)
			<-t.Context().Done() // for ever, but for its kill
			return nil, context.Cause(t.Context())
		}
		return append(dst, src...), nil
	})
	n, err := engine.Repartition(d, 2).Count(ctx)
	check(t, err, n, 2)
	check(t, nil, []int{r.rec.ended(task.ExceptionFailure), r.rec.ended(task.TaskKilled)}, []int{1, 1})
}

// TestBAR_008: a task that waits in a sync is killed.
func TestBAR_008_KillWhileWaiting(t *testing.T) {
	for _, interrupt := range []string{"false", "true"} {
		r := start(t, engine.Config{Cores: 2})
		waiting := make(chan id.Task, 1)
		var mu sync.Mutex
		var seen error
		ctx := engine.WithProperty(t.Context(), "spark.job.interruptOnCancel", interrupt)
		wait := background(func() error {
			return engine.Barrier(engine.Range(r.Session, 2, 2)).Foreach(ctx, func(t *engine.Task, _ []int64) error {
				if t.Partition == 1 {
					<-t.Context().Done()
					return context.Cause(t.Context())
				}
				waiting <- t.Task
				err := t.Barrier()
				mu.Lock()
				seen = err
				mu.Unlock()
				return err
			})
		})
		r.KillTask(<-waiting, "for the test")
		wantError(t, wait(), "for the test")
		r.finish()
		wantError(t, seen, "killed", "for the test")
	}
}

func TestBAR_010_Patterns(t *testing.T) {
	r := start(t, engine.Config{Cores: 4, Conf: conf("scheduler.barrier.maxConcurrentTasksCheck.interval", "5ms")})
	ctx := t.Context()
	barrier := func() *engine.Dataset[int64] { return engine.Barrier(engine.Range(r.Session, 8, 2)) }
	plain := engine.Range(r.Session, 8, 2)
	count := func(d *engine.Dataset[int64]) error { _, err := d.Count(ctx); return err }
	some := func(d *engine.Dataset[int64]) error {
		return engine.RunJob(ctx, d, []int{0}, func(*engine.Task, func(func([]int64) error) error) (int64, error) { return 0, nil },
			func(int, int64) error { return nil })
	}
	for name, err := range map[string]error{
		"chosen partitions":     some(barrier()),
		"take":                  func() error { _, err := barrier().Take(ctx, 1); return err }(),
		"coalesced":             count(engine.Coalesce(barrier(), 1)),
		"union with plain":      count(engine.Union(barrier(), plain)),
		"plain union":           count(engine.Union(plain, barrier())),
		"union of two barriers": count(engine.Union(barrier(), barrier())),
		"barrier of a coalesce": count(engine.Barrier(engine.Coalesce(plain, 1))),
	} {
		if err == nil || !strings.Contains(err.Error(), "barrier") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, d := range map[string]*engine.Dataset[int64]{
		"shuffle between":         engine.Coalesce(engine.Repartition(barrier(), 4), 2),
		"barrier after shuffle":   engine.Barrier(engine.Repartition(plain, 3)),
		"mapped after":            engine.Map(barrier(), func(v int64) int64 { return v }),
		"union behind shuffles":   engine.Union(engine.Repartition(barrier(), 2), engine.Repartition(barrier(), 2)),
		"barrier of a shuffle of": engine.Barrier(engine.Repartition(barrier(), 4)),
	} {
		if err := count(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBAR_013_PeersAndFreeSlots(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	for range 3 {
		err := engine.Barrier(engine.Range(r.Session, 2, 2)).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
			if peers := strings.Split(t.Property("addresses"), ","); len(peers) != 2 {
				return fmt.Errorf("%d peers: %v", len(peers), peers)
			}
			return t.Barrier()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := engine.Idle(r.Session); err != nil {
		t.Error(err)
	}
}

// A barrier stage waits until all its slots are free, and plain jobs beside
// it end.
func TestBarrierBesidePlainJobs(t *testing.T) {
	r := start(t, engine.Config{Cores: 3})
	var jobs sync.WaitGroup
	for range 4 {
		jobs.Go(func() {
			for range 5 {
				err := engine.Barrier(engine.Range(r.Session, 3, 3)).Foreach(t.Context(), func(t *engine.Task, _ []int64) error { return t.Barrier() })
				if err != nil {
					t.Error(err)
				}
			}
		})
		jobs.Go(func() {
			for range 5 {
				if n, err := engine.Repartition(engine.Range(r.Session, 100, 7), 5).Count(t.Context()); err != nil || n != 100 {
					t.Errorf("%d, %v", n, err)
				}
			}
		})
	}
	jobs.Wait()
}
