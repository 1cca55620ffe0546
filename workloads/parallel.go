package workloads

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/execbench/execbench/engine/units"
)

// defaultMemory is the budget of a generator or verifier that was given
// none.
const defaultMemory = 64 * units.MiB

// Budget returns g.Memory, or its default.
func (g Gen) Budget() int64 {
	if g.Memory <= 0 {
		return int64(defaultMemory)
	}
	return int64(g.Memory)
}

// Workers returns how many goroutines to use when each holds at least need
// bytes: g.Cores, or as many as the budget has room for, but one at least.
func (g Gen) Workers(need int64) int {
	n := max(1, g.Cores)
	if need > 0 {
		n = int(min(int64(n), max(1, g.Budget()/need)))
	}
	return n
}

// Each calls work(worker, i) for every i in [0, n), on workers goroutines
// that it joins before it returns. A worker's calls follow one another, so
// work may keep buffers by worker. It stops at the first error or when ctx
// ends, and returns that error or the cause. Which worker gets which i is
// not determined.
func Each(ctx context.Context, workers int, n int64, work func(worker int, i int64) error) error {
	var next atomic.Int64 // taken by the workers
	group, ctx := errgroup.WithContext(ctx)
	for w := range max(1, int(min(int64(workers), n))) {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= n {
					return nil
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := work(w, i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// Meter adds up the bytes done by several goroutines and tells Progress, one
// call at a time. The zero Meter of a Gen without Progress costs nothing.
type Meter struct {
	mu    sync.Mutex
	done  int64
	total int64
	tell  func(done, total int64)
}

// Meter returns a meter over total bytes.
func (g Gen) Meter(total int64) *Meter { return &Meter{total: total, tell: g.Progress} }

// Add tells that n more bytes are done.
func (m *Meter) Add(n int64) {
	if m.tell == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.tell(m.done, m.total)
}
