package memory

import "slices"

// acquire grants t up to n bytes of execution memory and returns how many.
// The bytes are in flight until a consumer books them or they are returned.
// It waits, if mayWait is set, while the attempt would hold less than half a
// fair share; see [share].
//
//  1. Take the storage pool's free bytes into the execution pool.
//  2. If the attempt's share asks for more, ask holders to evict, unlocked,
//     and look again.
//  3. Grant what the share allows; or wait, having asked those above their
//     cap to spill, until something is released.
func (m *Manager) acquire(t *Task, n int64, mayWait bool) int64 {
	if n <= 0 {
		return 0
	}
	m.mu.Lock()
	if !t.active {
		t.joinLocked()
	}
	evicting := true // holders have not yet been found to have nothing
	for t.cause == nil {
		active := int64(len(m.mu.active))
		m.mu.growExecution(n)
		want := min(n, m.mu.maxPool()/active-t.held)
		if short := want - m.mu.execFree(); short > 0 && evicting && mayWait {
			if asks := m.evictableLocked(short); len(asks) > 0 {
				m.mu.Unlock()
				evicting = t.evict(asks) > 0
				m.mu.Lock()
				continue
			}
		}
		grant, wait := share(n, t.held, active, m.mu.execPool, m.mu.maxPool(), m.mu.execFree())
		if !wait || !mayWait {
			m.mu.execUsed += grant
			m.mu.inFlight += grant
			t.held += grant
			t.peak = max(t.peak, t.held)
			m.mu.Unlock()
			return grant
		}
		m.askLocked(t, n-grant)
		m.waitLocked(t)
		evicting = true
	}
	m.mu.Unlock()
	return 0
}

// waitLocked waits for a release, an end, a request or a kill. It returns
// with m.mu held, after serving what others requested meanwhile.
func (m *Manager) waitLocked(t *Task) {
	if t.wake == nil {
		t.wake = make(chan struct{}, 1)
	}
	if t.request.Load() == 0 {
		m.mu.waiting = append(m.mu.waiting, t)
		m.mu.Unlock()
		<-t.wake
		m.mu.Lock()
		m.mu.waiting = slices.DeleteFunc(m.mu.waiting, func(w *Task) bool { return w == t })
	}
	if t.request.Load() > 0 {
		m.mu.Unlock()
		t.Serve()
		m.mu.Lock()
	}
	if !t.active { // it served a request with all it had
		t.joinLocked()
	}
}

// askLocked asks attempts that hold more than the cap to give up what is
// above it, as far as t needs n bytes.
func (m *Manager) askLocked(t *Task, n int64) {
	limit := m.mu.maxPool() / int64(len(m.mu.active))
	for u := range m.mu.active {
		if over := u.held - limit; u != t && over > 0 {
			u.askLocked(min(over, n))
		}
	}
}

// giveLocked takes n bytes of t's out of the execution pool's use.
func (m *Manager) giveLocked(t *Task, n int64) {
	m.mu.execUsed -= n
	t.held -= n
	m.leaveOrWakeLocked(t)
}

// leaveOrWakeLocked follows every decrease of what t holds: with nothing
// left, t no longer shares the pool.
func (m *Manager) leaveOrWakeLocked(t *Task) {
	if t.held == 0 && t.active {
		t.leaveLocked()
		return
	}
	m.wakeLocked()
}

// request is one holder's part of an eviction.
type request struct {
	holder *Holder
	need   int64
}

// evictableLocked says whom to ask for need bytes, for execution or a
// reservation: copies first, then caches above the region, then the rest.
func (m *Manager) evictableLocked(need int64) (asks []request) {
	over := m.mu.overRegion()
	for _, k := range []kind{copies, cache, blocks} {
		for _, h := range m.mu.holders {
			if h.kind != k || h.evict == nil || need <= 0 {
				continue
			}
			n := min(need, h.used)
			if k == cache {
				n = min(n, over)
				over -= n
			}
			if n > 0 {
				asks = append(asks, request{h, n})
				need -= n
			}
		}
	}
	return asks
}

// evict carries out asks of by, with no lock held, and returns what they freed.
func evict(by *Task, asks []request) (freed int64) {
	for _, a := range asks {
		freed += a.holder.evict(by, a.need)
	}
	return freed
}
