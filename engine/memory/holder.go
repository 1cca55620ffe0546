package memory

import (
	"github.com/execbench/execbench/engine/internal/invariant"
)

// kind says what of a holder's memory execution may take.
type kind uint8

const (
	blocks kind = iota // all, after the others
	cache              // what is above the storage region
	copies             // all, before the others; storage may take it too
)

// Holder is an owner of memory that outlives attempts. Its methods may be
// called from several goroutines at once.
type Holder struct {
	m     *Manager
	name  string
	kind  kind
	evict func(by *Task, need int64) (freed int64)

	// Guarded by m.mu:
	used  int64
	pages pageList
}

// Holder makes an owner of blocks that are written elsewhere when execution
// wants their memory: shuffle blocks.
//
// evict, which may be nil, is asked to free at least need bytes and returns
// how many it freed (through Free or Release of the same holder). It is
// called on the goroutine of whoever asks for memory, with no lock of this
// package held, and possibly on several at once; it must not wait for
// another attempt, nor ask for managed memory. by is the attempt that asks,
// which is to be told what was written (Task.Evicted); nil when none does.
func (m *Manager) Holder(name string, evict func(by *Task, need int64) (freed int64)) *Holder {
	return m.addHolder(name, blocks, evict)
}

// whoever makes an evict function of one that does not care who asks.
func whoever(evict func(need int64) (freed int64)) func(*Task, int64) int64 {
	if evict == nil {
		return nil
	}
	return func(_ *Task, need int64) int64 { return evict(need) }
}

// CacheHolder makes an owner of cached blocks: execution may have them
// evicted only while all caches together hold more than the storage region.
func (m *Manager) CacheHolder(name string, evict func(need int64) (freed int64)) *Holder {
	return m.addHolder(name, cache, whoever(evict))
}

// CopyHolder makes an owner of copies of what can be had again at once: it
// gets only what is free, and is the first to be evicted, also for other
// holders.
func (m *Manager) CopyHolder(name string, evict func(need int64) (freed int64)) *Holder {
	return m.addHolder(name, copies, whoever(evict))
}

func (m *Manager) addHolder(name string, k kind, evict func(*Task, int64) int64) *Holder {
	h := &Holder{m: m, name: name, kind: k, evict: evict}
	m.mu.Lock()
	m.mu.holders = append(m.mu.holders, h)
	m.mu.Unlock()
	return h
}

// Used returns the bytes held.
func (h *Holder) Used() int64 {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return h.used
}

// Acquire reserves n bytes that are not pages, or none. It never waits.
func (h *Holder) Acquire(n int64) error { return h.AcquireEvicting(n, nil) }

// AcquireEvicting is Acquire for a holder that makes room among its own: if
// free memory does not suffice, evictOwn, called with no lock held, is asked
// for what is missing, and asked again if somebody else took what it freed.
// What cannot succeed because execution uses the memory is refused without
// asking.
func (h *Holder) AcquireEvicting(n int64, evictOwn func(need int64) (freed int64)) error {
	victims, _, err := h.reserve(n, 0, evictOwn)
	h.m.giveBack(victims)
	return err
}

// Alloc returns a page of at least n bytes, or a *NoMemoryError. It never
// waits.
func (h *Holder) Alloc(n int) (*Page, error) { return h.AllocEvicting(n, nil) }

// AllocEvicting is to Alloc what AcquireEvicting is to Acquire.
func (h *Holder) AllocEvicting(n int, evictOwn func(need int64) (freed int64)) (*Page, error) {
	size := pageSize(n)
	victims, reused, err := h.reserve(int64(size), size, evictOwn)
	if err != nil {
		return nil, err
	}
	p, err := h.m.newPage(reused, victims, size)
	if err != nil {
		h.Release(int64(size))
		return nil, &NoMemoryError{Asker: h.name, Asked: int64(size), Cause: err}
	}
	h.m.mu.Lock()
	p.holder = h
	h.pages.add(p)
	h.m.mu.Unlock()
	return p, nil
}

// reserve books n bytes, of which page are for a page.
func (h *Holder) reserve(n int64, page int, evictOwn func(int64) int64) (victims [][]byte, reused []byte, err error) {
	m := h.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if n > m.mu.total-m.mu.fixed-m.mu.execUsed { // storage never takes what execution uses
			return nil, nil, m.refusalLocked(h.name, n)
		}
		m.mu.growStorage(n)
		short := n - m.mu.storageFree()
		if short <= 0 {
			break
		}
		freed := int64(0)
		if h.kind != copies {
			freed = m.unlocked(m.copiesLocked(short))
		}
		if freed == 0 && evictOwn != nil {
			m.mu.Unlock()
			freed = func() int64 {
				defer m.mu.Lock() // also when evictOwn panics
				return evictOwn(short)
			}()
		}
		if freed == 0 {
			return nil, nil, m.refusalLocked(h.name, n)
		}
	}
	m.mu.addStorage(n, h.kind == cache)
	h.used += n
	reused, victims = m.settleLocked(page)
	return victims, reused, nil
}

// unlocked carries out asks with m.mu released meanwhile.
func (m *Manager) unlocked(asks []request) int64 {
	if len(asks) == 0 {
		return 0
	}
	m.mu.Unlock()
	defer m.mu.Lock()
	return evict(nil, asks)
}

// copiesLocked says which copies to drop for need bytes.
func (m *Manager) copiesLocked(need int64) (asks []request) {
	for _, h := range m.mu.holders {
		if n := min(need, h.used); h.kind == copies && h.evict != nil && n > 0 {
			asks = append(asks, request{h, n})
			need -= n
		}
	}
	return asks
}

// Release gives back n bytes got by Acquire. Releasing more than is held
// outside pages releases that, with a warning.
func (h *Holder) Release(n int64) {
	m := h.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if loose := h.used - h.pages.bytes; n > loose {
		m.log.Warn("released more memory than was held", "holder", h.name, "bytes", n, "held", loose)
		n = loose
	}
	if n > 0 {
		h.giveLocked(n)
	}
}

// Free gives back a page of this holder; it must not be used again.
func (h *Holder) Free(p *Page) {
	m := h.m
	if p.holder != h {
		invariant.Violated("%s frees a page that is not its own", h.name)
	}
	b := m.retire(p)
	m.mu.Lock()
	h.pages.remove(p, int64(len(b)))
	p.holder = nil
	h.giveLocked(int64(len(b)))
	victims := m.keepLocked(b)
	m.mu.Unlock()
	m.giveBack(victims)
}

func (h *Holder) giveLocked(n int64) {
	h.used -= n
	h.m.mu.addStorage(-n, h.kind == cache)
	h.m.wakeLocked()
}

// Adopt makes pages of c the holder's, without copying: the attempt's share
// is free again, and the pages outlive it. It always succeeds.
func (h *Holder) Adopt(c *Consumer, pages ...*Page) {
	m := h.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range pages {
		if p.consumer != c {
			invariant.Violated("%s adopts from %s a page that is not its own", h.name, c.name)
		}
		n := p.Size()
		c.forgetLocked(p, n)
		c.t.held -= n
		m.mu.toStorage(n, h.kind == cache)
		h.takeLocked(p, n)
	}
	m.leaveOrWakeLocked(c.t)
}

// Take makes pages of another holder this one's, without copying. It always
// succeeds.
func (h *Holder) Take(from *Holder, pages ...*Page) {
	m := h.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range pages {
		if p.holder != from {
			invariant.Violated("%s takes from %s a page that is not its own", h.name, from.name)
		}
		n := p.Size()
		from.pages.remove(p, n)
		from.used -= n
		m.mu.addStorage(-n, from.kind == cache)
		m.mu.addStorage(n, h.kind == cache)
		h.takeLocked(p, n)
	}
	m.wakeLocked()
}

func (h *Holder) takeLocked(p *Page, n int64) {
	p.holder = h
	h.pages.add(p)
	h.used += n
}
