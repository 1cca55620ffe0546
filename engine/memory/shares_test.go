package memory

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// Conformance, area MEM. Differences by design:
//
// NOT APPLICABLE: MEM-009, because there is one memory mode: all managed
// memory is off the heap, and accounts of heap bytes share its budget.
//
// NOT APPLICABLE: MEM-016 as to a peak of each mode, because there is one: the
// peak is the attempt's.

func TestMEM_001_WaitsBelowHalfAFairShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(1000, 0)
		t1, c1 := plain(m, 1)
		t2, c2 := plain(m, 2)
		ask(t, c1, 1000, 1000)
		w := begin(c2, 250)
		w.mustWait(t)
		c1.Release(250)
		w.mustGet(t, 250)
		ask(t, c2, 100, 0) // 250 is half a share: no reason to wait
		closeAll(t, m, t1, t2)
	})
}

func TestMEM_002_CapIsOneNth(t *testing.T) {
	m := newManager(1000, 0)
	t1, c1 := plain(m, 1)
	t2, c2 := plain(m, 2)
	ask(t, c1, 250, 250)
	ask(t, c2, 250, 250)
	ask(t, c1, 500, 250)
	ask(t, c2, 500, 250)
	ask(t, c1, 100, 0)
	ask(t, c2, 100, 0)
	closeAll(t, m, t1, t2)
}

func TestMEM_010_SpillsMoreWhenAnotherTakesWhatWasSpilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(1000, 0)
		t1, t2 := m.NewTask(1), m.NewTask(2)
		s := spillerOf(t1, "sorter")
		c2 := t2.Consumer("plain", nil)
		var w *waiting
		// It holds its bytes in parts of 500 and spills one at a time. What the
		// first frees the other takes, before it can: nobody asked for it.
		s.c.spill = func(need int64) (int64, error) {
			s.spills = append(s.spills, need)
			s.c.Release(500)
			s.freed += 500
			if w == nil {
				w = begin(c2, 500)
			}
			return 500, nil
		}
		ask(t, s.c, 1000, 1000)
		ask(t, s.c, 500, 500)
		w.mustGet(t, 500)
		if s.freed != 1000 {
			t.Errorf("spilled %d bytes in all, want 1000", s.freed)
		}
		if h1, h2 := t1.Held(), t2.Held(); h1 != 500 || h2 != 500 {
			t.Errorf("held %d and %d, want 500 each", h1, h2)
		}
		closeAll(t, m, t1, t2)
	})
}

func TestMEM_011_EndOfATaskWakesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(1000, 0)
		t1, c1 := plain(m, 1)
		t2, c2 := plain(m, 2)
		ask(t, c1, 1000, 1000)
		w := begin(c2, 500)
		w.mustWait(t)
		if leaked := t1.Close(); leaked != 1000 {
			t.Errorf("task 1 leaked %d, want 1000", leaked)
		}
		w.mustGet(t, 500)
		ask(t, c2, 500, 500)
		closeAll(t, m, t2)
	})
}

func TestMEM_012_SingleTask(t *testing.T) {
	m := newManager(1000, 0)
	task, c := plain(m, 1)
	for _, step := range []struct{ n, want int64 }{{100, 100}, {400, 400}, {400, 400}, {200, 100}, {100, 0}} {
		ask(t, c, step.n, step.want)
	}
	c.Release(500)
	ask(t, c, 300, 300)
	ask(t, c, 300, 200)
	if p := task.Peak(); p != 1000 {
		t.Errorf("peak %d, want 1000", p)
	}
	closeAll(t, m, task)
}

func TestMEM_015_ReleaseOfTooMuchIsClamped(t *testing.T) {
	m := newManager(1000, 0)
	var log bytes.Buffer
	m.log = slog.New(slog.NewTextHandler(&log, nil))
	warned := func(times int) {
		t.Helper()
		if n := strings.Count(log.String(), "released more memory than was held"); n != times {
			t.Errorf("%d warnings, want %d:\n%s", n, times, &log)
		}
	}
	t1, c1 := plain(m, 1)
	t2, c2 := plain(m, 2)
	ask(t, c1, 300, 300)
	ask(t, c2, 200, 200)
	c1.Release(200)
	warned(0)
	c1.Release(900)
	warned(1)
	if c1.Used() != 0 || t1.Held() != 0 {
		t.Errorf("task 1 holds %d, want 0", t1.Held())
	}
	if t2.Held() != 200 {
		t.Errorf("task 2 holds %d, want 200", t2.Held())
	}
	check(t, m)
	cached := cacheOf(t, m, 100)
	cached.h.Release(101)
	warned(2)
	if n := cached.h.Used(); n != 0 {
		t.Errorf("the cache holds %d, want 0", n)
	}
	check(t, m)
	ask(t, c1, 1000, 500) // shares are as they were
	ask(t, c2, 1000, 300)
	closeAll(t, m, t1, t2)
}

func TestMEM_016_TaskSumsItsConsumers(t *testing.T) {
	m := newManager(1000, 0)
	task := m.NewTask(1)
	a, b := task.Consumer("a", nil), task.Consumer("b", nil)
	ask(t, a, 500, 500)
	ask(t, b, 400, 400)
	if task.Held() != 900 || task.Peak() != 900 || a.Used() != 500 || b.Used() != 400 {
		t.Errorf("held %d, peak %d, consumers %d and %d; want 900, 900, 500, 400", task.Held(), task.Peak(), a.Used(), b.Used())
	}
	ask(t, a, 200, 100)
	ask(t, b, 1, 0)
	a.Release(600)
	ask(t, a, 100, 100)
	if task.Held() != 500 || task.Peak() != 1000 {
		t.Errorf("held %d, peak %d; want 500, 1000", task.Held(), task.Peak())
	}
	closeAll(t, m, task)
}

// Golden vectors of spark-semantics §13, execution fairness.
func TestFairnessGoldenVectors(t *testing.T) {
	t.Run("waits until half a share is free", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newManager(1000, 0)
			t1, a := plain(m, 1)
			t2, b := plain(m, 2)
			ask(t, a, 1000, 1000)
			w := begin(b, 300)
			w.mustWait(t)
			a.Release(200)
			w.mustWait(t)
			a.Release(100)
			w.mustGet(t, 300)
			closeAll(t, m, t1, t2)
		})
	})
	t.Run("takes a part when it is enough", func(t *testing.T) {
		m := newManager(1000, 0)
		t1, a := plain(m, 1)
		t2, b := plain(m, 2)
		ask(t, a, 600, 600)
		ask(t, b, 600, 400)
		closeAll(t, m, t1, t2)
	})
}

func TestKillWakesAWaiterWithItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(1000, 0)
		t1, c1 := plain(m, 1)
		t2, c2 := plain(m, 2)
		ask(t, c1, 1000, 1000)
		w := begin(c2, 400)
		w.mustWait(t)
		cause := errors.New("stage cancelled")
		t2.Kill(cause)
		t2.Kill(errors.New("too late"))
		w.mustGet(t, 0)
		if !errors.Is(t2.Err(), cause) {
			t.Errorf("Err is %v, want the first cause", t2.Err())
		}
		select {
		case <-t2.Done():
		default:
			t.Error("Done is open after Kill")
		}
		if err := c2.Need(1); !errors.Is(err, cause) {
			t.Errorf("Need says %v, want the cause", err)
		}
		if _, err := c2.Alloc(1); !errors.Is(err, cause) {
			t.Errorf("Alloc says %v, want the cause", err)
		}
		closeAll(t, m, t1, t2)
	})
}

// A wait asks those above the cap; one that waits for something else serves
// the request in its own goroutine, and the waiter goes on.
func TestRequestIsServedByTheHoldersGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(1000, 0)
		t1, t2 := m.NewTask(1), m.NewTask(2)
		s := spillerOf(t1, "sorter")
		ask(t, s.c, 1000, 1000)
		if t1.Serve() != 0 {
			t.Fatal("served a request that nobody made")
		}
		barrier := make(chan struct{})
		var served int64
		go func() { // task 1 at a barrier
			for {
				select {
				case <-barrier:
					return
				case <-t1.Requested():
					served += t1.Serve()
				}
			}
		}()
		w := begin(t2.Consumer("table", nil), 300)
		w.mustGet(t, 300)
		close(barrier)
		synctest.Wait()
		if served != 1000 || len(s.spills) != 1 || s.spills[0] != 300 {
			t.Errorf("served %d in spills of %v, want 1000 in one that was asked for 300", served, s.spills)
		}
		closeAll(t, m, t1, t2)
	})
}

// The next call for memory serves a request too.
func TestRequestIsServedAtTheNextAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(1000, 0)
		t1, t2 := m.NewTask(1), m.NewTask(2)
		s := spillerOf(t1, "sorter")
		other := t1.Consumer("table", nil)
		ask(t, s.c, 1000, 1000)
		w := begin(t2.Consumer("table", nil), 500)
		w.mustWait(t)
		if got := other.Acquire(100); got != 100 {
			t.Errorf("task 1 got %d after spilling, want 100", got)
		}
		w.mustGet(t, 500)
		closeAll(t, m, t1, t2)
	})
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name                                   string
		n, held, active, pool, maxPool, onHand int64
		grant                                  int64
		wait                                   bool
	}{
		{"all of it", 100, 0, 1, 1000, 1000, 1000, 100, false},
		{"capped", 800, 0, 2, 1000, 1000, 1000, 500, false},
		{"over the cap", 100, 700, 2, 1000, 1000, 300, 0, false},
		{"floor of the pool as it stands, not as it could be", 100, 0, 2, 200, 1000, 50, 50, false},
		{"below the floor", 100, 0, 2, 1000, 1000, 50, 50, true},
		{"integer division of the floor", 300, 0, 3, 1000, 1000, 166, 166, false},
		{"one less", 300, 0, 3, 1000, 1000, 165, 165, true},
	} {
		if grant, wait := share(c.n, c.held, c.active, c.pool, c.maxPool, c.onHand); grant != c.grant || wait != c.wait {
			t.Errorf("%s: got %d, wait %v; want %d, %v", c.name, grant, wait, c.grant, c.wait)
		}
	}
}
