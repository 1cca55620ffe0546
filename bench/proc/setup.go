package proc

import (
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/execbench/execbench/engine/units"
)

// Config says how the process is to be set up.
type Config struct {
	// Cores is the number of workers, at least 1.
	Cores int
	// CPUs are the processors to confine the process to; nil leaves its
	// affinity mask as it is.
	CPUs []int
	// Memory is the budget of the whole process; 0 leaves the collector as it
	// is.
	Memory units.Bytes
}

// Setup is a process that was set up. There is one at a time.
type Setup struct {
	budget   units.Bytes
	procs    int   // GOMAXPROCS before
	limit    int64 // the collector's limit before
	unpin    func() error
	pinned   []int
	mu       sync.Mutex // one change of the limit at a time
	restored bool
	floor    floor
}

// leastLimit is the lowest limit given to the collector, whatever the pages
// leave. Below the live heap it would only collect without end; the engine
// keeps its own live heap under 12 MiB, and the runtime's tables and stacks
// take some more.
const leastLimit = 24 * units.MiB

// Start sets the process up: the mask first, so that threads made later
// inherit it, then GOMAXPROCS, then the collector's limit and floor (heap.go).
//
// GOMAXPROCS is Cores+1. Workers are locked to their threads; with exactly
// as many as workers, timers and helpers wait 10–30 ms behind them, with one
// more 0.14 ms, and under the mask the process still takes no more than
// Cores processors (measured).
//
// A mask that cannot be set is returned as an error beside a Setup that is
// otherwise in force: the run is possible, only less exact.
func Start(c Config) (*Setup, error) {
	s := &Setup{budget: c.Memory, limit: debug.SetMemoryLimit(-1), unpin: func() error { return nil }}
	var err error
	if c.CPUs != nil {
		var unpin func() error
		if unpin, err = confine(c.CPUs); err == nil {
			s.unpin, s.pinned = unpin, c.CPUs
		}
	}
	s.procs = runtime.GOMAXPROCS(max(1, c.Cores) + 1)
	s.Mapped(0)
	s.startFloor()
	return s, err
}

// Pinned returns the processors that the process is confined to; nil when
// it is not.
func (s *Setup) Pinned() []int { return s.pinned }

// Mapped tells how many bytes of the budget are held in pages that the
// collector does not see. Its limit becomes the rest. It may be called from
// any goroutine, and costs a few microseconds.
func (s *Setup) Mapped(bytes int64) {
	if s.budget <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restored {
		return
	}
	debug.SetMemoryLimit(max(int64(s.budget)-bytes, int64(min(leastLimit, s.budget))))
}

// Close restores mask, GOMAXPROCS and limit. A second call does nothing.
func (s *Setup) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restored {
		return nil
	}
	s.restored = true
	runtime.GOMAXPROCS(s.procs)
	debug.SetMemoryLimit(s.limit)
	s.stopFloor()
	return s.unpin()
}
