package memory

import (
	"errors"
	"slices"
	"testing"
)

func TestMEM_003_ExecutionEvictsAboveTheRegion(t *testing.T) {
	m := newManager(1000, 0.5)
	cached := cacheOf(t, m, 750)
	task, c := plain(m, 1)
	ask(t, c, 100, 100)
	if len(cached.asks) != 0 {
		t.Fatalf("evicted %v for the first 100 bytes, want nothing", cached.asks)
	}
	ask(t, c, 200, 200)
	if !slices.Equal(cached.asks, []int64{50}) {
		t.Fatalf("evictions asked for %v, want exactly 50", cached.asks)
	}
	if task.Held() != 300 || cached.h.Used() != 700 {
		t.Errorf("execution %d, storage %d; want 300 and 700", task.Held(), cached.h.Used())
	}
	ask(t, c, 400, 200) // what lies within the region stays
	if !slices.Equal(cached.asks, []int64{50, 200}) || cached.h.Used() != 500 {
		t.Errorf("evictions asked for %v, storage has %d; want 50 and 200, and 500", cached.asks, cached.h.Used())
	}
	check(t, m)
	cached.h.Release(500)
	closeAll(t, m, task)
}

func TestMEM_004_StorageNeverEvictsExecution(t *testing.T) {
	m := newManager(1000, 0.5)
	task, c := plain(m, 1)
	ask(t, c, 800, 800)
	cached := cacheOf(t, m, 100)
	asked := false
	err := cached.h.AcquireEvicting(250, func(int64) int64 { asked = true; return 0 })
	var refusal *NoMemoryError
	if !errors.As(err, &refusal) || !errors.Is(err, ErrNoMemory) {
		t.Fatalf("got %v, want a *NoMemoryError", err)
	}
	if asked {
		t.Error("an eviction was tried for what can never be granted")
	}
	if want := "cannot reserve 250 B for cache: 100 B free; largest holders: plain 800 B, cache 100 B"; err.Error() != want {
		t.Errorf("the refusal says %q, want %q", err, want)
	}
	cached.h.Release(100)
	closeAll(t, m, task)
}

func TestMEM_005_RegionOfZeroProtectsNothing(t *testing.T) {
	m := newManager(1000, 0)
	t1, c1 := plain(m, 1)
	t2, c2 := plain(m, 2)
	ask(t, c1, 100, 100)
	ask(t, c2, 100, 100)
	cached := cacheOf(t, m, 800)
	ask(t, c1, 100, 100)
	if !slices.Equal(cached.asks, []int64{100}) {
		t.Errorf("evictions asked for %v, want 100", cached.asks)
	}
	cached.h.Release(700)
	closeAll(t, m, t1, t2)
}

func TestMEM_006_FailedEvictionLeavesTheRegionsWhole(t *testing.T) {
	m := newManager(1000, 0.5)
	cached := cacheOf(t, m, 1000)
	task, c := plain(m, 1)

	cached.deny = true // an error of the disk, reported elsewhere
	ask(t, c, 100, 0)
	check(t, m)

	h := m.Holder("broken", func(*Task, int64) int64 { panic("disk gone") })
	cached.h.Release(400)
	if err := h.Acquire(400); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the eviction's panic did not reach the caller")
			}
		}()
		c.Acquire(300)
	}()
	check(t, m)
	h.Release(400)
	ask(t, c, 400, 400) // and the manager still works
	cached.h.Release(600)
	closeAll(t, m, task)
}

func TestMEM_013_StorageEvictsItsOwn(t *testing.T) {
	m := newManager(1000, 0.5)
	cached := cacheOf(t, m, 110)
	if err := cached.h.AcquireEvicting(1001, cached.evict); !errors.Is(err, ErrNoMemory) {
		t.Fatalf("a block larger than all memory: got %v, want a refusal", err)
	}
	if len(cached.asks) != 0 || cached.h.Used() != 110 {
		t.Fatalf("the refusal evicted %v", cached.asks)
	}
	if err := cached.h.AcquireEvicting(1000, cached.evict); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cached.asks, []int64{110}) || cached.h.Used() != 1000 {
		t.Errorf("asked for %v, holds %d; want 110 and 1000", cached.asks, cached.h.Used())
	}
	cached.h.Release(1000)
	closeAll(t, m)
}

// Golden vector of spark-semantics §13, storage and execution.
func TestEvictionGoldenVector(t *testing.T) {
	m := newManager(1000, 0.5)
	cached := cacheOf(t, m, 700)
	task, c := plain(m, 1)
	ask(t, c, 600, 500)
	if !slices.Equal(cached.asks, []int64{200}) {
		t.Errorf("evictions asked for %v, want 200", cached.asks)
	}
	cached.h.Release(500)
	task.Close()

	task, c = plain(m, 2)
	ask(t, c, 800, 800)
	if err := cached.h.AcquireEvicting(300, cached.evict); !errors.Is(err, ErrNoMemory) {
		t.Errorf("caching 300 with 800 executing: got %v, want a refusal", err)
	}
	if len(cached.asks) != 1 {
		t.Errorf("the refusal evicted: %v", cached.asks)
	}
	closeAll(t, m, task)
}

// Whole blocks may overshoot below the region.
func TestEvictionMayOvershoot(t *testing.T) {
	m := newManager(1000, 0.5)
	var h *Holder
	h = m.CacheHolder("cache", func(int64) int64 { h.Release(400); return 400 })
	if err := h.Acquire(800); err != nil {
		t.Fatal(err)
	}
	task, c := plain(m, 1)
	ask(t, c, 300, 300)
	if h.Used() != 400 {
		t.Errorf("the cache holds %d, want 400", h.Used())
	}
	h.Release(400)
	closeAll(t, m, task)
}

// Copies go first and whole, then caches above the region, then blocks to
// the last byte.
func TestEvictionOrder(t *testing.T) {
	m := newManager(1000, 0.5)
	var order []string
	holder := func(name string, add func(string, func(int64) int64) *Holder, n int64) *Holder {
		var h *Holder
		h = add(name, func(need int64) int64 {
			need = min(need, h.Used())
			order = append(order, name)
			h.Release(need)
			return need
		})
		if err := h.Acquire(n); err != nil {
			t.Fatal(err)
		}
		return h
	}
	blocks := holder("shuffle", func(name string, evict func(int64) int64) *Holder {
		return m.Holder(name, func(_ *Task, need int64) int64 { return evict(need) })
	}, 200)
	cached := holder("cache", m.CacheHolder, 600)
	copied := holder("copies", m.CopyHolder, 200)
	task, c := plain(m, 1)
	ask(t, c, 400, 400)
	if want := []string{"copies", "cache", "shuffle"}; !slices.Equal(order, want) {
		t.Errorf("asked %v, want %v", order, want)
	}
	if blocks.Used() != 100 || cached.Used() != 500 || copied.Used() != 0 {
		t.Errorf("left %d, %d, %d; want 100, 500, 0", blocks.Used(), cached.Used(), copied.Used())
	}
	ask(t, c, 1000, 100)
	if blocks.Used() != 0 || cached.Used() != 500 {
		t.Errorf("left %d and %d, want 0 and 500", blocks.Used(), cached.Used())
	}
	cached.Release(500)
	closeAll(t, m, task)
}

func TestReservationCutsTheRegions(t *testing.T) {
	m := newManager(1000, 0.5)
	r, err := m.Reserve("event buffers", 200)
	if err != nil {
		t.Fatal(err)
	}
	cached := cacheOf(t, m, 800)
	task, c := plain(m, 1)
	ask(t, c, 1000, 400) // the region is half of 800
	if err := r.Resize(300); !errors.Is(err, ErrNoMemory) {
		t.Errorf("got %v, want a refusal: what is left is protected or in use", err)
	}
	if r.Bytes() != 200 {
		t.Errorf("the refused reservation is %d, want 200", r.Bytes())
	}
	c.Release(100)
	if err := r.Resize(300); err != nil {
		t.Error(err)
	}
	check(t, m)
	if _, err := m.Reserve("more", 1000); !errors.Is(err, ErrNoMemory) {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := m.Close(); err == nil {
		t.Error("Close says nothing of what is reserved")
	}
	m.mu.closed = false
	r.Release()
	cached.h.Release(cached.h.Used())
	closeAll(t, m, task)
}
