package executor

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
)

// gcClock tells how much processor time the garbage collector has taken from
// the process so far: marking (dedicated workers and assists), pauses and
// sweeping, without the idle workers, which run where nothing else wants to.
// It is the counterpart of Spark's jvmGCTime: process-wide, so attempts that
// run at the same time all count the same collection.
//
// The runtime brings its figures up to date once a cycle, and reading them
// takes a lock that workers would meet at. So they are read once a cycle, by
// a finalizer on an object that becomes garbage in every cycle, and attempts
// load a word. A collection is thus charged to the attempts that run when it
// is over, a moment late.
type gcClock struct {
	nanos   atomic.Int64 // the finalizer writes, workers read
	stopped atomic.Bool
}

// sentinel holds a pointer so that it gets a memory block of its own.
type sentinel struct{ clock *gcClock }

func newGCClock() *gcClock {
	c := new(gcClock)
	c.read()
	c.arm()
	return c
}

func (c *gcClock) arm() {
	runtime.SetFinalizer(&sentinel{c}, func(s *sentinel) {
		if s.clock.stopped.Load() {
			return
		}
		s.clock.read()
		s.clock.arm()
	})
}

func (c *gcClock) read() {
	samples := [...]metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
	}
	metrics.Read(samples[:])
	for i := range samples {
		if samples[i].Value.Kind() != metrics.KindFloat64 {
			return // a runtime that no longer has the figure: stays 0
		}
	}
	c.nanos.Store(int64((samples[0].Value.Float64() - samples[1].Value.Float64()) * 1e9))
}

func (c *gcClock) load() int64 { return c.nanos.Load() }

// stop lets go of the clock; its value no longer changes.
func (c *gcClock) stop() { c.stopped.Store(true) }
