package memory

import "slices"

// Reservation is a fixed amount of memory under a name: buffers and tables
// of the engine itself. Its methods may be called from several goroutines.
type Reservation struct {
	m     *Manager
	name  string
	bytes int64 // guarded by m.mu
}

// Reserve sets n bytes aside until the reservation is released. The regions
// are cut from what reservations leave. It asks holders to evict as
// execution does, never waits, and is refused with a *NoMemoryError.
func (m *Manager) Reserve(name string, n int64) (*Reservation, error) {
	r := &Reservation{m: m, name: name}
	m.mu.Lock()
	m.mu.reserved = append(m.mu.reserved, r)
	m.mu.Unlock()
	if err := r.Resize(n); err != nil {
		r.Release()
		return nil, err
	}
	return r, nil
}

// Bytes returns the size of the reservation.
func (r *Reservation) Bytes() int64 {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.bytes
}

// Resize makes the reservation n bytes; when it is refused with a
// *NoMemoryError, it stays as it was.
func (r *Reservation) Resize(n int64) error {
	m := r.m
	m.mu.Lock()
	for {
		short := n - r.bytes - m.mu.free()
		if short <= 0 {
			break
		}
		if m.unlocked(m.evictableLocked(short)) == 0 {
			err := m.refusalLocked(r.name, n-r.bytes)
			m.mu.Unlock()
			return err
		}
	}
	m.mu.addFixed(n - r.bytes)
	r.bytes = n
	_, victims := m.settleLocked(0)
	m.wakeLocked()
	m.mu.Unlock()
	m.giveBack(victims)
	return nil
}

// Release ends the reservation.
func (r *Reservation) Release() {
	m := r.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.addFixed(-r.bytes)
	r.bytes = 0
	m.mu.reserved = slices.DeleteFunc(m.mu.reserved, func(o *Reservation) bool { return o == r })
	m.wakeLocked()
}
