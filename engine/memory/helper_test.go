package memory

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check fails the test unless the accounts of everybody add up to the total.
func check(t *testing.T, m *Manager) {
	t.Helper()
	m.mu.Lock()
	r := m.mu.regions
	m.mu.Unlock()
	if !r.consistent() {
		t.Fatalf("regions do not add up: %+v", r)
	}
	sum := m.Free()
	for _, a := range m.Accounts() {
		if a.Name == FreePages {
			if a.Bytes > m.Free() {
				t.Fatalf("%d bytes of free pages, but only %d bytes are free", a.Bytes, m.Free())
			}
			continue
		}
		sum += a.Bytes
	}
	if sum != m.Total() {
		t.Fatalf("accounts and free bytes sum to %d, want the total of %d: %v", sum, m.Total(), m.Accounts())
	}
}

// closeAll ends the test with nothing reserved.
func closeAll(t *testing.T, m *Manager, tasks ...*Task) {
	t.Helper()
	for _, task := range tasks {
		task.Close()
	}
	check(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n := m.Mapped(); n != 0 {
		t.Fatalf("%d bytes are still mapped after Close", n)
	}
}

// plain returns an attempt with one consumer that cannot spill.
func plain(m *Manager, n id.Task) (*Task, *Consumer) {
	task := m.NewTask(n)
	return task, task.Consumer("plain", nil)
}

// ask acquires and compares.
func ask(t *testing.T, c *Consumer, n, want int64) {
	t.Helper()
	if got := c.Acquire(n); got != want {
		t.Fatalf("%s asked for %d and got %d, want %d", c.t, n, got, want)
	}
}

// waiting is an acquisition on a goroutine of its own.
type waiting struct {
	c    *Consumer
	done bool
	got  int64
}

// begin starts an acquisition and runs until it returned or waits.
func begin(c *Consumer, n int64) *waiting {
	w := &waiting{c: c}
	go func() {
		w.got = c.Acquire(n)
		w.done = true
	}()
	synctest.Wait()
	return w
}

func (w *waiting) mustWait(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if w.done {
		t.Fatalf("%s got %d, want it to wait", w.c.t, w.got)
	}
}

func (w *waiting) mustGet(t *testing.T, want int64) {
	t.Helper()
	synctest.Wait()
	if !w.done {
		t.Fatalf("%s waits, want a grant of %d", w.c.t, want)
	}
	if w.got != want {
		t.Fatalf("%s got %d, want %d", w.c.t, w.got, want)
	}
}

// fakeCache is a holder whose bytes are evicted exactly as asked.
type fakeCache struct {
	h    *Holder
	asks []int64
	deny bool
}

func cacheOf(t *testing.T, m *Manager, n int64) *fakeCache {
	f := &fakeCache{}
	f.h = m.CacheHolder("cache", f.evict)
	if err := f.h.Acquire(n); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeCache) evict(need int64) int64 {
	f.asks = append(f.asks, need)
	if f.deny {
		return 0
	}
	need = min(need, f.h.Used())
	f.h.Release(need)
	return need
}

// spiller is a consumer that spills all it has.
type spiller struct {
	c      *Consumer
	spills []int64 // needs it was asked for
	freed  int64
	after  func() // runs at the end of a spill
}

func spillerOf(task *Task, name string) *spiller {
	s := &spiller{}
	s.c = task.Consumer(name, func(need int64) (int64, error) {
		s.spills = append(s.spills, need)
		n := s.c.Used()
		s.c.Release(n)
		s.freed += n
		if s.after != nil {
			s.after()
		}
		return n, nil
	})
	return s
}
