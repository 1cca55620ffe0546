package scheduler

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "simulate the world of this seed alone")
	seeds = flag.Uint64("seeds", 0, "simulate the worlds of the seeds from 1 to this; 0: 300, 60 with -short")
	steps = flag.Int("steps", 300, "events that the core takes in each world before nothing goes wrong any more")
)

// TestSimulation drives the core through random worlds (sim_world_test.go) in
// virtual time (sim_run_test.go). After every event all that must hold is
// checked: Core.Check, and what executors, callers and listeners can see
// (sim_check_test.go); at the end every job has ended once and nothing is
// left. A failure tells its seed, and the shortest world that still fails
// with what happened in it (sim_shrink_test.go).
func TestSimulation(t *testing.T) {
	first, last := uint64(1), *seeds
	switch {
	case *seed != 0:
		first, last = *seed, *seed
	case last == 0 && testing.Short():
		last = 60
	case last == 0:
		last = 300
	}
	var next, events, followed, calledBack, tooLarge atomic.Int64
	next.Store(int64(first))
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				n := uint64(next.Add(1) - 1)
				if n > last {
					return
				}
				w := newWorld(n, *steps)
				failure, s := simulate(w, false)
				events.Add(int64(s.steps))
				followed.Add(int64(s.followed))
				calledBack.Add(int64(s.calledBack))
				tooLarge.Add(int64(s.tooLarges))
				if failure != "" {
					t.Error(report(w, shrink(w, failure), failure, *steps))
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d worlds, %d events; %d attempts were to follow others, %d of them were called back; %d stage attempts had too large descriptions", last-first+1, events.Load(),
		followed.Load(), calledBack.Load(), tooLarge.Load())
	if last-first > 50 && (calledBack.Load() == 0 || tooLarge.Load() == 0) {
		t.Error("no chain was called back, or no description was too large: the test proves less than it should")
	}
}

// report tells of a world that fails: its seed, the shortest world that fails
// so, the end of what happens in it, and how to see it again. steps is what
// the world was drawn with.
func report(w, small *world, failure string, steps int) string {
	again, s := simulate(small, true)
	if len(s.out) > 200 {
		s.out = append([]string{"…"}, s.out[len(s.out)-200:]...)
	}
	return fmt.Sprintf("seed %d: %s\nThe shortest world that fails:\n%v\n%s\n\n%s\n\nrepeat with: make sim SEED=%d STEPS=%d",
		w.seed, failure, small, strings.Join(s.out, "\n"), again, w.seed, steps)
}
