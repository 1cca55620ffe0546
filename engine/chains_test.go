package engine_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
)

// A task that takes its time holds up neither those that were to follow it on
// its slot nor the results of those before it: this one ends when all others'
// results have been handled.
func TestALongTaskAmongShortOnesHoldsUpNone(t *testing.T) {
	const tasks = 5000
	for _, long := range []int{0, 37, 1000, 2500, 4998, tasks - 1} {
		s := start(t, engine.Config{})
		others := make(chan struct{})
		d := engine.FromFunc(s.Session, "tasks", tasks, func(_ *engine.Task, part int, emit func([]int) error) error {
			if part == long {
				<-others
			}
			return emit([]int{part})
		})
		handled, seen := 0, make([]bool, tasks)
		err := engine.RunJob(t.Context(), d, nil, func(task *engine.Task, next func(func([]int) error) error) (int, error) {
			return int(task.Partition), next(func([]int) error { return nil })
		}, func(i, part int) error {
			if i != part || seen[i] {
				t.Errorf("result %d is of partition %d, seen before: %v", i, part, seen[i])
			}
			seen[i] = true
			if handled++; handled == tasks-1 {
				close(others)
			}
			return nil
		})
		if err != nil || handled != tasks {
			t.Errorf("task %d is long: %d results (%v)", long, handled, err)
		}
	}
}

// A job of short tasks gives way to another job at once: that one's only task
// runs while the first job cannot end.
func TestShortTasksGiveWay(t *testing.T) {
	s := open(t, engine.Config{Cores: 2, Conf: map[string]string{"scheduler.mode": "FAIR"}})
	var ran atomic.Int64
	begun, other := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	const tasks = 500_000
	many := engine.FromFunc(s, "many", tasks, func(task *engine.Task, _ int, _ func([]byte) error) error {
		if ran.Add(1) == 1000 {
			close(begun)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := many.Count(ctx)
		ended.Store(true)
		done <- err
	}()
	select {
	case <-begun:
	case err := <-done:
		t.Fatalf("the first job ended before it had begun: %v", err)
	}
	one := engine.FromFunc(s, "one", 1, func(*engine.Task, int, func([]byte) error) error {
		close(other)
		return nil
	})
	if _, err := one.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-other
	if ended.Load() {
		t.Error("the other job came to its turn when the first was over")
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("the first job was cancelled and succeeded")
	}
	if n := ran.Load(); n == tasks {
		t.Error("every task of a cancelled job ran")
	}
}
