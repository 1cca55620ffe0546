package engine_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// census counts who runs at once, and on which threads and slots.
type census struct {
	now, most atomic.Int64
	mu        sync.Mutex
	threads   map[int]int
	slots     map[int32]int
}

// enter counts the caller in and returns how to count it out.
func (c *census) enter(t *engine.Task) (leave func()) {
	n := c.now.Add(1)
	for {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.threads == nil {
		c.threads, c.slots = map[int]int{}, map[int32]int{}
	}
	c.threads[threadID()]++
	c.slots[t.Worker]++
	return func() { c.now.Add(-1) }
}

// TestFixedPool: the same N threads run 100,000 tasks, never more than N at
// once, and Close leaves no goroutine.
func TestFixedPool(t *testing.T) {
	tasks := 100_000
	if testing.Short() || raceEnabled {
		tasks = 10_000
	}
	for _, cores := range []int{1, 3} {
		before := goleak.IgnoreCurrent()
		s, err := engine.Open(engine.Config{Cores: cores, Memory: 256 << 20, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		var c census
		for range 4 {
			err := engine.Range(s, 0, tasks/4).Foreach(t.Context(), func(*engine.Task, []int64) error { return errors.New("called") })
			if err != nil {
				t.Fatal(err)
			}
			err = engine.RunJob(t.Context(), engine.Range(s, 0, tasks/4), nil, func(t *engine.Task, _ func(func([]int64) error) error) (int64, error) {
				defer c.enter(t)()
				return 0, nil
			}, func(int, int64) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(c.threads) > cores || len(c.slots) > cores || c.most.Load() > int64(cores) {
			t.Errorf("%d cores: %d threads, %d slots, %d at once", cores, len(c.threads), len(c.slots), c.most.Load())
		}
		n := 0
		for _, k := range c.slots {
			n += k
		}
		check(t, nil, n, tasks)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	}
}

// All N slots serve at once after panics, kills and lost goroutines.
func TestPoolSurvivesWhatTasksDo(t *testing.T) {
	const cores = 3
	r := start(t, engine.Config{Cores: cores, Conf: conf("task.maxFailures", "100")})
	var c census
	err := engine.RunJob(t.Context(), engine.Range(r.Session, 0, 60), nil, func(t *engine.Task, _ func(func([]int64) error) error) (int64, error) {
		defer c.enter(t)()
		switch {
		case t.Number >= 3:
		case t.Partition%4 == 0:
			panic("ouch")
		case t.Partition%4 == 1:
			runtime.Goexit()
		case t.Partition%4 == 2:
			r.KillTask(t.Task, "for the test")
		}
		return 0, t.Check()
	}, func(int, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if c.most.Load() > cores || len(c.slots) > cores {
		t.Errorf("%d at once in %d slots", c.most.Load(), len(c.slots))
	}
	var all sync.WaitGroup
	all.Add(cores)
	err = engine.RunJob(t.Context(), engine.Range(r.Session, 0, cores), nil, func(*engine.Task, func(func([]int64) error) error) (int64, error) {
		all.Done()
		all.Wait()
		return 0, nil
	}, func(int, int64) error { return nil })
	if err != nil {
		t.Error(err)
	}
	check(t, nil, []int{r.rec.ended(task.ExceptionFailure), r.rec.ended(task.TaskKilled)}, []int{2 * 15 * 3, 15 * 3})
}

// An attempt that ignores its kill beyond the reaper's timeout costs its slot;
// its task runs elsewhere. With no slot left, jobs fail and say so.
func TestReaperTakesTheSlot(t *testing.T) {
	r := start(t, engine.Config{Cores: 2, Conf: conf("task.reaper.enabled", "true", "task.reaper.killTimeout", "1ms")})
	gate, stuck := make(chan struct{}), make(chan id.Task, 4)
	var ignoring atomic.Int64
	body := func(limit int64) func(*engine.Task, []int64) error {
		return func(t *engine.Task, _ []int64) error {
			if ignoring.Add(1) <= limit {
				stuck <- t.Task
				<-gate
			}
			return nil
		}
	}
	wait := background(func() error {
		return engine.Range(r.Session, 1, 1).Foreach(context.Background(), body(1))
	})
	r.KillTask(<-stuck, "ignored")
	if err := wait(); err != nil {
		t.Errorf("the task did not run in the slot that is left: %v", err)
	}
	check(t, nil, r.rec.ended(task.ExecutorLostFailure), 1)
	wait = background(func() error {
		return engine.Range(r.Session, 1, 1).Foreach(context.Background(), body(100))
	})
	r.KillTask(<-stuck, "ignored")
	wantError(t, wait(), "no executor is left")
	_, err := engine.Range(r.Session, 1, 1).Count(t.Context())
	wantError(t, err, "no executor is left")
	close(gate)
}

// A session whose opening fails, at any step, leaves nothing.
//
// NOT APPLICABLE: CTX-002 as to one engine at a time, because a session owns
// nothing of its process: several live side by side (TestTwoSessions).
func TestCTX_002_FailedOpenLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]engine.Config{
		"temp is a file":     {Temp: file, Memory: 128 << 20},
		"no allocation file": {Temp: dir, Memory: 128 << 20, Conf: conf("scheduler.mode", "FAIR", "scheduler.allocation.file", dir+"/none.xml")},
		"bad key":            {Temp: dir, Memory: 128 << 20, Conf: conf("task.maxFailures", "none")},
		"bad master":         {Temp: dir, Memory: 128 << 20, Conf: conf("master", "yarn")},
	} {
		rec := &recorder{}
		cfg.Events = []event.Sink{rec}
		s, err := engine.Open(cfg)
		if err == nil {
			t.Errorf("%s: opened", name)
			s.Close()
		}
		checkStream(t, rec.events())
	}
	entries, err := os.ReadDir(dir)
	check(t, err, len(entries), 1)
	goleak.VerifyNone(t, before)
	r := start(t, engine.Config{})
	n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
}

// Two sessions in one process do not see each other.
func TestTwoSessions(t *testing.T) {
	a, b := start(t, engine.Config{}), start(t, engine.Config{})
	da, db := keyed(a.Session, 1000, 10, 3), keyed(b.Session, 2000, 20, 3)
	sa, sb := engine.ReduceByKey(da, add), engine.ReduceByKey(db, add)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if got, err := sa.Collect(t.Context()); err != nil || len(got) != 10 {
				t.Errorf("%d, %v", len(got), err)
			}
		})
		wg.Go(func() {
			if got, err := sb.Collect(t.Context()); err != nil || len(got) != 20 {
				t.Errorf("%d, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	a.finish()
	n, err := sb.Count(t.Context())
	check(t, err, n, 20)
}
