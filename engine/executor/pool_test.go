package executor_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

func goexit() { runtime.Goexit() }

// threads returns the threads of all workers.
func (h *harness) threads(slots int) []int { return onEach(h, slots, threadID) }

// onEach asks all workers, each of which holds one attempt until every one has
// it, and returns the answers in order.
func onEach[T cmp.Ordered](h *harness, slots int, ask func() T) (answers []T) {
	var mu sync.Mutex
	var all sync.WaitGroup
	all.Add(slots)
	var tasks []id.Task
	for range slots {
		tasks = append(tasks, h.launch(func(*executor.Context) (executor.Encode, error) {
			mu.Lock()
			answers = append(answers, ask())
			mu.Unlock()
			all.Done()
			all.Wait()
			return nil, nil
		}))
	}
	for _, t := range tasks {
		h.wait(t)
	}
	slices.Sort(answers)
	return answers
}

// goroutines counts the goroutines that are workers of any executor. One that
// user code ended may be about to go: the count is given when it is want, or
// when it does not become that.
func goroutines(want int) (n int) {
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if n = bytes.Count(buf[:runtime.Stack(buf, true)], []byte("executor.(*worker).loop(")); n == want {
			break
		}
	}
	return n
}

// The pool keeps its threads through 100,000 attempts, panics and kills.
func TestPoolIsFixed(t *testing.T) {
	if threadID() == 0 {
		t.Skip("no thread ids on this system")
	}
	const slots = 3
	total := 100_000
	if testing.Short() || raceEnabled {
		total = 5_000
	}
	h := start(t, slots)
	before := h.threads(slots)

	var mu sync.Mutex
	seen := map[int]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	body := func(kind int) executor.Body {
		return func(c *executor.Context) (executor.Encode, error) {
			mu.Lock()
			seen[threadID()] = true
			mu.Unlock()
			switch kind {
			case 1:
				panic("on purpose")
			case 2:
				h.Kill(c.Task, true, "on purpose")
				<-c.Context().Done()
				return nil, c.Check()
			case 3:
				return nil, errors.New("on purpose")
			}
			return nil, nil
		}
	}
	// The driver launches the next attempt when one ends, as a scheduler does.
	var launched, ended atomic.Int64
	var outcomes [task.Lost + 1]atomic.Int64
	done := make(chan struct{})
	next := func() {
		n := launched.Add(1)
		if n > int64(total) {
			return
		}
		mu.Lock()
		kind := 0
		if r := rng.IntN(100); r < 6 {
			kind = 1 + r%3
		}
		mu.Unlock()
		h.launch(body(kind))
	}
	h.driver.onStatus = func(s *task.Status) {
		if !s.State.Terminal() {
			return
		}
		outcomes[s.State].Add(1)
		next()
		if ended.Add(1) == int64(total) {
			close(done)
		}
	}
	for range slots {
		next()
	}
	<-done
	h.driver.onStatus = nil
	for _, s := range []task.State{task.Finished, task.Failed, task.Killed} {
		if outcomes[s].Load() == 0 {
			t.Errorf("no attempt %v", s)
		}
	}
	if got := slices.Sorted(maps.Keys(seen)); !reflect.DeepEqual(got, before) {
		t.Errorf("attempts ran on threads %v, the pool began with %v", got, before)
	}
	if after := h.threads(slots); !reflect.DeepEqual(after, before) {
		t.Errorf("the pool has threads %v, it began with %v", after, before)
	}
}

// runtime.Goexit in user code, wherever it comes, fails the attempt, and the
// worker is replaced before its slot is offered again.
func TestGoexitReplacesTheWorker(t *testing.T) {
	const slots = 2
	type place struct {
		name     string
		body     executor.Body
		complete bool
	}
	completed := false
	note := func(*executor.Context) error { completed = true; return nil }
	for _, p := range []place{
		{"body", func(c *executor.Context) (executor.Encode, error) { c.OnComplete(note); goexit(); return nil, nil }, true},
		{"encode", func(c *executor.Context) (executor.Encode, error) {
			c.OnComplete(note)
			return func(dst []byte) ([]byte, error) { goexit(); return dst, nil }, nil
		}, true},
		{"listener", func(c *executor.Context) (executor.Encode, error) {
			c.OnComplete(note)
			c.OnComplete(func(*executor.Context) error { goexit(); return nil })
			return nil, nil
		}, true},
		{"two listeners", func(c *executor.Context) (executor.Encode, error) {
			c.OnComplete(func(*executor.Context) error { goexit(); return nil })
			c.OnComplete(func(*executor.Context) error { goexit(); return nil })
			return nil, nil
		}, false},
		{"accumulator", func(c *executor.Context) (executor.Encode, error) {
			c.OnComplete(note)
			c.Accumulator(1, "", false, func() executor.Accumulator { return exiting{} })
			return nil, nil
		}, true},
	} {
		t.Run(p.name, func(t *testing.T) {
			h := start(t, slots)
			before := h.threads(slots)
			completed = false
			o := h.run(p.body)
			if o.State != task.Failed || o.failure.Kind != task.ExceptionFailure || !strings.Contains(o.failure.Message, "Goexit") {
				t.Errorf("%v %+v", o.State, o.failure)
			}
			if completed != p.complete {
				t.Errorf("completion listener ran: %v", completed)
			}
			after := h.threads(slots) // blocks unless two attempts can run at once
			if len(after) != slots || threadID() != 0 && reflect.DeepEqual(before, after) {
				t.Errorf("threads %v, then %v", before, after)
			}
			for range 20 { // the replaced worker does its part
				h.expectOK()
			}
		})
	}
}

type exiting struct{}

func (exiting) AppendValue(dst []byte) []byte { goexit(); return dst }

func TestGoexitWhileDecoding(t *testing.T) {
	h := start(t, 1, func(h *harness, _ *executor.Config, _ *executor.Deps) {
		h.decode = func(c *executor.Context, _ []byte) error {
			if c.Properties["exit"] != "" {
				goexit()
			}
			return nil
		}
	})
	o := h.run(ok, func(d *task.Description) { d.Properties = map[string]string{"exit": "yes"} })
	if o.State != task.Failed || o.failure.Metrics[task.ExecutorRunTime] != 0 {
		t.Errorf("%v %+v", o.State, o.failure)
	}
	h.expectOK()
}

// A worker that finishes takes what the driver launches in its step itself.
func TestFinishingWorkerTakesItsNextAttempt(t *testing.T) {
	h := start(t, 4)
	h.threads(4)
	workers := make(chan int32, 1000)
	var left atomic.Int64
	left.Store(1000)
	body := func(c *executor.Context) (executor.Encode, error) { workers <- c.Worker; return nil, nil }
	done := make(chan struct{})
	h.driver.onStatus = func(s *task.Status) {
		if s.State.Terminal() {
			if left.Add(-1) > 0 {
				h.launch(body)
			} else {
				close(done)
			}
		}
	}
	h.launch(body)
	<-done
	h.driver.onStatus = nil
	close(workers)
	first := <-workers
	n := 1
	for w := range workers {
		n++
		if w != first {
			t.Fatalf("attempt %d ran on worker %d after worker %d finished and launched it", n, w, first)
		}
	}
	if n != 1000 {
		t.Fatalf("%d attempts ran", n)
	}
}

func TestLaunchWakesAsManyWorkersAsItNeeds(t *testing.T) {
	const slots = 4
	h := start(t, slots)
	for range 50 {
		if n := len(h.threads(slots)); n != slots { // from one goroutine, all parked
			t.Fatal(n)
		}
	}
	// From a worker's own step: three attempts, two of which need waking.
	var all sync.WaitGroup
	all.Add(3)
	meet := func(*executor.Context) (executor.Encode, error) { all.Done(); all.Wait(); return nil, nil }
	var once sync.Once
	var tasks []id.Task
	launched := make(chan struct{})
	h.driver.onStatus = func(s *task.Status) {
		if s.State.Terminal() {
			once.Do(func() {
				for range 3 {
					tasks = append(tasks, h.launch(meet))
				}
				close(launched)
			})
		}
	}
	h.run(ok)
	<-launched
	for _, n := range tasks {
		h.wait(n)
	}
}

func TestWorkersTellTheirTime(t *testing.T) {
	h := start(t, 1, fakeTime)
	times := func() (busy, stepping, idle time.Duration) {
		w := h.Workers()[0]
		return time.Duration(w.Busy), time.Duration(w.Stepping), time.Duration(w.At - w.Since - w.Busy - w.Stepping)
	}
	h.expectOK()
	h.driver.onStatus = func(s *task.Status) {
		switch s.State {
		case task.Running:
			h.clock.advance(time.Second) // the driver's work, before the attempt
		case task.Finished:
			if busy, stepping, _ := times(); busy != 10*time.Second || stepping != time.Second {
				t.Errorf("as the driver hears of the end: busy %v, stepping %v", busy, stepping)
			}
			h.clock.advance(2 * time.Second)
		}
	}
	parked := make(chan struct{})
	o := h.run(func(*executor.Context) (executor.Encode, error) {
		h.clock.advance(4 * time.Second)
		if busy, stepping, _ := times(); busy != 4*time.Second || stepping != time.Second {
			t.Errorf("in the attempt: busy %v, stepping %v", busy, stepping)
		}
		h.clock.advance(6 * time.Second)
		return nil, nil
	})
	if d := time.Duration(o.Stamps.End - o.Stamps.Start); d != 10*time.Second {
		t.Errorf("the attempt took %v", d)
	}
	h.driver.onStatus = func(s *task.Status) {}
	close(parked)
	h.expectOK() // one more, so that what came before is booked
	busy, stepping, idle := times()
	if busy != 10*time.Second || stepping != 3*time.Second || idle != 0 {
		t.Errorf("busy %v, stepping %v, idle %v", busy, stepping, idle)
	}
}

// What a heartbeat is in Spark: the table of what runs, with its progress.
//
// NOT APPLICABLE: EXE-015 as to accumulators that are zero, because an
// accumulator that an attempt has not touched is not there at all.
// NOT APPLICABLE: EXE-016, because an executor that was lost stays lost: no
// heartbeat is answered, and nothing registers again under its name.
func TestEXE_015_RunningTableAndProgress(t *testing.T) {
	h := start(t, 2)
	if r := h.Running(); len(r) != 0 {
		t.Fatalf("idle, but %+v run", r)
	}
	type steps struct { // of an attempt that goes on when it is told to
		accum      task.AccumUpdate
		of         id.Task
		step, done chan struct{}
	}
	launch := func(number id.Accumulator, name string, m task.Metric) *steps {
		s := &steps{accum: task.AccumUpdate{ID: number, Name: name}, step: make(chan struct{}), done: make(chan struct{})}
		s.of = h.launch(func(c *executor.Context) (executor.Encode, error) {
			for range s.step {
				*c.Accumulator(number, name, false, func() executor.Accumulator { return new(sum) }).(*sum) += 100
				c.Metrics[m] += 100
				if err := c.Check(); err != nil {
					return nil, err
				}
				s.done <- struct{}{}
			}
			return nil, nil
		})
		return s
	}
	next := func(s *steps) { s.step <- struct{}{}; <-s.done }
	// tells asserts that the row of an attempt has its accumulator and its
	// metric, and nothing else.
	tells := func(r executor.RunningTask, s *steps, m task.Metric, sum int64) {
		t.Helper()
		var metrics task.Metrics
		metrics[m] = sum
		want := s.accum
		want.Value = fmt.Append(nil, sum)
		if r.Task != s.of || r.Latest == nil {
			t.Fatalf("%+v, want progress of %d", r, s.of)
		}
		got := r.Latest.Metrics
		got[task.JVMGCTime] = 0
		if got != metrics || !reflect.DeepEqual(r.Latest.Accums, []task.AccumUpdate{want}) {
			t.Errorf("task %d tells %v and %+v, want %v and %+v", s.of, got, r.Latest.Accums, metrics, want)
		}
	}

	// One that has ended, and what it touched, is no part of anything.
	before := launch(8, "before", task.InputBytesRead)
	next(before)
	close(before.step)
	h.wait(before.of)
	if r := h.Running(); len(r) != 0 {
		t.Fatalf("idle again, but %+v run", r)
	}

	one := launch(9, "rows", task.InputRecordsRead)
	next(one)
	r := h.Running() // nobody had asked before: no progress yet, but from now on
	if len(r) != 1 || r[0].Task != one.of || !r[0].Known || r[0].Attempt.Stage != 3 || r[0].Latest != nil || r[0].Start == 0 {
		t.Fatalf("%+v", r)
	}
	next(one)
	next(one)
	r = h.Running()
	if len(r) != 1 {
		t.Fatalf("%+v", r)
	}
	tells(r[0], one, task.InputRecordsRead, 200)
	next(one)
	tells(h.Running()[0], one, task.InputRecordsRead, 400)

	other := launch(10, "lines", task.ShuffleRecordsRead)
	next(other)
	h.Running()
	next(other)
	r = h.Running()
	if len(r) != 2 {
		t.Fatalf("%+v", r)
	}
	slices.SortFunc(r, func(a, b executor.RunningTask) int { return int(a.Task - b.Task) })
	tells(r[0], one, task.InputRecordsRead, 400)
	tells(r[1], other, task.ShuffleRecordsRead, 200)
	close(other.step)
	h.wait(other.of)

	h.Kill(one.of, false, "enough")
	if r := h.Running(); r[0].Killed != "enough" {
		t.Fatalf("%+v", r)
	}
	close(one.step)
	h.wait(one.of)
}

// What ignores its kill costs its slot, and the process lives on.
//
// NOT APPLICABLE: CAN-010 as to exit code 57, because executors share the
// process of the driver, which Spark does not end either.
func TestCAN_010_Reaper(t *testing.T) {
	var log bytes.Buffer
	h := start(t, 2, fakeTime, func(h *harness, c *executor.Config, d *executor.Deps) {
		c.ReaperTimeout = 5 * time.Second
		d.Logger = slog.New(slog.NewTextHandler(&log, nil))
		h.clock.advance(time.Hour)
	})
	release := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(2)
	ignore := func(*executor.Context) (executor.Encode, error) { begun.Done(); ignoreKill(release); return nil, nil }
	a, b := h.launch(ignore), h.launch(ignore)
	begun.Wait()
	reap := func() []int {
		h.Reap(h.clock.now.Load())
		h.driver.mu.Lock()
		defer h.driver.mu.Unlock()
		return slices.Clone(h.driver.lost)
	}
	h.clock.advance(time.Hour)
	if lost := reap(); len(lost) != 0 {
		t.Errorf("attempts that were not killed are reaped: %v", lost)
	}
	h.Kill(a, false, "enough")
	h.clock.advance(5 * time.Second)
	if lost := reap(); len(lost) != 0 {
		t.Errorf("reaped at the timeout: %v", lost)
	}
	h.clock.advance(1)
	if lost := reap(); !reflect.DeepEqual(lost, []int{1}) {
		t.Errorf("slots left: %v, want [1]", lost)
	}
	if s := log.String(); !strings.Contains(s, "ignoreKill") || !strings.Contains(s, "(TID "+fmt.Sprint(int(a))+")") {
		t.Errorf("the log lacks the attempt's name or stack:\n%s", s)
	}
	h.Kill(b, false, "enough")
	h.clock.advance(6 * time.Second)
	if lost := reap(); !reflect.DeepEqual(lost, []int{1, 0}) {
		t.Errorf("slots left: %v, want [1 0]", lost)
	}
	close(release)
	if o := h.wait(a); o.State != task.Killed {
		t.Errorf("it came back as %v", o.State)
	}
	h.wait(b)
	if n := len(h.threads(2)); n != 2 { // both serve again
		t.Errorf("%d workers", n)
	}
}

func TestCAN_010_NoReaperWithoutATimeout(t *testing.T) {
	h := start(t, 1, fakeTime, func(_ *harness, c *executor.Config, _ *executor.Deps) { c.ReaperTimeout = 0 })
	begun, release := make(chan struct{}), make(chan struct{})
	n := h.launch(func(*executor.Context) (executor.Encode, error) { close(begun); ignoreKill(release); return nil, nil })
	<-begun
	h.Kill(n, false, "enough")
	h.clock.advance(1000 * time.Hour)
	h.Reap(h.clock.now.Load())
	close(release)
	h.wait(n)
	h.driver.mu.Lock()
	defer h.driver.mu.Unlock()
	if len(h.driver.lost) != 0 {
		t.Errorf("slots left: %v", h.driver.lost)
	}
}

func ignoreKill(release chan struct{}) { <-release }

// A closed executor rejects what is launched, alone or in a chain: each attempt
// is reported as failed, once, for that reason.
func TestEXE_011_LaunchOnAClosedExecutorFails(t *testing.T) {
	h := start(t, 1)
	if err := h.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	body := func(*executor.Context) (executor.Encode, error) { t.Error("ran after Close"); return nil, nil }
	chain := h.chain(body, body, body)
	h.LaunchChain(chain)
	for _, n := range append(tasksOf(chain), h.launch(body)) {
		o := h.wait(n)
		if o.State != task.Failed || o.failure.Kind != task.ExceptionFailure || o.failure.Message != executor.ErrClosed.Error() {
			t.Errorf("task %d: %v %+v", n, o.State, o.failure)
		}
		if all := h.statuses(n); len(all) != 1 {
			t.Errorf("task %d: %d statuses", n, len(all))
		}
	}
	if err := h.Close(0); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// What an attempt is made from cannot be had: it fails with just that error,
// and what is launched before and behind it, in its chain too, runs.
func TestEXE_011_WhatCannotBeMadeFails(t *testing.T) {
	brokenDisk := errors.New("the disk is broken")
	for _, c := range []struct {
		name   string
		change func(d *task.Description)
		spoil  func(msg []byte) []byte
		want   string
	}{
		{"description that is cut", nil, func(msg []byte) []byte { return msg[:len(msg)/2] }, "cannot decode"},
		{"no description", nil, func([]byte) []byte { return nil }, "cannot decode"},
		{"task binary that is gone", func(d *task.Description) { d.Binary = 404 }, nil, "cannot get the task binary of stage 3.1: no block broadcast_404"},
		{"file that cannot be fetched", func(d *task.Description) {
			d.Files = []task.File{{Name: "f", Source: "/nowhere/f", Timestamp: 1}}
		}, nil, `cannot fetch file "f" from "/nowhere/f": the disk is broken`},
		{"no body", func(d *task.Description) { d.Properties = map[string]string{"decode": "nothing"} }, nil,
			"cannot decode the task binary: the decoder returned no body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, 1, func(h *harness, _ *executor.Config, d *executor.Deps) {
				d.FS = brokenFS{fsys.OS, brokenDisk}
				decode := d.Decode
				d.Decode = func(c *executor.Context, binary []byte) (executor.Body, error) {
					if c.Properties["decode"] == "nothing" {
						return nil, nil
					}
					return decode(c, binary)
				}
			})
			body := func(*executor.Context) (executor.Encode, error) { t.Error("it ran"); return nil, nil }
			bad := func() task.Launch {
				d := h.describe(body)
				if c.change != nil {
					c.change(d)
				}
				msg := task.AppendDescription(nil, d)
				if c.spoil != nil {
					msg = c.spoil(msg)
				}
				return task.Launch{Task: d.Task, Desc: msg}
			}
			alone, within := bad(), bad()
			chain := append(append(h.chain(ok), within), h.chain(ok)...)
			h.Launch(alone.Task, alone.Desc)
			h.LaunchChain(chain)
			for _, n := range append(tasksOf(chain), alone.Task) {
				o, fails := h.wait(n), n == alone.Task || n == within.Task
				if fails && (o.State != task.Failed || o.failure.Kind != task.ExceptionFailure || !strings.HasPrefix(o.failure.Message, c.want)) {
					t.Errorf("task %d: %v %+v", n, o.State, o.failure)
				}
				if !fails && o.State != task.Finished {
					t.Errorf("task %d, which is sound: %v %+v", n, o.State, o.failure)
				}
				if all := h.statuses(n); len(all) != 2 || all[0].State != task.Running {
					t.Errorf("task %d: %+v", n, all)
				}
			}
		})
	}
}

// brokenFS opens nothing.
type brokenFS struct {
	fsys.FS
	err error
}

func (f brokenFS) Open(string) (fsys.File, error) { return nil, f.err }

// Attempts that are launched while the executor closes run, are killed in its
// queue, or are rejected: each is reported.
func TestEXE_011_NoLaunchIsLostToClosing(t *testing.T) {
	for range 10 {
		h := start(t, 2)
		const each = 30
		var launched [3][]id.Task
		var launchers sync.WaitGroup
		closing := make(chan struct{})
		for i := range launched {
			launchers.Go(func() {
				for n := range each {
					if n == each/2 && i == 0 {
						close(closing)
					}
					if n%2 == 0 {
						launched[i] = append(launched[i], h.launch(ok))
						continue
					}
					chain := h.chain(ok, ok)
					h.LaunchChain(chain)
					launched[i] = append(launched[i], tasksOf(chain)...)
				}
			})
		}
		<-closing
		if err := h.Close(time.Minute); err != nil {
			t.Fatal(err)
		}
		launchers.Wait()
		for _, n := range slices.Concat(launched[:]...) {
			if o := h.wait(n); o.State != task.Finished && o.failure.Message != executor.ErrClosed.Error() {
				t.Errorf("task %d: %v %+v", n, o.State, o.failure)
			}
		}
	}
}

func TestCloseKillsAndNamesWhatStays(t *testing.T) {
	h := start(t, 1)
	begun, release := make(chan struct{}), make(chan struct{})
	stuck := h.launch(func(*executor.Context) (executor.Encode, error) { close(begun); <-release; return nil, nil })
	queued := h.launch(func(*executor.Context) (executor.Encode, error) { t.Error("ran after Close"); return nil, nil })
	<-begun
	err := h.Close(0)
	if err == nil || !strings.Contains(err.Error(), "task 1.0 in stage 3.1 (TID 1) still runs on worker 0") {
		t.Fatalf("%v", err)
	}
	close(release)
	for _, n := range []id.Task{stuck, queued} {
		if o := h.wait(n); o.State != task.Killed || o.failure.Message != "executor is closed" {
			t.Errorf("%v %+v", o.State, o.failure)
		}
	}
	if err := h.Close(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	if _, err := executor.New(executor.Config{ID: "x"}, executor.Deps{}); err == nil || !strings.Contains(err.Error(), "0 slots") {
		t.Error(err)
	}
	if _, err := executor.New(executor.Config{ID: "x", Slots: 1}, executor.Deps{}); err == nil {
		t.Error("an executor without a driver starts")
	}
}
