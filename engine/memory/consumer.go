package memory

import (
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/internal/invariant"
)

// Consumer is a part of an attempt that holds memory: a sorter, a table, a
// buffer. It is used on the attempt's goroutine.
type Consumer struct {
	t     *Task
	name  string
	spill func(need int64) (freed int64, err error)

	// Guarded by t.m.mu:
	used  int64
	pages pageList
}

// Consumer makes a consumer. Its name is its account in reports: attempts
// share it.
//
// spill, which may be nil, is asked to release at least need bytes by
// writing what they hold elsewhere, and returns how many it released; what
// counts is what the attempt holds less afterwards. It is called on the
// attempt's goroutine only: inside Acquire, Need or Alloc of any consumer of
// the attempt (of this one last), and inside [Task.Serve]. It may free,
// release and hand over memory, and may ask for more, which it then gets
// only from what is free. Its error fails the attempt's later Allocs.
func (t *Task) Consumer(name string, spill func(need int64) (freed int64, err error)) *Consumer {
	c := &Consumer{t: t, name: name, spill: spill}
	t.m.mu.Lock()
	t.consumers = append(t.consumers, c)
	t.m.mu.Unlock()
	return c
}

// Name returns the consumer's name.
func (c *Consumer) Name() string { return c.name }

// Used returns the bytes that the consumer holds, pages included.
func (c *Consumer) Used() int64 {
	c.t.m.mu.Lock()
	defer c.t.m.mu.Unlock()
	return c.used
}

// Acquire reserves up to n bytes that are not pages and returns how many:
// from 0 to n. It first takes free memory, then has holders evict, then has
// the attempt's own consumers spill. It waits only while the attempt would
// hold less than half its fair share, and not at all once the attempt is
// killed; then it returns 0 and [Task.Err] the cause.
func (c *Consumer) Acquire(n int64) int64 {
	got := c.t.acquire(c, n)
	if got > 0 {
		c.book(got)
	}
	return got
}

// Need reserves n bytes that are not pages, or none: then the error is a
// *NoMemoryError, the cause of the attempt's kill, or the error of a spill.
func (c *Consumer) Need(n int64) error {
	if got := c.t.acquire(c, n); got < n {
		return c.refuse(n, got)
	}
	c.book(n)
	return nil
}

// book makes n bytes in flight the consumer's.
func (c *Consumer) book(n int64) {
	m := c.t.m
	m.mu.Lock()
	m.mu.inFlight -= n
	c.used += n
	_, victims := m.settleLocked(0)
	m.mu.Unlock()
	m.giveBack(victims)
}

// refuse returns bytes in flight that do not suffice, and says why.
func (c *Consumer) refuse(asked, got int64) error {
	m := c.t.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.inFlight -= got
	m.mu.execUsed -= got
	c.t.held -= got
	if err := c.t.errLocked(); err != nil {
		m.leaveOrWakeLocked(c.t)
		return fmt.Errorf("cannot reserve memory for %s of %s: %w", c.name, c.t, err)
	}
	e := m.refusalLocked(c.name+" of "+c.t.String(), asked)
	e.Held = c.t.held
	e.Cap = m.mu.maxPool() / int64(max(1, len(m.mu.active)))
	m.leaveOrWakeLocked(c.t)
	return e
}

// Release gives back n bytes got by Acquire or Need. Releasing more than the
// consumer holds outside its pages releases that, with a warning.
func (c *Consumer) Release(n int64) {
	m := c.t.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if loose := c.used - c.pages.bytes; n > loose {
		m.log.Warn("released more memory than was held", "consumer", c.name, "task", int64(c.t.name), "bytes", n, "held", loose)
		n = loose
	}
	if n <= 0 {
		return
	}
	c.used -= n
	m.giveLocked(c.t, n)
}

// Alloc returns a page of at least n bytes, all of it reserved, as Acquire
// reserves. The error is a *NoMemoryError, the cause of the attempt's kill,
// or the error of a spill.
func (c *Consumer) Alloc(n int) (*Page, error) {
	size := pageSize(n)
	if got := c.t.acquire(c, int64(size)); got < int64(size) {
		return nil, c.refuse(int64(size), got)
	}
	m := c.t.m
	m.mu.Lock()
	reused, victims := m.settleLocked(size)
	m.mu.Unlock()

	p, err := m.newPage(reused, victims, size)
	if err != nil {
		m.mu.Lock()
		m.mu.inFlight -= int64(size)
		m.giveLocked(c.t, int64(size))
		m.mu.Unlock()
		return nil, &NoMemoryError{Asker: c.name + " of " + c.t.String(), Asked: int64(size), Cause: err}
	}
	m.mu.Lock()
	p.consumer = c
	c.pages.add(p)
	c.used += int64(size)
	m.mu.inFlight -= int64(size)
	m.mu.Unlock()
	return p, nil
}

// Free gives back a page of this consumer; it must not be used again.
func (c *Consumer) Free(p *Page) {
	m := c.t.m
	if p.consumer != c {
		invariant.Violated("%s of %s frees a page that is not its own", c.name, c.t)
	}
	b := m.retire(p)
	m.mu.Lock()
	c.forgetLocked(p, int64(len(b)))
	m.giveLocked(c.t, int64(len(b)))
	victims := m.keepLocked(b)
	m.mu.Unlock()
	m.giveBack(victims)
}

// forgetLocked takes a page of n bytes off the consumer's account.
func (c *Consumer) forgetLocked(p *Page, n int64) {
	c.pages.remove(p, n)
	p.consumer = nil
	c.used -= n
}

// Close frees all that the consumer still holds. Calls after it are
// violations, but for Close.
func (c *Consumer) Close() { c.close() }

func (c *Consumer) close() (held int64) {
	m := c.t.m
	held = c.Used()
	for c.pages.head != nil {
		c.Free(c.pages.head)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.used > 0 {
		n := c.used
		c.used = 0
		m.giveLocked(c.t, n)
	}
	c.t.consumers = slices.DeleteFunc(c.t.consumers, func(o *Consumer) bool { return o == c })
	return held
}
