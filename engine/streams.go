package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/executor"
)

// ErrWorkersHeld: a job or stream that was started inside a Batches loop found
// every worker held by attempts that wait for the consumer of that loop, who
// waits for the job.
var ErrWorkersHeld = errors.New("every worker is held by a stream whose consumer waits here: let the stream have fewer partitions than there are workers, or start the job after its loop")

// streams knows who consumes what, to tell a wait that would never end: the
// consumer of a stream waits for a job, the job for a worker, and every worker
// for the consumer to take its batch.
type streams struct {
	workers int // attempts that can run at a time
	open    atomic.Int32
	mu      struct {
		sync.Mutex
		list []*streaming
	}
}

// streaming is one stream that is being consumed. Guarded by streams.mu, but
// for consumer.
type streaming struct {
	consumer string // its goroutine
	parked   int    // attempts whose batch is not taken
	away     []*errand
}

// errand is what a consumer waits for in the middle of its loop.
type errand struct{ cancel context.CancelCauseFunc }

// begin notes a stream that the calling goroutine consumes.
func (s *streams) begin() *streaming {
	st := &streaming{consumer: executor.Goroutine()}
	s.mu.Lock()
	s.mu.list = append(s.mu.list, st)
	s.mu.Unlock()
	s.open.Add(1)
	return st
}

func (s *streams) end(st *streaming) {
	s.open.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.list = slices.DeleteFunc(s.mu.list, func(o *streaming) bool { return o == st })
}

// park notes that an attempt waits for its batch to be taken (n = 1), or no
// longer does (n = -1).
func (s *streams) park(st *streaming, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.parked += n
	if len(st.away) > 0 {
		s.checkLocked()
	}
}

// leave notes that the calling goroutine goes to wait for a job. If it is in
// the middle of a stream, the context that is returned ends, with
// ErrWorkersHeld as its cause, when the wait turns out to have no end. The
// caller calls back when it has waited.
func (s *streams) leave(ctx context.Context) (_ context.Context, back func()) {
	if s.open.Load() == 0 {
		return ctx, func() {}
	}
	me := executor.Goroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []*streaming
	for _, st := range s.mu.list {
		if st.consumer == me {
			left = append(left, st)
		}
	}
	if len(left) == 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	e := &errand{cancel}
	for _, st := range left {
		st.away = append(st.away, e)
	}
	s.checkLocked()
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, st := range left {
			st.away = slices.DeleteFunc(st.away, func(o *errand) bool { return o == e })
		}
	}
}

// checkLocked ends the errands of consumers who hold every worker.
func (s *streams) checkLocked() {
	held := 0
	for _, st := range s.mu.list {
		if len(st.away) > 0 {
			held += st.parked
		}
	}
	if held < s.workers {
		return
	}
	for _, st := range s.mu.list {
		for _, e := range st.away {
			e.cancel(ErrWorkersHeld)
		}
	}
}
