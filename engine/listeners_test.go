package engine_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// journal is a list that several goroutines write.
type journal struct {
	mu   sync.Mutex
	list []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, s)
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.list
	j.list = nil
	return slices.Clone(l)
}

// one runs f as the only attempt of a job, at most twice.
func one(t *testing.T, r *rig, f func(t *engine.Task) error) error {
	t.Helper()
	return engine.Range(r.Session, 1, 1).Foreach(t.Context(), func(t *engine.Task, _ []int64) error { return f(t) })
}

func TestEXE_005_CompletionListenersInReverse(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "1")})
	var j journal
	register := func(t *engine.Task) {
		for _, name := range []string{"A", "B", "C"} {
			t.OnComplete(func(*engine.Task) error { j.add(name); return nil })
			t.OnFailure(func(_ *engine.Task, err error) error { j.add(name + " failed: " + err.Error()); return nil })
		}
	}
	check(t, one(t, r, func(t *engine.Task) error { register(t); j.add("body"); return nil }), j.take(), []string{"body", "C", "B", "A"})

	err := one(t, r, func(t *engine.Task) error { register(t); return errors.New("mine") })
	wantError(t, err, "mine")
	check(t, nil, j.take(), []string{"C failed: mine", "B failed: mine", "A failed: mine", "C", "B", "A"})

	err = one(t, r, func(t *engine.Task) error { register(t); panic("mine") })
	wantError(t, err, "mine")
	check(t, nil, j.take(), []string{"C failed: mine", "B failed: mine", "A failed: mine", "C", "B", "A"})
}

func TestEXE_007_BodysErrorComesFirst(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "1")})
	err := one(t, r, func(t *engine.Task) error {
		t.OnComplete(func(*engine.Task) error { return errors.New("listener one") })
		t.OnComplete(func(*engine.Task) error { panic("listener two") })
		return errors.New("the body")
	})
	wantError(t, err, "the body", "listener one", "listener two")
	if b, l := strings.Index(err.Error(), "the body"), strings.Index(err.Error(), "listener"); b > l {
		t.Errorf("the listeners come first: %v", err)
	}
	// A listener's error alone fails an attempt that would have succeeded.
	err = one(t, r, func(t *engine.Task) error {
		t.OnComplete(func(*engine.Task) error { return errors.New("only the listener") })
		return nil
	})
	wantError(t, err, "only the listener")
}

func TestEXE_008_ListenersRegisterListeners(t *testing.T) {
	r := start(t, engine.Config{})
	var j journal
	err := one(t, r, func(t *engine.Task) error {
		t.OnComplete(func(c *engine.Task) error {
			j.add("outer")
			done := make(chan struct{})
			go func() {
				c.OnComplete(func(*engine.Task) error { j.add("from another goroutine"); return nil })
				close(done)
			}()
			<-done
			c.OnComplete(func(*engine.Task) error { j.add("inner"); return nil })
			return nil
		})
		return nil
	})
	check(t, err, j.take(), []string{"outer", "inner", "from another goroutine"})
}

func TestEXE_009_InterruptListeners(t *testing.T) {
	r := start(t, engine.Config{})
	var j journal
	started := make(chan id.Task, 1)
	release := make(chan struct{})
	wait := background(func() error {
		return one(t, r, func(t *engine.Task) error {
			if t.Number > 0 {
				return nil
			}
			t.OnInterrupt(func(_ *engine.Task, reason string) error {
				j.add("interrupted: " + reason)
				close(release) // what the body is blocked in
				return nil
			})
			started <- t.Task
			<-release
			late := ""
			t.OnInterrupt(func(_ *engine.Task, reason string) error { late = reason; return nil })
			j.add("late: " + late)
			return t.Check()
		})
	})
	r.KillTask(<-started, "for the test")
	check(t, wait(), j.take(), []string{"interrupted: for the test", "late: for the test"})
	check(t, nil, r.rec.ended(task.TaskKilled), 1)
}
