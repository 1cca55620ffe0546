package memory

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/units"
)

// Config says how much memory there is and how it is divided. The zero value
// of a field means its default.
type Config struct {
	// Budget is what the whole process may use. There is no default.
	Budget units.Bytes
	// Reserved is the part of Budget that is not managed: the Go runtime and
	// whatever surrounds the engine. 0 means 32 MiB, negative none.
	Reserved units.Bytes
	// Fraction of Budget − Reserved that is managed; 0 means 1.
	Fraction float64
	// StorageFraction of the managed memory is the region from which
	// execution cannot evict cached blocks; 0 means 0.5, negative none.
	StorageFraction float64
	// Cores is the greatest number of attempts at a time; 0 means 1.
	Cores int
	// Floor is what each of them must be sure to get, with the storage region
	// full of cached blocks; 0 means 4 MiB: four pages of the smallest page
	// size, which is what an external sort needs to merge at all. NewManager
	// refuses a Budget that cannot guarantee it.
	Floor units.Bytes
	// PageSize is what [Manager.PageSize] returns; 0 means computed.
	PageSize units.Bytes
	// Heap takes pages from the Go heap; builds with the race detector always
	// do.
	Heap bool
	// Mapped, if set, is told how many bytes of pages are mapped, whenever
	// that changed by 16 MiB or more since the last time. It is called
	// outside all locks of the package, by one goroutine at a time.
	Mapped func(total int64)
	// Logger receives warnings; nil discards them.
	Logger *slog.Logger
}

const (
	defaultReserved = 32 * units.MiB // measured: runtime, stacks and tables of an idle process stay under half of it
	defaultFloor    = 4 * units.MiB
	mappedStep      = int64(16 * units.MiB) // setting the collector's limit costs a stop of the world: rarely
)

// withDefaults returns c with every default filled in.
func (c Config) withDefaults() Config {
	if c.Reserved == 0 {
		c.Reserved = defaultReserved
	}
	c.Reserved = max(0, c.Reserved)
	if c.Fraction == 0 {
		c.Fraction = 1
	}
	if c.StorageFraction == 0 {
		c.StorageFraction = 0.5
	}
	c.StorageFraction = max(0, c.StorageFraction)
	if c.Cores == 0 {
		c.Cores = 1
	}
	if c.Floor == 0 {
		c.Floor = defaultFloor
	}
	return c
}

// managed returns the managed bytes of a budget.
func (c Config) managed() int64 { return int64(float64(c.Budget-c.Reserved) * c.Fraction) }

// minBudget returns the smallest budget that is accepted:
//
//	floor ≤ managed × (1 − StorageFraction) / 2·Cores
//	Budget ≥ 1.5 × Reserved
func (c Config) minBudget() units.Bytes {
	managed := float64(c.Floor) * 2 * float64(c.Cores) / (1 - c.StorageFraction)
	least := max(float64(c.Reserved)+managed/c.Fraction, 1.5*float64(c.Reserved))
	return units.Bytes(math.Ceil(least))
}

func (c Config) check() error {
	switch {
	case c.Fraction <= 0 || c.Fraction > 1:
		return fmt.Errorf("cannot manage the fraction %g of the memory: it must lie above 0 and not above 1", c.Fraction)
	case c.StorageFraction >= 1:
		return fmt.Errorf("cannot protect the fraction %g of the managed memory for storage: it must lie below 1", c.StorageFraction)
	case c.Cores < 0:
		return fmt.Errorf("cannot divide memory among %d cores", c.Cores)
	}
	if least := c.minBudget(); c.Budget < least {
		least = (least + units.MiB - 1) / units.MiB * units.MiB // as people write it
		return fmt.Errorf("cannot run %d cores in %s: they need at least %s (%s outside the managed memory, and %s for each attempt whatever is cached)",
			c.Cores, c.Budget, least, c.Reserved, c.Floor)
	}
	return nil
}

// Manager divides the managed memory of a session. All methods may be called
// from several goroutines at once.
//
// Lock order: mu is innermost; no call leaves the package while it is held.
type Manager struct {
	pageSize int
	pages    source
	poisoned bool // free pages are filled with poison
	log      *slog.Logger

	mu struct {
		sync.Mutex
		regions
		pool     pool
		active   map[*Task]struct{} // attempts that hold memory, or asked for the first time
		waiting  []*Task
		holders  []*Holder
		reserved []*Reservation
		inFlight int64         // granted to attempts, not yet to a consumer
		released chan struct{} // closed by the next release; nil: nobody asked
		closed   bool
	}

	mapped atomic.Int64 // touched page bytes; written under mu or by who maps and unmaps
	told   struct {
		sync.Mutex // held while Mapped is called, so that it hears figures in order
		tell       func(int64)
		last       int64
	}
}

// NewManager returns a manager of (Budget − Reserved) × Fraction bytes. A
// budget too small for that many cores is refused with the smallest one that
// is not.
func NewManager(c Config) (*Manager, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	m := newManager(c.managed(), c.StorageFraction)
	if c.Heap {
		m.pages = heapSource{}
	}
	m.pageSize = pageSize(int(c.PageSize))
	if c.PageSize <= 0 {
		m.pageSize = defaultPageSize(m.mu.execPool, c.Cores)
	}
	m.told.tell = c.Mapped
	if c.Logger != nil {
		m.log = c.Logger
	}
	return m, nil
}

// newManager returns a manager of total bytes without asking whether they
// suffice for anything.
func newManager(total int64, storageFraction float64) *Manager {
	m := &Manager{
		pageSize: minPage,
		pages:    newMapSource(),
		poisoned: invariant.Enabled,
		log:      slog.New(slog.DiscardHandler),
	}
	if raceBuild {
		m.pages = heapSource{}
	}
	m.mu.regions = newRegions(total, storageFraction)
	m.mu.active = map[*Task]struct{}{}
	return m
}

// defaultPageSize is a sixteenth of a core's part of the execution pool as a
// power of two within 1 MiB and 64 MiB (spark-semantics §5.3).
func defaultPageSize(execPool int64, cores int) int {
	want := execPool / int64(cores) / 16
	size := int64(1) << bits.Len64(uint64(max(1, want)-1))
	return int(min(max(size, int64(units.MiB)), int64(64*units.MiB)))
}

// PageSize returns the size, in bytes, of the pages that consumers of bulk
// data should ask for.
func (m *Manager) PageSize() int { return m.pageSize }

// Total returns the managed bytes.
func (m *Manager) Total() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.total
}

// Free returns the bytes nobody has reserved. Free pages count among them.
func (m *Manager) Free() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.free()
}

// Mapped returns the bytes of pages that are mapped: those in use and the
// free ones kept for reuse.
func (m *Manager) Mapped() int64 { return m.mapped.Load() }

// FreePages is the name of the account of pages kept for reuse.
const FreePages = "free pages"

// Accounts returns what is reserved, by owner, largest first; owners of one
// name (the sorters of all attempts, say) are one account. The account
// [FreePages] is of bytes that are mapped though nobody reserved them; the
// others sum to [Manager.Total] − [Manager.Free].
func (m *Manager) Accounts() []event.Account {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accountsLocked()
}

func (m *Manager) accountsLocked() []event.Account {
	sums := map[string]int64{}
	for t := range m.mu.active {
		for _, c := range t.consumers {
			sums[c.name] += c.used
		}
	}
	sums["grants under way"] += m.mu.inFlight
	for _, h := range m.mu.holders {
		sums[h.name] += h.used
	}
	for _, r := range m.mu.reserved {
		sums[r.name] += r.bytes
	}
	sums[FreePages] += m.mu.pool.free
	return sortedAccounts(sums)
}

// sortedAccounts lists what is not 0, largest first.
func sortedAccounts(sums map[string]int64) []event.Account {
	var list []event.Account
	for name, n := range sums {
		if n != 0 {
			list = append(list, event.Account{Name: name, Bytes: n})
		}
	}
	slices.SortFunc(list, func(a, b event.Account) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// refusalLocked describes a refusal as things stand.
func (m *Manager) refusalLocked(asker string, asked int64) *NoMemoryError {
	e := &NoMemoryError{Asker: asker, Asked: asked, Free: m.mu.free()}
	for _, a := range m.accountsLocked() {
		if a.Name != FreePages && len(e.Largest) < 3 {
			e.Largest = append(e.Largest, a)
		}
	}
	return e
}

// Close gives all free pages back to the system. It returns an error that
// names whoever still holds memory; their pages stay mapped. It is safe to
// call twice.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.mu.closed {
		m.mu.Unlock()
		return nil
	}
	m.mu.closed = true
	var errs []error
	for _, a := range m.accountsLocked() {
		if a.Name != FreePages {
			errs = append(errs, fmt.Errorf("cannot close the memory manager: %s still holds %s", a.Name, units.Bytes(a.Bytes)))
		}
	}
	victims := m.mu.pool.shed(m.mu.pool.free)
	m.mu.Unlock()
	m.giveBack(victims)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}

	m.mu.Lock()
	slabs := m.mu.pool.slabs
	m.mu.pool = pool{}
	m.mu.Unlock()
	for _, b := range slabs {
		m.pages.free(b)
	}
	return nil
}

// settleLocked makes room, among the mapped bytes, for what was reserved: it takes
// out the free pages that stand above the total. If size is not 0, size
// bytes of the reserved ones are for a page, and a free one of that size is
// returned if there is one. The victims must be given back before the
// reserved bytes are touched.
func (m *Manager) settleLocked(size int) (page []byte, victims [][]byte) {
	if size > 0 {
		page = m.mu.pool.take(size)
	}
	if over := m.mu.pool.free - m.mu.free(); over > 0 {
		victims = m.mu.pool.shed(over)
	}
	if invariant.Enabled {
		invariant.Check(m.mu.consistent(), "memory regions do not add up: %+v", m.mu.regions)
		invariant.Check(m.mu.pool.free <= m.mu.free(), "%d bytes of free pages, %d bytes free", m.mu.pool.free, m.mu.free())
	}
	return page, victims
}

// giveBack returns pages taken out of the pool to the system.
func (m *Manager) giveBack(victims [][]byte) {
	for _, b := range victims {
		size := int64(len(b))
		if len(b) >= slabSize {
			m.pages.free(b)
		} else {
			cooled := m.pages.cool(b)
			m.mu.Lock()
			set := &m.mu.pool.small[smallSet(len(b))]
			if cooled {
				set.cold = append(set.cold, b)
			} else { // still resident: keep counting it
				m.mu.pool.put(b)
				size = 0
			}
			m.mu.Unlock()
		}
		m.mapped.Add(-size)
	}
	if len(victims) > 0 {
		m.tell()
	}
}

// mapPage returns a page of size bytes that was never touched, or not since
// it was given back. The bytes are reserved already.
func (m *Manager) mapPage(size int) ([]byte, error) {
	var b []byte
	if size >= slabSize {
		var err error
		if b, err = m.pages.large(size); err != nil {
			return nil, err
		}
	} else {
		m.mu.Lock()
		b = m.mu.pool.takeCold(size)
		m.mu.Unlock()
		for b == nil {
			slab, err := m.pages.slab(slabSize)
			if err != nil {
				return nil, err
			}
			m.mu.Lock()
			m.mu.pool.cut(slab, size)
			b = m.mu.pool.takeCold(size)
			m.mu.Unlock()
		}
	}
	m.mapped.Add(int64(size))
	m.tell()
	return b, nil
}

// newPage makes the page of reserved bytes: reused, if settle found one, else
// mapped.
func (m *Manager) newPage(reused []byte, victims [][]byte, size int) (*Page, error) {
	m.giveBack(victims)
	if reused != nil {
		if m.poisoned {
			checkPoison(reused)
		}
		return &Page{Data: reused}, nil
	}
	b, err := m.mapPage(size)
	if err != nil {
		return nil, err
	}
	return &Page{Data: b}, nil
}

// retire takes a page's bytes, before they go back to the pool.
func (m *Manager) retire(p *Page) []byte {
	b := p.Data
	p.Data = nil
	if m.poisoned {
		poisonBytes(b)
	}
	return b
}

// keepLocked puts freed bytes into the pool, or hands them back as victims
// if more is reserved than they leave room for.
func (m *Manager) keepLocked(b []byte) (victims [][]byte) {
	m.mu.pool.put(b)
	_, victims = m.settleLocked(0)
	return victims
}

// tell tells Config.Mapped of a change of 16 MiB or more.
func (m *Manager) tell() {
	if m.told.tell == nil {
		return
	}
	m.told.Lock()
	defer m.told.Unlock()
	now := m.mapped.Load()
	if d := now - m.told.last; d >= mappedStep || d <= -mappedStep {
		m.told.last = now
		m.told.tell(now)
	}
}

// Released returns a channel that is closed when somebody next gives memory
// back, and how many attempts hold memory: for a caller who was refused memory
// and may wait for attempts that run. Ask before trying.
func (m *Manager) Released() (next <-chan struct{}, attempts int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.released == nil {
		m.mu.released = make(chan struct{})
	}
	return m.mu.released, len(m.mu.active)
}

// wakeLocked wakes whoever waits for memory, to look again.
func (m *Manager) wakeLocked() {
	if m.mu.released != nil {
		close(m.mu.released)
		m.mu.released = nil
	}
	for _, t := range m.mu.waiting {
		t.signal()
	}
}
