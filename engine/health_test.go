package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// A task that fails wherever it was tried first succeeds elsewhere, after one
// failure: without exclusion it may be tried there until its job is aborted.
func TestHLT_001_TaskSucceedsElsewhere(t *testing.T) {
	for range 10 { // where it is tried first is by chance
		r := several(t, 2, "excludeOnFailure.enabled", "true", "task.maxFailures", "3")
		firsts := make(chan id.Executor, 1)
		d := engine.MapBatches(engine.Range(r.Session, 4, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			if t.Partition != 2 {
				return append(dst, src...), nil
			}
			if t.Number == 0 {
				firsts <- t.Executor
				return nil, errors.New("not here")
			}
			first := <-firsts
			firsts <- first
			if t.Executor == first {
				return nil, errors.New("not here either")
			}
			return append(dst, src...), nil
		})
		got, err := d.Collect(t.Context())
		check(t, err, got, ints(4))
		check(t, nil, r.rec.ended(task.ExceptionFailure), 1)
		check(t, nil, len(of[*event.Excluded](r.rec)), 0)
	}
}

// An executor on which two tasks fail is excluded for the stage, and after
// the stage's success for all jobs.
func TestHLT_004_ExecutorIsExcluded(t *testing.T) {
	r := several(t, 2, "excludeOnFailure.enabled", "true")
	bad := func(parts int) *engine.Dataset[int64] {
		return engine.MapBatches(engine.Range(r.Session, int64(parts), parts), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			if t.Executor == "0" {
				return nil, errors.New("not here")
			}
			return append(dst, src...), nil
		})
	}
	for range 100 { // until two tasks were tried there; offers are shuffled
		got, err := bad(8).Collect(t.Context())
		check(t, err, got, ints(8))
		if list := of[*event.Excluded](r.rec); len(list) > 0 && !list[len(list)-1].ForStage {
			break
		}
	}
	list := of[*event.Excluded](r.rec)
	if len(list) == 0 {
		t.Fatal("nothing was excluded")
	}
	last := list[len(list)-1]
	if last.ForStage || last.Executor != "0" || last.Failures < 2 {
		t.Fatalf("excluded %+v", last)
	}
	failures := r.rec.ended(task.ExceptionFailure)
	for range 5 {
		got, err := bad(8).Collect(t.Context())
		check(t, err, got, ints(8))
	}
	check(t, nil, r.rec.ended(task.ExceptionFailure), failures)
}

func TestHLT_002_NothingIsExcludedOfOneExecutor(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("excludeOnFailure.enabled", "true")})
	if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0].Text, "excludeOnFailure.enabled has no effect with one executor") {
		t.Errorf("warnings %v", w)
	}
	got, err := failing(r.Session, 3, 3, func(t *engine.Task) error { return errors.New("boom") }).Collect(t.Context())
	check(t, err, got, ints(3))
}

// An executor whose worker is in an attempt that ignores its kill gives no
// sign of life, and is lost; the other goes on.
func TestSCH_012_ExecutorThatDoesNotServeIsLost(t *testing.T) {
	removed := make(chan event.ExecutorRemoved, 2)
	r := start(t, engine.Config{Cores: 2, Executors: 2, Conf: conf("executor.heartbeatInterval", "50ms", "network.timeout", "1s")}, func(e event.Event) {
		if e, ok := e.(*event.ExecutorRemoved); ok {
			removed <- *e
		}
	})
	gate, on := make(chan struct{}), make(chan id.Executor, 1)
	d := engine.MapBatches(engine.Range(r.Session, 1, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		on <- t.Executor
		<-gate // whatever it is told
		return append(dst, src...), nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	wait := background(func() error { _, err := d.Count(ctx); return err })
	stuck := <-on
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Fatalf("the job ended with %v", err)
	}
	e := <-removed
	if e.Executor != stuck || !strings.Contains(e.Reason, "no sign of life") || !strings.Contains(e.Reason, "spark.network.timeout") {
		t.Fatalf("removed %+v; executor %s is stuck", e, stuck)
	}
	got, err := engine.Range(r.Session, 8, 8).Collect(t.Context())
	check(t, err, got, ints(8))
	for _, e := range of[*event.TaskEnd](r.rec) {
		switch {
		case e.Info.Executor != stuck:
		case e.Reason != task.ExecutorLostFailure:
			t.Errorf("on %s: %v", stuck, e.Reason)
		}
	}
	if list := r.Executors(); len(list) != 1 || list[0].ID == stuck {
		t.Errorf("executors %+v", list)
	}
	close(gate)
	select {
	case e := <-removed:
		t.Errorf("also removed: %+v", e)
	default:
	}
}

// While its worker does what it was told, an executor lives, however long
// that takes.
func TestSCH_012_BusyExecutorLives(t *testing.T) {
	samples := make(chan struct{}, 1)
	r := start(t, engine.Config{Cores: 2, Executors: 2, Conf: conf("executor.heartbeatInterval", "1ms", "network.timeout", "1s")}, func(e event.Event) {
		if _, ok := e.(*event.MemorySample); ok {
			select {
			case samples <- struct{}{}:
			default:
			}
		}
	})
	done := make(chan struct{})
	d := engine.MapBatches(engine.Range(r.Session, 2, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		<-done
		return append(dst, src...), nil
	})
	wait := background(func() error { return counts(d, 2) })
	for range 8 { // five a second, and each a sign of life
		<-samples
	}
	close(done)
	check(t, wait(), 0, 0)
	check(t, nil, len(of[*event.ExecutorRemoved](r.rec)), 0)
}

// With one executor nobody is told that a first job waits for a slot, as in
// Spark's local mode.
func TestStarvationTimeout(t *testing.T) {
	for _, c := range []struct {
		executors int
		conf      map[string]string
		want      time.Duration
	}{
		{2, nil, 15 * time.Second},
		{2, conf("starvation.timeout", "70ms"), 70 * time.Millisecond},
		{1, conf("starvation.timeout", "70ms"), 0},
	} {
		r := start(t, engine.Config{Cores: 2, Executors: c.executors, Conf: c.conf})
		check(t, nil, engine.StarvationTimeout(r.Session), c.want)
	}
}

// Who is not known to the driver, or was given up, is told to come again, but
// not by a driver that stops.
func TestSCH_011_UnknownExecutorIsToComeAgain(t *testing.T) {
	r := several(t, 2)
	known := func(x id.Executor) bool { return (<-engine.Heartbeat(r.Session, x)).OK }
	check(t, nil, []bool{known("0"), known("1"), known("nobody")}, []bool{true, true, false})
	check(t, r.LoseExecutor("1", "test"), known("1"), false)
	r.finish()
	check(t, nil, known("nobody"), true)
}

// An attempt that ignores its kill costs its executor the slot where a timeout
// is set, and the others go on; without one it costs nothing.
func TestCAN_010_ReaperOfSeveralExecutors(t *testing.T) {
	for timeout, lost := range map[string]int{"1ms": 1, "-1": 0} {
		t.Run(timeout, func(t *testing.T) {
			r := several(t, 2, "task.reaper.enabled", "true", "task.reaper.killTimeout", timeout)
			gate, on := make(chan struct{}), make(chan event.TaskInfo, 1)
			d := engine.MapBatches(engine.Range(r.Session, 1, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
				if t.Number == 0 {
					on <- event.TaskInfo{TaskAttempt: t.TaskAttempt, Executor: t.Executor}
					<-gate
				}
				return append(dst, src...), nil
			})
			wait := background(func() error { return counts(d, 1) })
			stuck := <-on
			r.KillTask(stuck.Task, "ignored")
			var err error
			if lost > 0 {
				err = wait() // it runs on the other one
			} else {
				for range 3 { // each time it is looked for
					r.Phase("look", 0)(nil)
				}
			}
			check(t, err, r.rec.ended(task.ExecutorLostFailure), lost)
			check(t, nil, len(r.Executors()), 2-lost)
			got, err := engine.Range(r.Session, 8, 8).Collect(t.Context())
			check(t, err, got, ints(8))
			close(gate)
			if lost == 0 {
				check(t, wait(), r.rec.ended(task.TaskKilled), 1)
			}
			for _, e := range of[*event.TaskStart](r.rec) {
				if e.Info.Executor == stuck.Executor && e.Info.Task != stuck.Task && lost > 0 {
					t.Errorf("%v was launched where a slot is stuck", e.Info.TaskAttempt)
				}
			}
		})
	}
}
