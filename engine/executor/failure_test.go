package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

var errFetch = &task.Failure{
	Kind: task.FetchFailed, Message: "block is gone",
	Fetch: task.FetchFailure{Executor: "2", Shuffle: 1, Map: 5, MapIndex: 6, Reduce: 7},
}

// recorded is a body that cannot fetch, twice, and then returns err.
func recorded(err error) executor.Body {
	return func(c *executor.Context) (executor.Encode, error) {
		c.SetFetchFailed(errFetch)
		c.SetFetchFailed(&task.Failure{Kind: task.FetchFailed, Message: "a later one"})
		return nil, err
	}
}

// Whatever user code makes of a fetch failure, the driver is told of it, and
// of the first one.
func TestEXE_001_FetchFailureIsToldWhateverUserCodeSays(t *testing.T) {
	h := start(t, 2)
	for name, body := range map[string]executor.Body{
		"replaced":               recorded(errors.New("stream ended")),
		"wrapped":                recorded(fmt.Errorf("w: %w", errFetch)),
		"returned, not recorded": failing(fmt.Errorf("w: %w", errFetch)),
		"followed by a panic":    func(c *executor.Context) (executor.Encode, error) { c.SetFetchFailed(errFetch); panic("x") },
		"panicked with":          func(c *executor.Context) (executor.Encode, error) { panic(fmt.Errorf("w: %w", errFetch)) },
		"replaced by a denied commit": func(c *executor.Context) (executor.Encode, error) {
			c.SetFetchFailed(errFetch)
			return nil, c.CanCommit()
		},
	} {
		o := h.run(body)
		if f := o.failure; o.State != task.Failed || f.Kind != task.FetchFailed || f.Message != "block is gone" || f.Fetch != errFetch.Fetch || f.Class != "" {
			t.Errorf("%s: %v %+v", name, o.State, f)
		}
	}
	// One that user code swallowed does not fail the attempt.
	if o := h.run(recorded(nil)); o.State != task.Finished {
		t.Errorf("swallowed: %v %+v", o.State, o.failure)
	}
}

// The taxonomy of spark-semantics §3.5.
func TestFailureTaxonomy(t *testing.T) {
	h := start(t, 2)
	killed := func(err error) executor.Body { // killed by itself, so that the order is sure
		return func(c *executor.Context) (executor.Encode, error) {
			h.Kill(c.Task, false, "not needed")
			return nil, err
		}
	}
	deny := func(c *executor.Context) (executor.Encode, error) {
		return nil, fmt.Errorf("cannot write: %w", c.CanCommit())
	}
	for _, c := range []struct {
		name    string
		body    executor.Body
		state   task.State
		kind    task.ReasonKind
		message string
		class   string
		metrics bool
	}{
		{"user error", failing(errors.New("bad row")), task.Failed, task.ExceptionFailure, "bad row", "*errors.errorString", true},
		{"typed error below wrapping", failing(fmt.Errorf("a: %w", fmt.Errorf("b: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}))),
			task.Failed, task.ExceptionFailure, "a: b: open x: file does not exist", "*fs.PathError", true},
		{"panic", func(*executor.Context) (executor.Encode, error) { panic(fmt.Errorf("oh %w", fs.ErrExist)) },
			task.Failed, task.ExceptionFailure, "oh file already exists", "panic", true},
		{"fetch failure", recorded(errFetch), task.Failed, task.FetchFailed, "block is gone", "", false},
		{"commit denied below wrapping", deny, task.Killed, task.TaskCommitDenied, "cannot write: cannot commit partition", "", false},
		{"killed, and says so", killed(&executor.KilledError{Reason: "other words"}), task.Killed, task.TaskKilled, "not needed", "", true},
		{"killed, then a user error", killed(errors.New("closed pipe")), task.Killed, task.TaskKilled, "not needed", "", true},
		{"killed, then success", killed(nil), task.Killed, task.TaskKilled, "not needed", "", true},
		{"killed, then a fetch failure", func(c *executor.Context) (executor.Encode, error) {
			h.Kill(c.Task, true, "not needed")
			c.SetFetchFailed(errFetch)
			return nil, errFetch
		}, task.Killed, task.TaskKilled, "not needed", "", true},
		{"killed error without a kill", failing(fmt.Errorf("w: %w", &executor.KilledError{Reason: "by a part"})), task.Killed, task.TaskKilled, "by a part", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := h.run(c.body)
			f := o.failure
			if o.State != c.state || f.Kind != c.kind || !strings.HasPrefix(f.Message, c.message) || f.Class != c.class {
				t.Errorf("%v %v %q %q", o.State, f.Kind, f.Message, f.Class)
			}
			if (f.Kind == task.FetchFailed) != (f.Fetch == errFetch.Fetch) {
				t.Errorf("fetch failure %+v", f.Fetch)
			}
			if (f.Metrics[task.ExecutorRunTime] != 0) != c.metrics || f.Metrics[task.ComputeTime] != 0 {
				t.Errorf("metrics %v", f.Metrics)
			}
			if o.Route != task.RouteNone || f.NoRetry {
				t.Errorf("route %v, no retry %v", o.Route, f.NoRetry)
			}
		})
	}
	listener := func(c *executor.Context) (executor.Encode, error) {
		c.OnComplete(func(*executor.Context) error { return errors.New("close") })
		return nil, fmt.Errorf("w: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist})
	}
	if f := h.run(listener).failure; f.Class != "*fs.PathError" {
		t.Errorf("class of the body's error beside a listener's: %q", f.Class)
	}
	final := &task.Failure{Kind: task.ExceptionFailure, Class: "exists", Message: "output exists", NoRetry: true}
	if f := h.run(failing(fmt.Errorf("w: %w", final))).failure; !f.NoRetry || f.Class != "exists" || f.Message != "w: output exists" {
		t.Errorf("a failure that decides for itself: %+v", f)
	}
	h.driver.canCommit = func(stage id.StageAttempt, partition, attempt int32) bool {
		return stage == id.StageAttempt{Stage: 3, Attempt: 1} && partition == 42 && attempt == 5
	}
	o := h.run(func(c *executor.Context) (executor.Encode, error) { return nil, c.CanCommit() },
		func(d *task.Description) { d.Partition, d.Number = 42, 5 })
	if o.State != task.Finished {
		t.Errorf("an allowed commit: %+v", o.failure)
	}
}

func panicDeep(n int) {
	if n == 0 {
		panic("deep")
	}
	panicDeep(n - 1)
}

func TestPanicCarriesItsStack(t *testing.T) {
	h := start(t, 1)
	f := h.run(func(*executor.Context) (executor.Encode, error) { panicDeep(3); return nil, nil }).failure
	if f.Class != "panic" || f.Message != "deep" || strings.Count(f.Stack, "panicDeep") < 4 || !strings.Contains(f.Stack, "failure_test.go") {
		t.Errorf("%+v", f)
	}
	h.expectOK()
}

func TestKillOfARunningAttempt(t *testing.T) {
	for _, interrupt := range []bool{false, true} {
		h := start(t, 1)
		begun := make(chan struct{})
		var cause, checked error
		tid := h.launch(func(c *executor.Context) (executor.Encode, error) {
			ctx := c.Context()
			if err := c.Check(); err != nil {
				return nil, err
			}
			close(begun)
			<-ctx.Done()
			cause, checked = context.Cause(ctx), c.Check()
			if reason, killed := c.Killed(); !killed || reason != "cancelled" {
				t.Errorf("Killed says %q %v", reason, killed)
			}
			return nil, ctx.Err()
		})
		<-begun
		h.Kill(tid, interrupt, "cancelled")
		h.Kill(tid, interrupt, "a second reason")
		o := h.wait(tid)
		if o.State != task.Killed || o.failure.Kind != task.TaskKilled || o.failure.Message != "cancelled" {
			t.Errorf("%v %+v", o.State, o.failure)
		}
		var killed *executor.KilledError
		if !errors.As(cause, &killed) || !errors.As(checked, &killed) || killed.Interrupt != interrupt {
			t.Errorf("cause %v, check %v", cause, checked)
		}
		h.expectOK()
	}
}

func TestKillWakesAWaitForMemory(t *testing.T) {
	h := start(t, 2)
	holding, release := make(chan struct{}), make(chan struct{})
	holder := h.launch(func(c *executor.Context) (executor.Encode, error) {
		m := c.Memory().Consumer("all", nil)
		defer m.Close()
		m.Acquire(1 << 40)
		close(holding)
		<-release
		return nil, nil
	})
	<-holding
	waiting := make(chan struct{})
	waiter := h.launch(func(c *executor.Context) (executor.Encode, error) {
		m := c.Memory().Consumer("some", nil)
		defer m.Close()
		close(waiting)
		for m.Acquire(64<<20) > 0 {
		}
		return nil, c.Check()
	})
	<-waiting
	h.Kill(waiter, false, "cancelled")
	if o := h.wait(waiter); o.State != task.Killed {
		t.Errorf("%v %+v", o.State, o.failure)
	}
	close(release)
	h.wait(holder)
}

func TestKillBeforeLaunch(t *testing.T) {
	h := start(t, 1, fakeTime)
	body := func(*executor.Context) (executor.Encode, error) { t.Error("a killed attempt ran"); return nil, nil }
	launch := func(after time.Duration, body executor.Body) outcome {
		d := h.describe(body)
		h.Kill(d.Task, false, "too late anyway")
		h.clock.advance(after)
		h.Launch(d.Task, task.AppendDescription(nil, d))
		return h.wait(d.Task)
	}
	o := launch(10*time.Second-1, body)
	if o.State != task.Killed || o.failure.Message != "too late anyway" || o.failure.Metrics[task.ExecutorRunTime] != 0 {
		t.Errorf("%v %+v", o.State, o.failure)
	}
	if o := launch(10*time.Second, ok); o.State != task.Finished {
		t.Errorf("a mark of ten seconds still kills: %v", o.State)
	}
	// The same for one that waits in the queue.
	running, release := make(chan struct{}), make(chan struct{})
	first := h.launch(func(*executor.Context) (executor.Encode, error) { close(running); <-release; return nil, nil })
	<-running
	queued := h.launch(body)
	h.Kill(queued, false, "while queued")
	close(release)
	h.wait(first)
	if o := h.wait(queued); o.State != task.Killed || o.failure.Message != "while queued" {
		t.Errorf("%v %+v", o.State, o.failure)
	}
}

// The peak travels however the attempt ends.
func TestEXE_017_PeakMemoryTravels(t *testing.T) {
	h := start(t, 1)
	for _, err := range []error{nil, errors.New("no"), &executor.KilledError{Reason: "no"}} {
		o := h.run(func(c *executor.Context) (executor.Encode, error) {
			m := c.Memory().Consumer("rows", nil)
			defer m.Close()
			if _, err := m.Alloc(64 << 10); err != nil {
				return nil, err
			}
			return nil, err
		})
		metrics := o.result.Metrics
		if err != nil {
			metrics = o.failure.Metrics
		}
		if peak := metrics[task.PeakExecutionMemory]; peak != 64<<10 {
			t.Errorf("%v: peak %d", o.State, peak)
		}
	}
}

// An attempt's context ends with it, and a late account gets nothing.
func TestContextEndsWithItsAttempt(t *testing.T) {
	h := start(t, 1)
	var kept *executor.Context
	var early context.Context
	h.run(func(c *executor.Context) (executor.Encode, error) {
		kept, early = c, c.Context()
		return func(dst []byte) ([]byte, error) { return dst, early.Err() }, nil
	})
	if early.Err() == nil {
		t.Error("the context outlives its attempt")
	}
	h.run(func(c *executor.Context) (executor.Encode, error) {
		kept = c
		return func(dst []byte) ([]byte, error) { return dst, c.Context().Err() }, nil
	})
	if n := kept.Memory().Consumer("late", nil).Acquire(1 << 20); n != 0 {
		t.Errorf("%d bytes for an attempt that is over", n)
	}
	h.expectOK()
}

// A lost goroutine is our fatal condition. What handles it is a new one, which
// takes the worker over: once, or two would share a slot.
func TestEXE_002_FatalBeatsAFetchFailureButNotAKill(t *testing.T) {
	h := start(t, 2)
	for _, kill := range []bool{false, true} {
		before := onEach(h, 2, executor.Goroutine)
		var heard trail
		o := h.run(func(c *executor.Context) (executor.Encode, error) {
			c.OnComplete(heard.complete("completed", nil))
			c.OnFailure(func(*executor.Context, error) error { return heard.complete("failed", nil)(c) })
			c.SetFetchFailed(errFetch)
			if kill {
				h.Kill(c.Task, false, "not needed")
			}
			goexit()
			return nil, nil
		})
		state, kind, message := task.Failed, task.ExceptionFailure, "user code ended its goroutine (runtime.Goexit)"
		if kill {
			state, kind, message = task.Killed, task.TaskKilled, "not needed"
		}
		if o.State != state || o.failure.Kind != kind || o.failure.Message != message || o.failure.Fetch != (task.FetchFailure{}) {
			t.Errorf("killed %v: %v %+v", kill, o.State, o.failure)
		}
		heard.expect(t, "failed", "completed")
		if all := h.statuses(o.Task); len(all) != 2 || all[0].State != task.Running {
			t.Errorf("killed %v: it reported %+v", kill, all)
		}
		after := onEach(h, 2, executor.Goroutine)
		stayed := slices.DeleteFunc(slices.Clone(before), func(g string) bool { return !slices.Contains(after, g) })
		if len(stayed) != 1 || after[0] == after[1] {
			t.Errorf("killed %v: the workers were on %q and are on %q", kill, before, after)
		}
		if n := goroutines(2); n != 2 {
			t.Errorf("killed %v: %d goroutines serve 2 workers", kill, n)
		}
	}
}

func barrier(d *task.Description) { d.Barrier = true }

// An attempt that waits in a sync wakes when it is killed, sees a killed error
// that says how, and ends as killed whatever it makes of that.
func TestBAR_008_KillWakesASync(t *testing.T) {
	h := start(t, 1)
	for _, interrupt := range []bool{false, true} {
		h.driver.barrier = func(ctx context.Context, r task.BarrierRequest) ([]string, error) {
			h.Kill(r.Task, interrupt, "cancelled")
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		for name, sync := range map[string]func(c *executor.Context) error{
			"barrier":   (*executor.Context).Barrier,
			"allGather": func(c *executor.Context) error { _, err := c.AllGather("wait"); return err },
		} {
			var seen error
			o := h.run(func(c *executor.Context) (executor.Encode, error) {
				seen = sync(c)
				return nil, errors.New("of user code")
			}, barrier)
			var killed *executor.KilledError
			if !errors.As(seen, &killed) || killed.Reason != "cancelled" || killed.Interrupt != interrupt {
				t.Errorf("%s, interrupt %v: it saw %v", name, interrupt, seen)
			}
			if o.State != task.Killed || o.failure.Kind != task.TaskKilled || o.failure.Message != "cancelled" {
				t.Errorf("%s, interrupt %v: %v %+v", name, interrupt, o.State, o.failure)
			}
		}
	}
}

func TestBarrierRequests(t *testing.T) {
	h := start(t, 1)
	var requests []task.BarrierRequest
	h.driver.barrier = func(_ context.Context, r task.BarrierRequest) ([]string, error) {
		requests = append(requests, r)
		if r.Serve != nil {
			r.Serve()
		}
		if r.Message == "fail" {
			return nil, errors.New("timeout")
		}
		return []string{"a", "b"}, nil
	}
	o := h.run(func(c *executor.Context) (executor.Encode, error) {
		if err := c.Barrier(); err != nil {
			return nil, err
		}
		c.Memory()
		if _, err := c.AllGather("fail"); err == nil || !strings.Contains(err.Error(), "stage 3.1: timeout") {
			t.Errorf("a failed sync: %v", err)
		}
		all, err := c.AllGather("hello")
		if len(all) != 2 {
			t.Errorf("gathered %q", all)
		}
		return nil, err
	}, barrier)
	if o.State != task.Finished || len(requests) != 3 {
		t.Fatalf("%v %+v %+v", o.State, o.failure, requests)
	}
	for i, r := range requests {
		epoch, method := []int64{0, 1, 1}[i], []task.BarrierMethod{task.Barrier, task.AllGather, task.AllGather}[i]
		if r.Epoch != epoch || r.Method != method || r.NumTasks != 4 || r.Task != o.Task || r.Stage != 3 || (r.Requested != nil) != (i > 0) {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	if o := h.run(func(c *executor.Context) (executor.Encode, error) { return nil, c.Barrier() }); !strings.Contains(o.failure.Message, "not a barrier stage") {
		t.Errorf("outside a barrier stage: %+v", o.failure)
	}
}
