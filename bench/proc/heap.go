package proc

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/execbench/execbench/engine/units"
)

// The collector's own rule, to run when the heap has doubled, is made for heaps
// that are large. The engine's live heap is a few MiB, so under that rule a job
// of short tasks, which makes a kilobyte of garbage each, is collected every
// few thousand tasks, and each time the collector wakes threads that take the
// workers' processors from them. So the heap is let grow to a floor first;
// where more lives than half of the floor, the collector's rule holds again.
//
// The floor is a part of the budget that is not missed: at the largest, what
// the runtime holds is then still below the 64 MiB by which a process may be
// above its budget and what the engine keeps free of managed memory
// (memory.reserved), should pages take the budget before the next collection.
// The limit stays in force beside it.
const (
	floorShare   = 16
	largestFloor = 64 * units.MiB
	// ruleGoal is the heap that is never collected at 100 percent, by the
	// collector's rule; more in proportion to the percentage.
	ruleGoal = 4 * units.MiB
)

// floor keeps the percentage at which the collector runs (GOGC) where a heap
// below the floor is not collected. Guarded by Setup.mu.
type floor struct {
	bytes   int64 // 0: the percentage is left as it is
	percent int   // in force
	before  int
}

// startFloor puts the floor in force. A user who sets GOGC is left alone.
func (s *Setup) startFloor() {
	if os.Getenv("GOGC") != "" {
		return
	}
	s.floor.bytes = int64(min(s.budget/floorShare, largestFloor))
	if s.floor.bytes <= int64(ruleGoal) {
		s.floor.bytes = 0
		return
	}
	s.floor.percent = percentFor(s.floor.bytes)
	s.floor.before = debug.SetGCPercent(s.floor.percent)
	s.armFloor()
}

// cycle becomes garbage in every cycle. It holds a pointer so that it gets a
// memory block of its own.
type cycle struct{ setup *Setup }

// armFloor has the percentage brought up to date soon after each cycle.
func (s *Setup) armFloor() {
	runtime.SetFinalizer(&cycle{s}, func(c *cycle) {
		s := c.setup
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.restored {
			return
		}
		// A change stops the world, so small ones are not made: what is
		// collected may lie an eighth beside the floor.
		was := s.floor.percent
		if now := percentFor(s.floor.bytes); now > was+was/8 || now < was-was/8 {
			s.floor.percent = now
			debug.SetGCPercent(now)
		}
		s.armFloor()
	})
}

// stopFloor puts the percentage back.
func (s *Setup) stopFloor() {
	if s.floor.bytes > 0 {
		debug.SetGCPercent(s.floor.before)
	}
}

// percentFor returns the percentage with which the next cycle begins at the
// floor, as the heap was when the last one ended; at least 100. The percentage
// is of what lives and of the roots, and the goal at which no cycle begins
// whatever lives grows with it: it must not pass the floor either.
func percentFor(floor int64) int {
	samples := [...]metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/globals:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples[:])
	var figures [len(samples)]int64
	for i := range samples {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 100 // a runtime that no longer has the figure
		}
		figures[i] = int64(samples[i].Value.Uint64())
	}
	live, roots := figures[0], figures[1]+figures[2]
	percent := (floor - live) * 100 / max(1, live+roots)
	return int(max(100, min(percent, floor*100/int64(ruleGoal))))
}
