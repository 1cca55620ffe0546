package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/units"
)

// account is a named part of the budget that grows and shrinks with what the
// driver holds: decoded broadcasts, results on their way to the caller,
// tables of the scheduler.
type account struct {
	name   string
	mu     sync.Mutex
	r      *memory.Reservation
	closed bool
}

// accounts returns the driver's accounts, named.
func (c *core) accounts() []*account {
	c.decoded.name, c.results.name, c.tables.name = "broadcast values", "results", "scheduler tables"
	return []*account{&c.decoded, &c.results, &c.tables}
}

// add changes the account by delta bytes. It fails only when it grows and
// memory is refused, or the session is closed.
func (a *account) add(delta int64) error {
	if delta == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.closed:
		return a.r.Resize(a.r.Bytes() + delta)
	case delta > 0:
		return ErrClosed
	}
	return nil // release gave it back: a job's caller may come home after Close
}

// release gives back what the account holds, and ends it.
func (a *account) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.r != nil && !a.closed {
		a.r.Release()
	}
	a.closed = true
}

// await is add for a goroutine that may wait for attempts to give memory back:
// refused, it tries again after each release, until no attempt holds memory or
// ctx ends. released tells of the next release, and how many attempts hold
// memory.
func (a *account) await(ctx context.Context, released func() (next <-chan struct{}, attempts int), delta int64) error {
	for {
		next, attempts := released()
		err := a.add(delta)
		if attempts == 0 || !errors.Is(err, ErrNoMemory) {
			return err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return err
		}
	}
}

// taskTable is what the driver holds for each task of a running job, in bytes
// on the Go heap: its places in the tables of the task set, the waiter and
// the event stream (measured: during a job of a million empty tasks the Go
// runtime holds 91 MiB, during one of a thousand 9 MiB).
const taskTable = 88

// slowTable is what speculation adds: a mark and a time.
const slowTable = 9

// Reserve takes n bytes of the budget under a name, for what the caller holds
// on the Go heap on behalf of the session, such as a verifier's tables.
// Release it. Cached blocks and shuffle pages make room; the error says who
// holds what when that does not suffice.
func (s *Session) Reserve(name string, n units.Bytes) (*memory.Reservation, error) {
	return s.memory.Reserve(name, int64(n))
}
