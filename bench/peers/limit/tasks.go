package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// ways are how Go programs hand tasks to two workers; each runs n tasks.
// They are floors: nothing is measured, retried or answered, but where the
// name says so.
var ways = map[string]func(n int){
	"channel":          func(n int) { overChannel(n, 0) },
	"channel-buffered": func(n int) { overChannel(n, 1024) },
	"channel-batched":  batched,
	"claim":            func(n int) { claimed(n, 1) },
	"claim-64":         func(n int) { claimed(n, 64) },
	"split":            func(n int) { both(func(t int) { from, to := share(n, t); runRange(from, to) }) },
	"goroutines":       goroutines,
	"errgroup":         limited,
	"queue":            queued,
	"answers":          answered,
	"round-trip":       roundTrips,
}

func emptyTasks(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("tasks needs a way and a number; ways are %s", strings.Join(slices.Sorted(maps.Keys(ways)), ", "))
	}
	way, ok := ways[args[0]]
	if !ok || len(args) < 2 {
		return fmt.Errorf("there is no way %q, or no number; tasks alone lists the ways", args[0])
	}
	n, err := numbers(args[1])
	if err != nil {
		return err
	}
	timed(func() string {
		way(n[0])
		return args[0]
	})
	return nil
}

// empty is the task.
//
//go:noinline
func empty() {}

// listed is a list of tasks as long as is asked for at once; tasks are found
// in it rather than known, as a compiler would see through a loop of nothing.
var listed = func() (l [64]func()) {
	for i := range l {
		l[i] = empty
	}
	return l
}()

func runRange(from, to int) {
	for i := from; i < to; i++ {
		listed[i%len(listed)]()
	}
}

// overChannel is the pool that most write first.
func overChannel(n, buffer int) {
	tasks := make(chan func(), buffer)
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			for f := range tasks {
				f()
			}
		})
	}
	for range n {
		tasks <- empty
	}
	close(tasks)
	done.Wait()
}

// batched sends 256 tasks at a time.
func batched(n int) {
	tasks := make(chan []func(), 16)
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			for batch := range tasks {
				for _, f := range batch {
					f()
				}
			}
		})
	}
	for n > 0 {
		batch := make([]func(), min(n, 256))
		for i := range batch {
			batch[i] = empty
		}
		tasks <- batch
		n -= len(batch)
	}
	close(tasks)
	done.Wait()
}

// claimed lets workers take some tasks at a time by one atomic addition.
func claimed(n, some int) {
	var next atomic.Int64
	both(func(int) {
		for {
			to := int(next.Add(int64(some)))
			if to-some >= n {
				return
			}
			runRange(to-some, min(to, n))
		}
	})
}

// goroutines begins one a task.
func goroutines(n int) {
	var done sync.WaitGroup
	for range n {
		done.Go(empty)
	}
	done.Wait()
}

// limited begins one a task, two at a time.
func limited(n int) {
	var g errgroup.Group
	g.SetLimit(threads)
	for range n {
		g.Go(func() error { empty(); return nil })
	}
	_ = g.Wait() // no task fails
}

// queued is a list under a lock, with a condition to wait for.
func queued(n int) {
	var mu sync.Mutex
	some := sync.NewCond(&mu)
	var tasks []func()
	over := false
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			for {
				mu.Lock()
				for len(tasks) == 0 && !over {
					some.Wait()
				}
				if len(tasks) == 0 {
					mu.Unlock()
					return
				}
				f := tasks[len(tasks)-1]
				tasks = tasks[:len(tasks)-1]
				mu.Unlock()
				f()
			}
		})
	}
	for range n {
		mu.Lock()
		tasks = append(tasks, empty)
		mu.Unlock()
		some.Signal()
	}
	mu.Lock()
	over = true
	mu.Unlock()
	some.Broadcast()
	done.Wait()
}

// answered has each task answer on a channel of its own, 1024 at a time.
func answered(n int) {
	tasks := make(chan chan int, 1024)
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			for answer := range tasks {
				empty()
				answer <- 1
			}
		})
	}
	open := make([]chan int, 0, 1024)
	for i := range n {
		answer := make(chan int, 1)
		tasks <- answer
		if open = append(open, answer); len(open) == cap(open) || i == n-1 {
			for _, a := range open {
				<-a
			}
			open = open[:0]
		}
	}
	close(tasks)
	done.Wait()
}

// roundTrips sends one task, and the next when it has answered.
func roundTrips(n int) {
	tasks, answers := make(chan func()), make(chan int)
	var done sync.WaitGroup
	done.Go(func() {
		for f := range tasks {
			f()
			answers <- 1
		}
	})
	for range n {
		tasks <- empty
		<-answers
	}
	close(tasks)
	done.Wait()
}
