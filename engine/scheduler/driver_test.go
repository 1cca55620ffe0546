package scheduler

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// pool of workers that run descriptions: an executor in small.
type workers struct {
	driver *Driver
	run    func(d *task.Description, w int) (value []byte, f *task.Failure)
	stored map[block.ID][]byte // results above direct are kept here
	direct int                 // largest direct result; 0: all are
	lose   bool                // lose stored results, the first time
	queue  chan []byte
	wg     sync.WaitGroup
	mu     sync.Mutex
	kills  map[id.Task]string
	events []event.Event
	names  []string
	accums []task.AccumUpdate
	binary atomic.Int64
	alive  atomic.Int64 // task binaries
}

func (w *workers) Launch(_ id.Executor, _ id.Task, desc []byte) {
	w.queue <- append([]byte(nil), desc...)
}

func (w *workers) Drop(id.Executor, string) {}

func (w *workers) Kill(_ id.Executor, t id.Task, _ bool, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kills[t] = reason
}

func (w *workers) killed(t id.Task) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.kills[t]
	return r, ok
}

func (w *workers) GetBytes(b block.ID) ([]byte, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, ok := w.stored[b]
	if !ok || w.lose {
		w.lose = false
		return nil, nil, errors.New("block is not there")
	}
	return data, func() {}, nil
}

func (w *workers) Remove(b block.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.stored[b]
	delete(w.stored, b)
	return ok
}

// Emit keeps names of events in order, with a copy of task ends.
func (w *workers) Emit(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = append(w.names, strings.TrimPrefix(fmt.Sprintf("%T", e), "*event."))
	if end, ok := e.(*event.TaskEnd); ok {
		c := *end
		w.events = append(w.events, &c)
	}
}

func (w *workers) loop(n int) {
	defer w.wg.Done()
	var d task.Description
	for desc := range w.queue {
		if err := task.DecodeDescription(desc, &d); err != nil {
			panic(err)
		}
		status := task.Status{Task: d.Task, Executor: d.Executor, State: task.Running, Worker: int32(n)}
		w.driver.StatusUpdate(task.AppendStatus(nil, &status))
		value, f := w.run(&d, n)
		if f != nil {
			status.State = task.Failed
			if f.Kind == task.TaskKilled {
				status.State = task.Killed
			}
			status.Result = task.AppendFailure(nil, f)
		} else {
			status.State, status.Route = task.Finished, task.RouteDirect
			status.Result = task.AppendResult(nil, &task.Result{Value: value, Accums: w.accums})
			status.Size = int64(len(status.Result))
			if w.direct > 0 && len(value) > w.direct {
				status.Route, status.Block = task.RouteIndirect, string(block.TaskResult(d.Task))
				w.mu.Lock()
				w.stored[block.ID(status.Block)] = status.Result
				w.mu.Unlock()
				status.Result = nil
			}
		}
		msg := task.AppendStatus(nil, &status)
		w.driver.StatusUpdate(msg)
		clear(msg) // it was valid during the call only
	}
}

func startWorkers(t testing.TB, n int, cfg Config, run func(d *task.Description, w int) ([]byte, *task.Failure)) *workers {
	t.Helper()
	w := &workers{run: run, stored: map[block.ID][]byte{}, queue: make(chan []byte, 4*n), kills: map[id.Task]string{}}
	cfg.Executors = []ExecutorSpec{{ID: id.Driver, Host: "h", Slots: n}}
	began := time.Now()
	w.driver = New(cfg, Deps{
		Now:        func() int64 { return int64(time.Since(began)) },
		Backend:    w,
		Binary:     func(BinaryRequest) (id.Broadcast, error) { w.alive.Add(1); return id.Broadcast(w.binary.Add(1)), nil },
		DropBinary: func(id.Broadcast) { w.alive.Add(-1) },
		Blocks:     w,
		Events:     w,
	})
	w.wg.Add(n)
	for i := range n {
		go w.loop(i)
	}
	t.Cleanup(func() {
		if err := w.driver.Close(time.Minute); err != nil {
			t.Error(err)
		}
		close(w.queue)
		w.wg.Wait()
		if err := w.driver.Idle(); err != nil {
			t.Errorf("left over: %v", err)
		}
		if n := w.alive.Load(); n != 0 {
			t.Errorf("%d task binaries are left", n)
		}
		if len(w.stored) != 0 {
			t.Errorf("%d stored results are left", len(w.stored))
		}
	})
	return w
}

// small runs a task of either kind.
func small(d *task.Description, _ int) ([]byte, *task.Failure) {
	if d.Kind == task.ShuffleMapTask {
		return task.AppendMapStatus(nil, task.NewMapStatus(task.Location{Host: "h", Executor: d.Executor}, d.Task, []int64{1, 2, 3})), nil
	}
	return binary.AppendVarint(nil, int64(d.Partition)), nil
}

func lineage(parts int) *plan.Node {
	maps := &plan.Node{ID: 0, Name: "source", Partitions: parts}
	d := &plan.ShuffleDep{Parent: maps, Reducers: 3}
	r := &plan.Node{ID: 1, Name: "reduce", Partitions: 3}
	r.SetDeps(d)
	return r
}

func TestDriverRunsJobs(t *testing.T) {
	w := startWorkers(t, 3, Config{}, small)
	for range 3 {
		var got []int
		err := w.driver.Run(t.Context(), JobSpec{Final: lineage(50), Action: "count"}, func(i int, v []byte) error {
			if n, _ := binary.Varint(v); int(n) != i {
				t.Errorf("result %d is %d", i, n)
			}
			got = append(got, i) // no lock: on this goroutine alone
			return nil
		})
		slices.Sort(got)
		if err != nil || !slices.Equal(got, []int{0, 1, 2}) {
			t.Fatalf("results %v, error %v", got, err)
		}
	}
}

func TestDriverRunsManyJobsAtOnce(t *testing.T) {
	w := startWorkers(t, 4, Config{}, small)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			source := &plan.Node{Partitions: 100, Name: "source"}
			seen := map[int]bool{}
			err := w.driver.Run(t.Context(), JobSpec{Final: source}, func(i int, v []byte) error {
				if n, _ := binary.Varint(v); int(n) != i || seen[i] {
					return fmt.Errorf("result %d is %d, seen %v", i, n, seen[i])
				}
				seen[i] = true
				return nil
			})
			if err != nil || len(seen) != 100 {
				t.Errorf("%d results, error %v", len(seen), err)
			}
		})
	}
	wg.Wait()
	ends := 0
	for _, n := range w.names {
		if n == "TaskEnd" {
			ends++
		}
	}
	if ends != 800 {
		t.Errorf("%d TaskEnds, want 800", ends)
	}
}

// Goroutines that remove the same shuffles at once, beside a job: nothing is
// left of any, and who asks for one is told that it is not known.
func TestMOT_006_ShufflesAreRemovedAtOnce(t *testing.T) {
	w := startWorkers(t, 2, Config{}, small)
	const shuffles = 100
	for n := range id.Shuffle(shuffles) {
		d := &plan.ShuffleDep{Parent: &plan.Node{ID: id.Node(n), Name: "source", Partitions: 2}, Shuffle: n, Reducers: 3}
		if _, err := w.driver.RunMapStage(t.Context(), JobSpec{Final: d.Parent, Shuffle: d}); err != nil {
			t.Fatal(err)
		}
		if list, _, err := w.driver.MapOutputs(n, 0); err != nil || len(list) != 2 || list[0] == nil || list[1] == nil {
			t.Fatalf("map outputs %v, %v", list, err)
		}
	}
	var wg sync.WaitGroup
	for g := range 5 {
		wg.Go(func() {
			for i := range shuffles {
				w.driver.RemoveShuffle(id.Shuffle((i + 20*g) % shuffles))
			}
		})
	}
	wg.Go(func() {
		if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{ID: 1000, Partitions: 20}}, func(int, []byte) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	for n := range id.Shuffle(shuffles + 1) { // the last was never there
		if list, _, err := w.driver.MapOutputs(n, 0); !errors.Is(err, ErrUnknownShuffle) || list != nil {
			t.Errorf("shuffle %d: %v, %v; want that it is not known", n, list, err)
		}
	}
	if err := w.driver.Idle(); err != nil { // also: its core is not being stepped
		t.Fatal(err)
	}
	if o := &w.driver.core.outputs; len(o.ids) != 0 || len(o.shuffles) != 0 {
		t.Errorf("%d shuffles by number and %d in order are left", len(o.shuffles), len(o.ids))
	}
}

func TestDAG_020_HandlerFails(t *testing.T) {
	w := startWorkers(t, 2, Config{}, small)
	cause := errors.New("cannot keep it")
	for name, handle := range map[string]func(int, []byte) error{
		"error": func(int, []byte) error { return cause },
		"panic": func(int, []byte) error { panic(cause) },
	} {
		err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 500}}, handle)
		he, ok := errors.AsType[*HandlerError](err)
		if !ok || !errors.Is(err, cause) || (he.Stack != "") != (name == "panic") {
			t.Errorf("%s: got %v", name, err)
		}
		n := 0
		if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 5}}, func(int, []byte) error { n++; return nil }); err != nil || n != 5 {
			t.Errorf("the next job: %d results, error %v", n, err)
		}
	}
}

func TestContextCancelsTheJob(t *testing.T) {
	running := make(chan id.Task, 100)
	release := make(chan struct{})
	w := startWorkers(t, 2, Config{}, func(d *task.Description, _ int) ([]byte, *task.Failure) {
		running <- d.Task
		<-release
		return nil, &task.Failure{Kind: task.TaskKilled, Message: "killed"}
	})
	why := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-running
		cancel(why)
	}()
	err := w.driver.Run(ctx, JobSpec{Final: &plan.Node{Partitions: 10}}, func(int, []byte) error { return nil })
	if !errors.Is(err, why) {
		t.Fatalf("got %v", err)
	}
	if je, ok := errors.AsType[*JobError](err); !ok || je.Job != 0 {
		t.Fatalf("got %T", err)
	}
	if _, ok := w.killed(0); !ok {
		t.Fatal("the attempt was not killed")
	}
	close(release)
	if err := w.driver.Run(ctx, JobSpec{Final: &plan.Node{Partitions: 1}}, nil); !errors.Is(err, why) {
		t.Fatalf("a job under an ended context: %v", err)
	}
}

func TestRES_001_StoredResults(t *testing.T) {
	w := startWorkers(t, 2, Config{}, func(d *task.Description, _ int) ([]byte, *task.Failure) {
		return []byte(strings.Repeat("x", int(d.Partition))), nil
	})
	w.direct = 5
	got := map[int]int{}
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 10}}, func(i int, v []byte) error {
		got[i] = len(v)
		return nil
	})
	if err != nil || len(got) != 10 || got[9] != 9 || got[2] != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	fetches := 0
	for _, n := range w.names {
		if n == "TaskGettingResult" {
			fetches++
		}
	}
	if fetches != 4 {
		t.Errorf("%d fetches announced, want 4", fetches)
	}
	for _, e := range w.events {
		end := e.(*event.TaskEnd)
		if (end.Route == task.RouteIndirect) != (end.Info.GettingResult != 0) || end.Metrics[task.ResultSize] == 0 {
			t.Errorf("task %d: route %v, fetched at %d, size %d", end.Info.Task, end.Route, end.Info.GettingResult, end.Metrics[task.ResultSize])
		}
	}
}

func TestRES_002_LostStoredResultIsComputedAgain(t *testing.T) {
	w := startWorkers(t, 1, Config{MaxFailures: 2}, func(d *task.Description, _ int) ([]byte, *task.Failure) {
		return []byte("a long result"), nil
	})
	w.direct, w.lose = 5, true
	n := 0
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, func(int, []byte) error { n++; return nil })
	if err != nil || n != 1 || len(w.events) != 2 {
		t.Fatalf("%d results from %d attempts, error %v", n, len(w.events), err)
	}
	first := w.events[0].(*event.TaskEnd)
	if first.Reason != task.TaskResultLost || first.Info.Failed || first.Info.Killed {
		t.Errorf("the lost one ended as %v, failed %v, killed %v", first.Reason, first.Info.Failed, first.Info.Killed)
	}
	w.mu.Lock()
	delete(w.stored, block.TaskResult(0)) // the lost one, from this test's own store
	w.mu.Unlock()
}

func TestRES_004_EmptyResultsDoNotCount(t *testing.T) {
	w := startWorkers(t, 2, Config{MaxResult: 1 << 20}, func(*task.Description, int) ([]byte, *task.Failure) { return nil, nil })
	n := 0
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 10_000}}, func(int, []byte) error { n++; return nil })
	if err != nil || n != 10_000 {
		t.Fatalf("%d results, %v", n, err)
	}
}

func TestRES_005_UnreadableFailure(t *testing.T) {
	w := startWorkers(t, 1, Config{}, small)
	w.run = func(d *task.Description, _ int) ([]byte, *task.Failure) {
		s := task.Status{Task: d.Task, State: task.Failed, Result: []byte("no failure at all")}
		w.driver.StatusUpdate(task.AppendStatus(nil, &s))
		return nil, nil
	}
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, func(int, []byte) error { return nil })
	te, ok := errors.AsType[*TaskError](err)
	if !ok || te.Failure.Kind != task.UnknownReason {
		t.Fatalf("got %v", err)
	}
}

func TestDamagedStatusMessageEndsJobs(t *testing.T) {
	w := startWorkers(t, 1, Config{}, small)
	w.run = func(d *task.Description, _ int) ([]byte, *task.Failure) {
		w.driver.StatusUpdate([]byte("damaged"))
		return nil, &task.Failure{Kind: task.TaskKilled}
	}
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, func(int, []byte) error { return nil })
	if !errors.Is(err, task.ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
}

func TestDriverQuestions(t *testing.T) {
	w := startWorkers(t, 2, Config{}, small)
	var commits, tries atomic.Int64
	w.run = func(d *task.Description, _ int) ([]byte, *task.Failure) {
		if d.Kind == task.ShuffleMapTask {
			return small(d, 0)
		}
		statuses, epoch, err := w.driver.MapOutputs(0, d.Epoch)
		if err != nil || len(statuses) != 50 || slices.Contains(statuses, nil) || epoch < d.Epoch {
			return nil, &task.Failure{Kind: task.ExceptionFailure, Message: fmt.Sprint(len(statuses), epoch, err)}
		}
		tries.Add(1)
		for range 2 { // asking again changes nothing
			if w.driver.CanCommit(d.StageAttempt, d.Partition, d.Number) {
				commits.Add(1)
			}
		}
		if w.driver.CanCommit(d.StageAttempt, d.Partition, d.Number+1) {
			return nil, &task.Failure{Kind: task.ExceptionFailure, Message: "two may commit"}
		}
		return small(d, 0)
	}
	if err := w.driver.Run(t.Context(), JobSpec{Final: lineage(50)}, func(int, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if commits.Load() != 2*tries.Load() || tries.Load() != 3 {
		t.Errorf("%d commits, %d tries", commits.Load(), tries.Load())
	}
	if _, _, err := w.driver.MapOutputs(77, 0); !errors.Is(err, ErrUnknownShuffle) {
		t.Errorf("unknown shuffle: %v", err)
	}
	w.driver.RemoveShuffle(0)
	if _, _, err := w.driver.MapOutputs(0, 0); !errors.Is(err, ErrUnknownShuffle) {
		t.Errorf("removed shuffle: %v", err)
	}
	if w.driver.KillTask(1<<40, "no") {
		t.Error("an attempt that never was could be killed")
	}
}

func TestDriverBarrier(t *testing.T) {
	w := startWorkers(t, 4, Config{}, small)
	w.run = func(d *task.Description, _ int) ([]byte, *task.Failure) {
		r := task.BarrierRequest{StageAttempt: d.StageAttempt, Task: d.Task, Partition: d.Partition, NumTasks: 4,
			Method: task.AllGather, Message: fmt.Sprint("from ", d.Partition)}
		served := make(chan struct{}, 1)
		served <- struct{}{}
		r.Requested, r.Serve = served, func() {}
		all, err := w.driver.Barrier(t.Context(), r)
		if err == nil && !slices.Equal(all, []string{"from 0", "from 1", "from 2", "from 3"}) {
			err = fmt.Errorf("got %q", all)
		}
		if err == nil {
			r.Epoch, r.Method = 1, task.Barrier
			_, err = w.driver.Barrier(t.Context(), r)
		}
		if len(strings.Split(d.Properties[propAddresses], ",")) != 4 {
			err = fmt.Errorf("addresses %q", d.Properties[propAddresses])
		}
		if err != nil {
			return nil, &task.Failure{Kind: task.ExceptionFailure, Message: err.Error()}
		}
		return nil, nil
	}
	n := 0
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 4, Barrier: true}}, func(int, []byte) error { n++; return nil })
	if err != nil || n != 4 {
		t.Fatalf("%d results, %v", n, err)
	}
}

func TestDriverCancels(t *testing.T) {
	running, release := make(chan struct{}, 10), make(chan struct{})
	w := startWorkers(t, 1, Config{}, func(*task.Description, int) ([]byte, *task.Failure) {
		running <- struct{}{}
		<-release
		return nil, &task.Failure{Kind: task.TaskKilled}
	})
	defer close(release)
	for i, cancel := range []func(job id.Job, stage id.Stage){
		func(j id.Job, _ id.Stage) { w.driver.CancelJob(j, "why") },
		func(id.Job, id.Stage) { w.driver.CancelGroup("g", "why", false) },
		func(id.Job, id.Stage) { w.driver.CancelTag("t", "why") },
		func(_ id.Job, s id.Stage) { w.driver.CancelStage(s, "why") },
		func(id.Job, id.Stage) { w.driver.CancelAll("why") },
	} {
		done := make(chan error, 1)
		go func() {
			props := map[string]string{propGroup: "g", propTags: "t"}
			done <- w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}, Properties: props}, nil)
		}()
		<-running
		cancel(id.Job(i), id.Stage(i))
		if err := <-done; !errors.Is(err, ErrCancelled) || !strings.Contains(err.Error(), "why") {
			t.Errorf("way %d: %v", i, err)
		}
		release <- struct{}{}
	}
}

func TestExecutorsComeAndGo(t *testing.T) {
	w := startWorkers(t, 2, Config{}, small)
	w.driver.AddExecutor(ExecutorSpec{ID: "more", Host: "h2", Slots: 1})
	n := 0
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 20}}, func(int, []byte) error { n++; return nil }); err != nil || n != 20 {
		t.Fatalf("%d results, %v", n, err)
	}
	if !w.driver.LoseExecutor("more", "test", false) || w.driver.LoseExecutor("more", "test", false) {
		t.Error("an executor is lost once")
	}
	w.driver.LoseExecutor(id.Driver, "test", false)
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, nil); !errors.Is(err, ErrNoExecutor) {
		t.Fatalf("without executors: %v", err)
	}
}

// What users gave and the loop of events calls may panic: it costs its job at
// most, and the loop goes on.
//
// NOT APPLICABLE: DAG-036 as to an error hook, because handling an event has
// no error of its own: whatever of the user's it calls has a recover around
// it, and a panic of the scheduler itself is a mistake that ends the process.
func TestDAG_036_PanicsDoNotEndTheLoop(t *testing.T) {
	w := startWorkers(t, 1, Config{}, small)
	w.driver.deps.Accums = func([]task.AccumUpdate) []event.Accumulable { panic("merge") }
	w.accums = []task.AccumUpdate{{ID: 1, Value: []byte{1}}}
	n := 0
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 2}}, func(int, []byte) error { n++; return nil }); err != nil || n != 2 {
		t.Fatalf("a merge that panics: %d results, %v", n, err)
	}
	makeBinary := w.driver.deps.Binary
	w.driver.deps.Binary = func(BinaryRequest) (id.Broadcast, error) { panic("no codec") }
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 2}}, nil); err == nil || !strings.Contains(err.Error(), "no codec") {
		t.Fatalf("a binary that panics: %v", err)
	}
	w.driver.deps.Binary = makeBinary
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 2}}, func(int, []byte) error { n++; return nil }); err != nil || n != 4 {
		t.Fatalf("the job after it: %d results in all, %v", n, err)
	}
}

// Stopping is done once, whoever asks for it and how often: the handler of a
// job's results, too.
func TestDAG_036_StoppingIsIdempotent(t *testing.T) {
	release := make(chan struct{})
	w := startWorkers(t, 1, Config{}, func(d *task.Description, _ int) ([]byte, *task.Failure) {
		if d.Partition > 0 {
			<-release
		}
		return nil, nil
	})
	defer close(release)
	handled := 0
	err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 3}}, func(int, []byte) error {
		handled++
		return w.driver.Close(time.Minute)
	})
	if handled != 1 || !errors.Is(err, ErrClosed) {
		t.Errorf("%d results were handled, and the job ended with %v", handled, err)
	}
	var stops sync.WaitGroup
	for range 4 {
		stops.Go(func() {
			if err := w.driver.Close(time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	stops.Wait()
}

// emitted calls a function with each event.
type emitted func(event.Event)

func (f emitted) Emit(e event.Event) { f(e) }

// NOT APPLICABLE: DAG-036 as to stopping that is over when it returns inside
// the handling of an event, because it waits for what is being handled: there
// it gives up after its grace, and stops all the same (a session refuses to
// be closed there).
func TestDAG_036_StoppingInsideAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorkers(t, 1, Config{}, small)
		var inside error
		w.driver.deps.Events = emitted(func(e event.Event) {
			if _, ok := e.(*event.JobStart); ok {
				inside = w.driver.Close(time.Second)
			}
		})
		err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 3}}, func(int, []byte) error { return nil })
		if !errors.Is(err, ErrClosed) {
			t.Errorf("the job: %v", err)
		}
		if inside == nil || !strings.Contains(inside.Error(), "closes the session itself") {
			t.Errorf("inside an event: %v", inside)
		}
		if err := w.driver.Close(time.Minute); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestCloseCancelsAndRefuses(t *testing.T) {
	running, release := make(chan struct{}, 10), make(chan struct{})
	w := startWorkers(t, 1, Config{}, func(*task.Description, int) ([]byte, *task.Failure) {
		running <- struct{}{}
		<-release
		return nil, nil
	})
	done := make(chan error, 1)
	go func() {
		done <- w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 3}}, func(int, []byte) error { return nil })
	}()
	<-running
	for range 2 {
		if err := w.driver.Close(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatalf("the job that ran: %v", err)
	}
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("a job after Close: %v", err)
	}
	close(release)
}

// The goroutine of a job steps the scheduler, and Close waits for what it is
// in the middle of: until then, whatever is taken down next is in use.
func TestCloseWaitsForWhoeverSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWorkers(t, 1, Config{}, small)
		making, gate := make(chan struct{}), make(chan struct{})
		makeBinary := w.driver.deps.Binary
		w.driver.deps.Binary = func(r BinaryRequest) (id.Broadcast, error) {
			close(making)
			<-gate
			return makeBinary(r)
		}
		job := make(chan error, 1)
		go func() { job <- w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, nil) }()
		<-making
		if err := w.driver.Close(time.Second); err == nil || !strings.Contains(err.Error(), "within 1s") {
			t.Errorf("while a binary is made for ever: %v", err)
		}
		closed := make(chan error, 1)
		go func() { closed <- w.driver.Close(time.Minute) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("Close returned %v while a binary is made", err)
			closed <- err
		default:
		}
		close(gate)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := <-job; !errors.Is(err, ErrClosed) {
			t.Errorf("the job: %v", err)
		}
	})
}

func TestLastSlotLostFailsJobs(t *testing.T) {
	running, release := make(chan id.Task, 10), make(chan struct{})
	w := startWorkers(t, 1, Config{MaxFailures: 4}, func(d *task.Description, _ int) ([]byte, *task.Failure) {
		running <- d.Task
		<-release
		return nil, nil
	})
	done := make(chan error, 1)
	go func() {
		done <- w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 3}}, func(int, []byte) error { return nil })
	}()
	w.driver.SlotLost(<-running, 0)
	if err := <-done; !errors.Is(err, ErrNoExecutor) {
		t.Fatalf("got %v", err)
	}
	if err := w.driver.Run(t.Context(), JobSpec{Final: &plan.Node{Partitions: 1}}, nil); !errors.Is(err, ErrNoExecutor) {
		t.Fatalf("the next job: %v", err)
	}
	close(release)
}

func TestMapStageJobOfTheDriver(t *testing.T) {
	w := startWorkers(t, 2, Config{}, small)
	r := lineage(4)
	d := r.Deps()[0].(*plan.ShuffleDep)
	got, err := w.driver.RunMapStage(t.Context(), JobSpec{Final: d.Parent, Shuffle: d})
	if err != nil || !slices.Equal(got, []int64{4, 8, 12}) {
		t.Fatalf("got %v, %v", got, err)
	}
}

// instant is a backend whose attempts end inside Launch.
type instant struct {
	d      *Driver
	status task.Status
	msg    []byte
	result []byte
	desc   task.Description
	decode task.DescriptionDecoder
	ended  int
}

func (b *instant) Launch(_ id.Executor, n id.Task, desc []byte) {
	if err := b.decode.Decode(desc, &b.desc); err != nil {
		panic(err)
	}
	b.status = task.Status{Task: n, Executor: id.Driver, State: task.Running, Worker: -1}
	b.msg = task.AppendStatus(b.msg[:0], &b.status)
	b.d.StatusUpdate(b.msg)
	b.status.State, b.status.Route, b.status.Result, b.status.Size = task.Finished, task.RouteDirect, b.result, int64(len(b.result))
	b.msg = task.AppendStatus(b.msg[:0], &b.status)
	b.d.StatusUpdate(b.msg)
	b.ended++
}

func (b *instant) Kill(id.Executor, id.Task, bool, string)   {}
func (b *instant) Drop(id.Executor, string)                  {}
func (b *instant) GetBytes(block.ID) ([]byte, func(), error) { return nil, nil, errors.New("none") }
func (b *instant) Remove(block.ID) bool                      { return false }
func (b *instant) Emit(event.Event)                          {}

// BenchmarkEmptyTask measures what the driver's side of an attempt costs:
// launch, running message, result, events, delivery.
func BenchmarkEmptyTask(b *testing.B) {
	b.ReportAllocs()
	back := &instant{}
	var m task.Metrics
	for i := range 8 {
		m[i] = int64(1000 + i)
	}
	back.result = task.AppendResult(nil, &task.Result{Value: []byte{7}, Metrics: m})
	began := time.Now()
	back.d = New(Config{Executors: []ExecutorSpec{{ID: id.Driver, Host: "h", Slots: 2}}}, Deps{
		Now: func() int64 { return int64(time.Since(began)) }, Backend: back,
		Binary:     func(BinaryRequest) (id.Broadcast, error) { return 1, nil },
		DropBinary: func(id.Broadcast) {}, Blocks: back, Events: back,
	})
	defer back.d.Close(time.Minute)
	b.ResetTimer()
	results := 0
	err := back.d.Run(b.Context(), JobSpec{Final: &plan.Node{Partitions: b.N}, Properties: map[string]string{"a": "b"}},
		func(int, []byte) error { results++; return nil })
	if err != nil || results != b.N || back.ended != b.N {
		b.Fatalf("%d results, %v", results, err)
	}
}
