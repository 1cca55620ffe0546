package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/task"
)

// blocking is a dataset of parts partitions whose attempts tell started and
// then wait for their end.
func blocking(s *engine.Session, parts int) (d *engine.Dataset[int64], started chan id.TaskAttempt) {
	started = make(chan id.TaskAttempt, 1000)
	return engine.MapBatches(engine.Range(s, int64(parts), parts), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		started <- t.TaskAttempt
		<-t.Context().Done()
		return nil, context.Cause(t.Context())
	}), started
}

// background runs a job and returns how to wait for its error.
func background(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

func TestKillTaskAndRetry(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("master", "local[2]")}) // one failure would end the job
	first := make(chan id.Task, 1)
	d := engine.MapBatches(engine.Range(r.Session, 4, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 2 && t.Number < 3 {
			first <- t.Task
			<-t.Context().Done()
			if reason, killed := t.Killed(); !killed || reason != "for the test" {
				return nil, errors.New("the attempt does not know why it was killed: " + reason)
			}
			return nil, context.Cause(t.Context())
		}
		return append(dst, src...), nil
	})
	var got []int64
	wait := background(func() (err error) { got, err = d.Collect(context.Background()); return err })
	var last id.Task
	for range 3 { // kills do not count as failures
		last = <-first
		if !r.KillTask(last, "for the test") {
			t.Error("the attempt was not running")
		}
	}
	check(t, wait(), got, ints(4))
	check(t, nil, r.rec.ended(task.TaskKilled), 3)
	check(t, nil, r.rec.numbers(id.StageAttempt{}, 2), []int32{0, 1, 2, 3})
	for _, e := range of[*event.TaskEnd](r.rec) {
		if e.Reason == task.TaskKilled && (e.Failure.Message != "for the test" || !e.Info.Killed) {
			t.Errorf("killed attempt ends with %+v", e.Failure)
		}
	}
	if r.KillTask(last, "again") {
		t.Error("an ended attempt was running")
	}
	if r.KillTask(12345, "never was") {
		t.Error("an unknown attempt was running")
	}
}

// A kill that user code does not notice takes effect when the attempt ends.
func TestKillThatIsIgnored(t *testing.T) {
	r := start(t, engine.Config{})
	first, gate := make(chan id.Task, 1), make(chan struct{})
	var runs atomic.Int64
	d := engine.Map(engine.Range(r.Session, 1, 1), func(v int64) int64 { return v })
	d = engine.MapBatches(d, func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if runs.Add(1) == 1 {
			first <- t.Task
			<-gate
		}
		return append(dst, src...), nil
	})
	wait := background(func() error { _, err := d.Count(context.Background()); return err })
	r.KillTask(<-first, "ignored")
	close(gate)
	check(t, wait(), runs.Load(), 2)
	check(t, nil, r.rec.ended(task.TaskKilled), 1)
}

// TestCAN_001 cancels jobs in every way, before and after their tasks launch,
// and runs another afterwards.
func TestCAN_001_Cancel(t *testing.T) {
	for _, mode := range []string{"FIFO", "FAIR"} {
		t.Run(mode, func(t *testing.T) {
			r := start(t, engine.Config{Conf: conf("scheduler.mode", mode)})
			cause := errors.New("no longer wanted")
			alive := func() {
				t.Helper()
				n, err := engine.Range(r.Session, 10, 3).Count(t.Context())
				check(t, err, n, 10)
			}
			ways := map[string]func(cancel context.CancelCauseFunc, job id.Job){
				"id":      func(_ context.CancelCauseFunc, job id.Job) { r.CancelJob(job, "no longer wanted") },
				"group":   func(context.CancelCauseFunc, id.Job) { r.CancelJobGroup("mine", "no longer wanted", false) },
				"context": func(cancel context.CancelCauseFunc, _ id.Job) { cancel(cause) },
			}
			for name, end := range ways {
				ctx, cancel := context.WithCancelCause(engine.WithJobGroup(t.Context(), "mine", "a test"))
				d, started := blocking(r.Session, 5)
				before := len(of[*event.JobStart](r.rec))
				wait := background(func() error { _, err := d.Count(ctx); return err })
				<-started
				<-started
				job := of[*event.JobStart](r.rec)[before]
				check(t, nil, job.Properties[engine.PropertyJobGroup], "mine")
				end(cancel, job.Job)
				err := wait()
				wantError(t, err, "no longer wanted")
				var je *engine.JobError
				if !errors.As(err, &je) || je.Job != job.Job {
					t.Errorf("%s: no JobError with the job's id: %v", name, err)
				}
				if name == "context" && !errors.Is(err, cause) {
					t.Errorf("the context's cause is lost: %v", err)
				}
				cancel(nil)
				alive()
			}
			// A context that has ended already: nothing runs.
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			before := len(of[*event.JobStart](r.rec))
			if _, err := engine.Range(r.Session, 10, 3).Count(ctx); !errors.Is(err, cause) {
				t.Errorf("got %v", err)
			}
			check(t, nil, len(of[*event.JobStart](r.rec)), before)
			r.CancelJob(12345, "never was")
			alive()
		})
	}
}

// A job whose tasks wait for a slot when it is cancelled: none is launched.
func TestCAN_001_CancelBeforeTasksLaunch(t *testing.T) {
	for _, mode := range []string{"FIFO", "FAIR"} {
		t.Run(mode, func(t *testing.T) {
			submitted := make(chan id.Job, 10)
			r := start(t, engine.Config{Conf: conf("scheduler.mode", mode)}, func(e event.Event) {
				if e, ok := e.(*event.StageSubmitted); ok {
					submitted <- e.Job
				}
			})
			d, started := blocking(r.Session, 2)
			ctx, free := context.WithCancel(t.Context())
			defer free()
			held := background(func() error { _, err := d.Count(ctx); return err })
			<-started
			<-started
			<-submitted
			wait := background(func() error { _, err := engine.Range(r.Session, 10, 3).Count(t.Context()); return err })
			job := <-submitted
			r.CancelJob(job, "no longer wanted")
			err := wait() // while both workers are busy
			wantError(t, err, "no longer wanted")
			var je *engine.JobError
			if !errors.Is(err, scheduler.ErrCancelled) || !errors.As(err, &je) || je.Job != job {
				t.Errorf("no cancelled JobError of job %d: %v", job, err)
			}
			free()
			if err := held(); !errors.Is(err, context.Canceled) {
				t.Errorf("the other job: %v", err)
			}
			n, err := engine.Range(r.Session, 10, 3).Count(t.Context())
			check(t, err, n, 10)
			for _, e := range of[*event.StageSubmitted](r.rec) {
				for _, s := range of[*event.TaskStart](r.rec) {
					if e.Job == job && s.Info.StageAttempt == e.Stage.StageAttempt {
						t.Errorf("%v of the cancelled job was launched", s.Info.TaskAttempt)
					}
				}
			}
		})
	}
}

// An attempt of a result stage's first attempt is left over when the second
// one ends the job: it is killed with the job's end, not with the session's.
func TestCAN_006_LeftoverAttemptIsKilledAtTheEnd(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("shuffle.storage", "disk")})
	left, killed := make(chan struct{}), make(chan error, 1)
	d := engine.Repartition(engine.Range(r.Session, 1000, 1), 2)
	rows := 0
	err := engine.RunJob(t.Context(), d, nil, func(t *engine.Task, next func(func([]int64) error) error) (n int, err error) {
		switch {
		case t.StageAttempt.Attempt > 0:
		case t.Partition == 1:
			close(left)
			<-t.Context().Done()
			killed <- context.Cause(t.Context())
			return 0, context.Cause(t.Context())
		default: // its input is gone before it is read
			<-left
			for _, f := range r.files(".data") {
				os.Remove(f)
			}
		}
		err = next(func(b []int64) error { n += len(b); return nil })
		return n, err
	}, func(_ int, n int) error { rows += n; return nil })
	check(t, err, []int{rows, r.rec.ended(task.FetchFailed)}, []int{1000, 1})
	r.finish()
	if err := <-killed; !strings.Contains(err.Error(), "stage is finished") {
		t.Errorf("the attempt that was left over ended with %v", err)
	}
	check(t, nil, r.rec.ended(task.TaskKilled), 1)
}

func TestCAN_007_Tags(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	tags := [][]string{{"one"}, {"one", "two"}, {"two"}, {"one"}}
	var waits []func() error
	for _, names := range tags {
		d, started := blocking(r.Session, 1)
		ctx := engine.WithTags(t.Context(), names...)
		waits = append(waits, background(func() error { _, err := d.Count(ctx); return err }))
		<-started
	}
	ended := func(tag string, jobs ...int) {
		t.Helper()
		r.CancelTag(tag, "tag "+tag)
		for _, j := range jobs {
			wantError(t, waits[j](), "tag "+tag)
		}
	}
	ended("two", 1, 2)
	check(t, nil, len(of[*event.JobEnd](r.rec)), 2)
	for _, part := range []string{"o", "n", "ne", ""} { // of a tag, and none itself
		r.CancelTag(part, "no tag")
	}
	ended("one", 0, 3)
	for _, bad := range []string{"", "a,b"} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, "WithTags") {
					t.Errorf("tag %q: %s", bad, p)
				}
			}()
			engine.WithTags(t.Context(), "good", bad)
			t.Errorf("tag %q was taken", bad)
		}()
	}
}

func TestCAN_008_FutureJobsOfAGroup(t *testing.T) {
	r := start(t, engine.Config{})
	mine := engine.WithJobGroup(t.Context(), "mine", "")
	r.CancelJobGroup("mine", "for good", true)
	_, err := engine.Range(r.Session, 10, 3).Count(mine)
	wantError(t, err, "mine")
	check(t, nil, len(of[*event.TaskStart](r.rec)), 0)
	n, err := engine.Range(r.Session, 10, 3).Count(engine.WithJobGroup(t.Context(), "other", ""))
	check(t, err, n, 10)
	n, err = engine.Range(r.Session, 10, 3).Count(t.Context())
	check(t, err, n, 10)
}

func TestCAN_008_TheLatestGroupsAreRemembered(t *testing.T) {
	for _, c := range []struct {
		limit   int // 0: the default
		forgets int // groups
	}{{0, 0}, {5, 1}, {3, 3}} {
		var keys map[string]string
		if c.limit > 0 {
			keys = conf("scheduler.numCancelledJobGroupsToTrack", fmt.Sprint(c.limit))
		}
		r := start(t, engine.Config{Conf: keys})
		for i := range 6 {
			r.CancelJobGroup(fmt.Sprint("group ", i), "for good", true)
			r.CancelJobGroup("group 0", "again: it does not count anew", i < 3)
		}
		for i := range 6 {
			_, err := engine.Range(r.Session, 10, 3).Count(engine.WithJobGroup(t.Context(), fmt.Sprint("group ", i), ""))
			if forgotten := i < c.forgets; (err == nil) != forgotten {
				t.Errorf("limit %d: a job of group %d ends with %v", c.limit, i, err)
			}
		}
	}
}

// TestCAN_002 cancels a job while it caches: no partial partition stays.
func TestCAN_002_NoPartialPartitionIsCached(t *testing.T) {
	r := start(t, engine.Config{})
	half := make(chan struct{}, 100)
	var stop atomic.Bool
	stop.Store(true)
	d := engine.FromFunc(r.Session, "halfway", 2, func(t *engine.Task, part int, emit func([]int64) error) error {
		if err := emit(ints(250)); err != nil {
			return err
		}
		if stop.Load() {
			half <- struct{}{}
			<-t.Context().Done()
			return context.Cause(t.Context())
		}
		return emit(ints(250))
	}).Cache()
	ctx, cancel := context.WithCancel(t.Context())
	wait := background(func() error { _, err := d.Count(ctx); return err })
	<-half
	<-half
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	stop.Store(false)
	for range 2 {
		n, err := d.Count(t.Context())
		check(t, err, n, 1000)
	}
}

// TestCAN_003: two jobs share a map stage, one is cancelled in the midst.
func TestCAN_003_SharedStageSurvives(t *testing.T) {
	r := start(t, engine.Config{})
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	var once sync.Once
	d := engine.MapBatches(keyed(r.Session, 4000, 10, 4), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
		once.Do(func() { inside <- struct{}{}; <-gate })
		return append(dst, src...), nil
	})
	sums := engine.ReduceByKey(d, add, engine.Partitions(2))
	ctx, cancel := context.WithCancel(t.Context())
	first := background(func() error { _, err := sums.Count(ctx); return err })
	<-inside
	submitted := len(of[*event.JobStart](r.rec))
	var got []engine.Pair[int64, int64]
	second := background(func() (err error) { got, err = sums.Collect(context.Background()); return err })
	for len(of[*event.JobStart](r.rec)) == submitted { // the second job is there
		yieldNow()
	}
	cancel()
	if err := first(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(gate)
	wantPairs(t, second(), got, wantSums(4000, 10))
}

// TestCAN_004 cancels a job that iterates over records without end: the next
// batch ends it although user code never looks.
func TestCAN_004_IterationStopsAtTheNextBatch(t *testing.T) {
	r := start(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := engine.FromFunc(r.Session, "endless", 2, func(t *engine.Task, _ int, emit func([]int64) error) error {
		b := ints(100)
		for {
			if err := emit(b); err != nil {
				return err
			}
		}
	})
	var once sync.Once
	_, err := engine.Map(d, func(v int64) int64 { once.Do(cancel); return v }).Count(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	check(t, nil, r.rec.ended(task.Success), 0)
}

// The same of what was fetched: after its kill an attempt is given no more.
func TestCAN_004_IterationOverShuffleInputStops(t *testing.T) {
	r := start(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var batches [2]atomic.Int64
	err := engine.RunJob(ctx, engine.Repartition(engine.Range(r.Session, 400_000, 2), 2), nil,
		func(t *engine.Task, next func(func([]int64) error) error) (int64, error) {
			return 0, next(func([]int64) error {
				batches[t.Partition].Add(1)
				cancel()
				<-t.Context().Done()
				return nil // as one who does not look
			})
		}, func(int, int64) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.finish()
	check(t, nil, r.rec.ended(task.TaskKilled) > 0, true)
	for p := range batches {
		if n := batches[p].Load(); n > 1 {
			t.Errorf("reducer %d was given %d batches", p, n)
		}
	}
}

// Cancelling, or closing the session, in the midst of a sort that spills.
func TestCancelWhileSpilling(t *testing.T) {
	for _, how := range []string{"context", "kill", "close"} {
		t.Run(how, func(t *testing.T) {
			r := start(t, engine.Config{Memory: 64 << 20})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			cause := errors.New("enough sorted")
			var rows atomic.Int64
			inside, gate := make(chan id.Task, 1), make(chan struct{})
			var once sync.Once
			d := engine.FromFunc(r.Session, "noise", 4, func(t *engine.Task, part int, emit func([][100]byte) error) error {
				b := make([][100]byte, 1000)
				state := uint64(part) + 1
				for range 200 { // 20 MB a partition
					for i := range b {
						state = state*6364136223846793005 + 1442695040888963407
						for j := range 8 {
							b[i][j] = byte(state >> (8 * j))
						}
					}
					rows.Add(int64(len(b)))
					if err := emit(b); err != nil {
						return err
					}
				}
				return nil
			})
			sorted := engine.SortBy(d, func(v [100]byte) [10]byte { return [10]byte(v[:10]) }, engine.Partitions(2))
			out := engine.MapBatches(sorted, func(t *engine.Task, dst, src [][100]byte) ([][100]byte, error) {
				once.Do(func() { inside <- t.Task; <-gate })
				return append(dst, src...), nil
			})
			wait := background(func() error { _, err := out.Count(ctx); return err })
			n := <-inside
			if len(r.files("")) == 0 {
				t.Error("nothing was spilled: the test proves nothing")
			}
			switch how {
			case "context":
				cancel(cause)
				close(gate)
				if err := wait(); !errors.Is(err, cause) {
					t.Errorf("got %v", err)
				}
			case "kill":
				r.KillTask(n, "for the test")
				close(gate)
				if err := wait(); err != nil {
					t.Error(err)
				}
				check(t, nil, r.rec.ended(task.TaskKilled), 1)
			case "close":
				closed := background(func() error { r.finish(); return nil })
				close(gate)
				if err := wait(); err == nil {
					t.Error("the job succeeded although its session was closed")
				}
				closed()
			}
		})
	}
}

// What an attempt opened is closed when it has been killed, also if the kill
// came in the midst of opening, which goes on regardless: what closes it is
// registered only then. No attempt's end is told while it has something open.
func TestCAN_011_WhatWasOpenedIsClosed(t *testing.T) {
	for _, interrupt := range []bool{false, true} {
		for _, during := range []bool{false, true} {
			t.Run(fmt.Sprintf("interrupt %v, while opening %v", interrupt, during), func(t *testing.T) {
				var opened, closed [2]atomic.Bool
				var ends atomic.Int64
				r := start(t, engine.Config{}, func(e event.Event) { // there before any attempt is
					if end, ok := e.(*event.TaskEnd); ok {
						ends.Add(1)
						if p := end.Info.Partition; !opened[p].Load() || !closed[p].Load() {
							t.Errorf("%v ends: opened %v, closed %v", end.Info.TaskAttempt, opened[p].Load(), closed[p].Load())
						}
					}
				})
				inside := make(chan struct{}, 2)
				d := engine.MapBatches(engine.Range(r.Session, 2, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
					if during { // it takes until after the kill
						inside <- struct{}{}
						<-t.Context().Done()
					}
					opened[t.Partition].Store(true)
					t.OnComplete(func(t *engine.Task) error { closed[t.Partition].Store(true); return nil })
					if closed[t.Partition].Load() {
						return nil, errors.New("closed while it was in use")
					}
					if !during {
						inside <- struct{}{}
						<-t.Context().Done()
					}
					return nil, context.Cause(t.Context())
				})
				ctx, cancel := context.WithCancel(engine.WithProperty(t.Context(), "spark.job.interruptOnCancel", fmt.Sprint(interrupt)))
				defer cancel()
				wait := background(func() error { _, err := d.Count(ctx); return err })
				<-inside
				<-inside
				cancel()
				if err := wait(); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				r.finish()
				check(t, nil, []int{int(ends.Load()), r.rec.ended(task.TaskKilled)}, []int{2, 2})
			})
		}
	}
}

func TestCTX_002_ClosedSession(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.Range(r.Session, 10, 2)
	r.finish()
	if err := r.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := d.Count(t.Context()); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("got %v", err)
	}
	for _, err := range d.Batches(t.Context()) {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if r.KillTask(0, "closed") {
		t.Error("an attempt runs in a closed session")
	}
	r.CancelJob(0, "closed")
	r.CancelJobGroup("g", "closed", true)
}

// Close in the midst of many jobs: every one of them ends.
func TestCloseWithJobsRunning(t *testing.T) {
	r := start(t, engine.Config{Cores: 3})
	d, started := blocking(r.Session, 2)
	sums := engine.ReduceByKey(keyed(r.Session, 100000, 1000, 8), add)
	sums.Persist(block.MemoryAndDisk)
	var wg sync.WaitGroup
	for range 5 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			if _, err := d.Count(context.Background()); err == nil {
				t.Error("a job that waits for ever has succeeded")
			}
		}()
		go func() {
			defer wg.Done()
			for {
				if _, err := sums.Count(context.Background()); err != nil {
					if !errors.Is(err, engine.ErrClosed) && !strings.Contains(err.Error(), "closed") {
						t.Errorf("got %v", err)
					}
					return
				}
			}
		}()
	}
	<-started
	r.finish()
	wg.Wait()
}

// A job that has just been handed in is begun by the goroutine that runs it.
// Close waits for that, and takes nothing down before.
func TestCloseWhileAJobBegins(t *testing.T) {
	var r *rig
	begins, closes := make(chan struct{}), make(chan struct{})
	r = start(t, engine.Config{}, func(e event.Event) {
		switch e.(type) {
		case *event.JobStart:
			close(begins)
			// The end of the stream would come now; it does not.
			select {
			case <-closes:
				t.Error("the session ended while a job began")
			case <-time.After(50 * time.Millisecond):
			}
		case *event.ApplicationEnd:
			close(closes)
		}
	})
	wait := background(func() error { _, err := engine.Range(r.Session, 4, 2).Count(context.Background()); return err })
	<-begins
	r.finish()
	if err := wait(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("the job: %v", err)
	}
}
