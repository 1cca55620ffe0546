package memory

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/execbench/execbench/engine/id"
)

// Task is the account of one attempt. It is made when the attempt starts and
// closed when it ends, and costs next to nothing if the attempt never asks
// for memory.
//
// Consumers are made, used and closed on the attempt's goroutine; Kill, Err,
// Done and Peak may be called from any.
type Task struct {
	m    *Manager
	name id.Task

	request atomic.Int64 // bytes others ask it to spill; written under m.mu, taken by its goroutine

	// Guarded by m.mu:
	held      int64
	peak      int64
	consumers []*Consumer
	active    bool  // in m.mu.active; changed on its own goroutine only
	cause     error // of its kill
	failure   error // of a consumer's spill
	wake      chan struct{}
	done      chan struct{}
	requested chan struct{}

	// Of the attempt's goroutine alone:
	spilling bool      // it is inside a consumer's spill
	asker    *Consumer // for which it is inside acquire
	eviction func() (end func(memory, disk int64))
	evicted  struct{ memory, disk int64 } // in the present eviction
}

// NewTask opens the account of an attempt.
func (m *Manager) NewTask(t id.Task) *Task { return &Task{m: m, name: t} }

// ID returns whose account it is.
func (t *Task) ID() id.Task { return t.name }

// String returns "task 17".
func (t *Task) String() string { return "task " + strconv.FormatInt(int64(t.name), 10) }

// Peak returns the most bytes that the attempt held at a time.
func (t *Task) Peak() int64 {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	return t.peak
}

// Held returns the bytes that the attempt holds.
func (t *Task) Held() int64 {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	return t.held
}

// Kill ends the attempt's waiting, now and later: its calls for memory get
// nothing, and Alloc returns cause. The first cause stays.
func (t *Task) Kill(cause error) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if t.cause != nil {
		return
	}
	t.cause = cause
	if t.done != nil {
		close(t.done)
	}
	t.signal()
}

// Done returns a channel that is closed by Kill.
func (t *Task) Done() <-chan struct{} {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if t.done == nil {
		t.done = make(chan struct{})
		if t.cause != nil {
			close(t.done)
		}
	}
	return t.done
}

// Err returns why the attempt gets no more memory: the cause of its kill, or
// the error of a consumer's spill; nil if it may ask.
func (t *Task) Err() error {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	return t.errLocked()
}

func (t *Task) errLocked() error {
	if t.cause != nil {
		return t.cause
	}
	return t.failure
}

// Requested returns a channel that receives when another attempt asks this
// one to spill. An attempt that waits for anything but memory (a barrier, a
// block that another attempt writes) selects on it and calls Serve.
func (t *Task) Requested() <-chan struct{} {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if t.requested == nil {
		t.requested = make(chan struct{}, 1)
		if t.request.Load() > 0 {
			t.requested <- struct{}{}
		}
	}
	return t.requested
}

// Serve spills what others asked this attempt to give up, and returns how
// many bytes that freed. Without a request it costs one atomic load. It must
// be called on the attempt's goroutine, with no consumer in the middle of a
// change.
func (t *Task) Serve() (freed int64) {
	if t.request.Load() == 0 || t.spilling {
		return 0
	}
	need := t.request.Swap(0)
	return t.spill(need, func(released int64) int64 {
		need -= released
		return need
	})
}

// askLocked adds a request to give up n bytes.
func (t *Task) askLocked(n int64) {
	if t.request.Load() >= n {
		return
	}
	t.request.Store(n)
	t.signal()
	if t.requested != nil {
		select {
		case t.requested <- struct{}{}:
		default:
		}
	}
}

// signal wakes the attempt if it waits for memory. m.mu is held.
func (t *Task) signal() {
	if t.wake == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// CloseBut closes the consumers of an attempt that is done, all but one that
// is still needed (nil: all), and returns the bytes that they had not given
// back; it frees them, pages included. Close follows.
func (t *Task) CloseBut(needed *Consumer) (leaked int64) {
	for _, c := range slices.Clone(t.consumers) {
		if c != needed {
			leaked += c.close()
		}
	}
	return leaked
}

// Close ends the account and returns the bytes that its consumers had not
// given back; it frees them, pages included. Waiting attempts are woken.
func (t *Task) Close() (leaked int64) {
	if !t.active && len(t.consumers) == 0 {
		return 0
	}
	leaked = t.CloseBut(nil)
	m := t.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := t.held; n > 0 { // in flight when a spill panicked
		leaked += n
		m.mu.inFlight -= n
		m.giveLocked(t, n)
	}
	if t.active {
		t.leaveLocked()
	}
	return leaked
}

// joinLocked counts the attempt among those that share the pool.
func (t *Task) joinLocked() {
	t.active = true
	t.m.mu.active[t] = struct{}{}
	t.m.wakeLocked()
}

func (t *Task) leaveLocked() {
	t.active = false
	delete(t.m.mu.active, t)
	t.m.wakeLocked()
}

// acquire gets up to n bytes for c: from the pool, then by spilling the
// attempt's own consumers. The bytes are in flight until c books them.
func (t *Task) acquire(c *Consumer, n int64) (got int64) {
	if t.spilling { // a spill must make do with what is free
		return t.m.acquire(t, n, false)
	}
	t.asker = c
	t.Serve()
	got = t.m.acquire(t, n, true)
	if got < n {
		t.spill(n-got, func(int64) (need int64) {
			if t.Err() != nil { // killed: what comes free is for others
				return 0
			}
			got += t.m.acquire(t, n-got, true)
			return n - got
		})
	}
	t.asker = nil
	return got
}

// OnEviction has begin called whenever holders are to give up memory for this
// attempt, and end when they have: with the bytes of memory whose content they
// wrote elsewhere, and the bytes that took on disk. Both are called on the
// attempt's goroutine.
func (t *Task) OnEviction(begin func() (end func(memory, disk int64))) { t.eviction = begin }

// Evicted is for a holder's evict function: it wrote what memory bytes held
// to disk bytes, for this attempt.
func (t *Task) Evicted(memory, disk int64) {
	t.evicted.memory += memory
	t.evicted.disk += disk
}

// evict carries out asks, with no lock held, and returns what they freed.
func (t *Task) evict(asks []request) (freed int64) {
	if t.eviction == nil {
		return evict(t, asks)
	}
	end := t.eviction()
	t.evicted.memory, t.evicted.disk = 0, 0
	freed = evict(t, asks)
	end(t.evicted.memory, t.evicted.disk)
	return freed
}

// spill asks consumers, one after the other, to give up need bytes. After
// each that released some, the need is what remains(released) returns; it
// ends when that is not positive, or when no consumer is left that releases
// anything.
func (t *Task) spill(need int64, remains func(released int64) (need int64)) (freed int64) {
	var dry []*Consumer // released nothing
	for need > 0 {
		c := t.pick(need, dry)
		if c == nil {
			break
		}
		released, err := t.spillOne(c, need)
		if err != nil {
			t.fail(fmt.Errorf("cannot spill %s of %s: %w", c.name, t, err))
			break
		}
		if released <= 0 {
			dry = append(dry, c)
			continue
		}
		freed += released
		need = remains(released)
	}
	return freed
}

func (t *Task) spillOne(c *Consumer, need int64) (released int64, err error) {
	t.spilling = true
	defer func() { t.spilling = false }()
	before := t.Held()
	_, err = c.spill(need)
	return before - t.Held(), err
}

func (t *Task) fail(err error) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
}

// pick returns the consumer to spill: the smallest that holds the need alone,
// else the largest; the one that is asking, last (spark-semantics §5.3).
func (t *Task) pick(need int64, dry []*Consumer) (best *Consumer) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	for _, c := range t.consumers {
		if c.spill == nil || c.used == 0 || slices.Contains(dry, c) {
			continue
		}
		if best == nil || best == t.asker || c != t.asker && better(c.used, best.used, need) {
			best = c
		}
	}
	return best
}

// better reports whether a consumer that uses a is to be spilled rather than
// one that uses b.
func better(a, b, need int64) bool {
	switch {
	case a >= need && b >= need:
		return a < b
	case a >= need || b >= need:
		return a >= need
	}
	return a > b
}
