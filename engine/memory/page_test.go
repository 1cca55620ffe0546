package memory

import (
	"errors"
	"testing"

	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/units"
)

const mib = int64(units.MiB)

func alloc(t *testing.T, c *Consumer, n int) *Page {
	t.Helper()
	p, err := c.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Data) < n {
		t.Fatalf("page of %d bytes, want at least %d", len(p.Data), n)
	}
	for i := 0; i < len(p.Data); i += 4096 {
		p.Data[i] = byte(i)
	}
	return p
}

func TestSizeClasses(t *testing.T) {
	for n, want := range map[int]int{
		0: 16 << 10, 1: 16 << 10, 16 << 10: 16 << 10, 16<<10 + 1: 32 << 10, 100 << 10: 128 << 10,
		512 << 10: 512 << 10, 512<<10 + 1: 1 << 20, 1 << 20: 1 << 20, 1<<20 + 1: 2 << 20, 5 << 20: 5 << 20, 5<<20 - 7: 5 << 20,
	} {
		if got := pageSize(n); got != want {
			t.Errorf("page for %d bytes: %d, want %d", n, got, want)
		}
	}
}

func TestFreedPagesAreReused(t *testing.T) {
	m := newManager(64*mib, 0)
	task, c := plain(m, 1)
	for _, n := range []int{16 << 10, 100 << 10, 4 << 20, 5<<20 + 1} {
		p := alloc(t, c, n)
		at, size := &p.Data[0], p.Size()
		if c.Used() != size {
			t.Errorf("%d bytes are accounted for a page of %d", c.Used(), size)
		}
		c.Free(p)
		if p.Data != nil {
			t.Error("a freed page still shows its bytes")
		}
		q := alloc(t, c, n)
		if &q.Data[0] != at {
			t.Errorf("a page of %d bytes was not reused", size)
		}
		c.Free(q)
		if m.Free() != m.Total() {
			t.Errorf("%d of %d bytes are free", m.Free(), m.Total())
		}
	}
	check(t, m)
	closeAll(t, m, task)
}

// Mapped bytes never exceed the total, whatever sizes were freed before.
func TestFreePagesMakeRoomForOtherSizes(t *testing.T) {
	m := newManager(16*mib, 0)
	task, c := plain(m, 1)
	hold := func(n int) {
		t.Helper()
		var pages []*Page
		for c.Used()+int64(n) <= m.Total() {
			pages = append(pages, alloc(t, c, n))
			if m.Mapped() > m.Total() {
				t.Fatalf("%d bytes are mapped of a total of %d", m.Mapped(), m.Total())
			}
		}
		if len(pages) != int(m.Total())/n {
			t.Fatalf("%d pages of %d fit, want %d", len(pages), n, int(m.Total())/n)
		}
		check(t, m)
		for _, p := range pages {
			c.Free(p)
		}
		check(t, m)
	}
	for _, n := range []int{16 << 10, 1 << 20, 256 << 10, 4 << 20, 3 << 20, 16 << 10, 16 << 20} {
		hold(n)
	}
	// Bytes that are no pages push free pages out too.
	ask(t, c, 10*mib, 10*mib)
	if m.Mapped() > 6*mib {
		t.Errorf("%d bytes are mapped beside 10 MiB of other memory in 16 MiB", m.Mapped())
	}
	closeAll(t, m, task)
}

// What is spilled and taken again at the same size maps nothing anew.
func TestSteadyStateMapsNothing(t *testing.T) {
	m := newManager(8*mib, 0)
	task, c := plain(m, 1)
	round := func() {
		var pages []*Page
		for range 8 {
			pages = append(pages, alloc(t, c, int(mib)))
		}
		for _, p := range pages {
			c.Free(p)
		}
	}
	round()
	first := m.pages
	m.pages = noSource{first}
	for range 5 {
		round()
	}
	m.pages = first
	closeAll(t, m, task)
}

type noSource struct{ source }

var errNoSource = errors.New("no address space")

func (noSource) slab(int) ([]byte, error)  { return nil, errNoSource }
func (noSource) large(int) ([]byte, error) { return nil, errNoSource }

func TestSystemsRefusalIsTold(t *testing.T) {
	m := newManager(8*mib, 0)
	m.pages = noSource{m.pages}
	task, c := plain(m, 1)
	h := m.Holder("shuffle", nil)
	for _, n := range []int{1, 3 << 20} {
		if _, err := c.Alloc(n); !errors.Is(err, errNoSource) || !errors.Is(err, ErrNoMemory) {
			t.Errorf("consumer: got %v, want the system's refusal as ErrNoMemory", err)
		}
		if _, err := h.Alloc(n); !errors.Is(err, errNoSource) || !errors.Is(err, ErrNoMemory) {
			t.Errorf("holder: got %v, want the system's refusal as ErrNoMemory", err)
		}
	}
	if task.Held() != 0 || h.Used() != 0 {
		t.Errorf("after refusals task and holder hold %d and %d", task.Held(), h.Used())
	}
	closeAll(t, m, task)
}

func TestAdoptMovesPagesWithoutCopying(t *testing.T) {
	m := newManager(8*mib, 0.5)
	task, c := plain(m, 1)
	h := m.Holder("shuffle", nil)
	p, q := alloc(t, c, 1<<20), alloc(t, c, 1<<20)
	p.Data[5] = 42
	at := &p.Data[0]
	h.Adopt(c, p, q)
	if &p.Data[0] != at || p.Data[5] != 42 {
		t.Error("adopting changed the page")
	}
	if c.Used() != 0 || task.Held() != 0 || h.Used() != 2*mib {
		t.Errorf("consumer %d, task %d, holder %d; want 0, 0 and 2 MiB", c.Used(), task.Held(), h.Used())
	}
	if leaked := task.Close(); leaked != 0 {
		t.Errorf("the attempt leaked %d, want 0: the pages are the holder's", leaked)
	}
	check(t, m)
	cached := m.CacheHolder("cache", nil)
	cached.Take(h, q)
	if h.Used() != mib || cached.Used() != mib || m.mu.cached != mib {
		t.Errorf("holders %d and %d, protected %d; want a MiB each", h.Used(), cached.Used(), m.mu.cached)
	}
	h.Free(p)
	cached.Free(q)
	closeAll(t, m)
}

func TestForeignFreeIsAViolation(t *testing.T) {
	m := newManager(8*mib, 0.5)
	task := m.NewTask(1)
	a, b := task.Consumer("a", nil), task.Consumer("b", nil)
	p := alloc(t, a, 1)
	defer closeAll(t, m, task)
	defer func() {
		if _, ok := recover().(*invariant.Violation); !ok {
			t.Error("freeing another consumer's page is no violation")
		}
	}()
	b.Free(p)
}

func TestLeakedPagesAreFreedAndCounted(t *testing.T) {
	m := newManager(8*mib, 0.5)
	task, c := plain(m, 1)
	alloc(t, c, 1<<20)
	alloc(t, c, 1)
	ask(t, c, 100, 100)
	if leaked, want := task.Close(), mib+16<<10+100; leaked != want {
		t.Errorf("leaked %d, want %d", leaked, want)
	}
	if task.Peak() != mib+16<<10+100 {
		t.Errorf("peak %d after the end", task.Peak())
	}
	closeAll(t, m)
}

func TestPoisonFindsWritesAfterFree(t *testing.T) {
	m := newManager(8*mib, 0.5)
	m.poisoned = true
	task, c := plain(m, 1)
	p := alloc(t, c, 1)
	kept := p.Data
	c.Free(p)
	if kept[100] != poison {
		t.Errorf("a freed byte is %#x, want poison", kept[100])
	}
	kept[100] = 7
	func() {
		defer func() {
			if _, ok := recover().(*invariant.Violation); !ok {
				t.Error("a write after free was not found at reuse")
			}
		}()
		alloc(t, c, 1)
	}()
	task.Close()
}

func TestMappedIsToldInSteps(t *testing.T) {
	var told []int64
	m, err := NewManager(Config{Budget: 200 * units.MiB, Mapped: func(n int64) { told = append(told, n) }})
	if err != nil {
		t.Fatal(err)
	}
	task, c := plain(m, 1)
	for range 40 {
		if _, err := c.Alloc(1 << 20); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 2 || told[0] != 16*mib || told[1] != 32*mib {
		t.Errorf("told %v, want 16 and 32 MiB", told)
	}
	task.Close()
	if len(told) != 2 {
		t.Errorf("told %v: free pages stay mapped", told)
	}
	closeAll(t, m)
	if last := told[len(told)-1]; last > 16*mib {
		t.Errorf("told %v at last, want less than 16 MiB", last)
	}
}

func BenchmarkAllocFree(b *testing.B) {
	m := newManager(64*mib, 0.5)
	c := m.NewTask(1).Consumer("bench", nil)
	b.ReportAllocs()
	for b.Loop() {
		p, err := c.Alloc(1 << 20)
		if err != nil {
			b.Fatal(err)
		}
		c.Free(p)
	}
}
