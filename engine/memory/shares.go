package memory

import (
	"fmt"
	"slices"
	"sync"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/units"
)

// driverPart is which part of the managed memory the driver keeps for itself
// when several executors share the rest: its tables, broadcasts and results on
// their way fit into it as a rule, and what does not is lent by the executors.
const driverPart = 16

// Shares divides the memory of a session among several executors: each has a
// Manager of its own over an equal part, with regions and fair shares of its
// own, as an executor's process has in Spark.
//
//	part  = managed × 15/16 / executors
//	managed = driver's Manager's total = parts + what the driver may use
//
// A reservation of the driver that finds too little free borrows from the
// parts, as evenly as they can give: a part that lends makes room as it would
// for a reservation of its own. Settle gives back what is not needed any more.
//
// Its methods may be called from several goroutines at once.
type Shares struct {
	driver *Manager
	held   *Holder // what the parts have of the driver's Manager
	each   Config
	size   int64 // of a part
	count  int64 // of parts, if all are made

	mapped struct { // by the driver and the parts, all told
		sync.Mutex // held while tell is called, so that it hears figures in order
		tell       func(total int64)
		sum        int64
	}

	// lending orders those who lend and settle; it is held while a part evicts.
	lending sync.Mutex
	parts   []*part // guarded by lending
}

// Names of accounts that tell which Manager has the bytes, not who holds them.
const (
	lentToDriver = "lent to the driver"
	executors    = "executors"
)

// part is one executor's memory.
type part struct {
	m      *Manager
	lent   *Reservation      // to the driver
	mapped func(total int64) // what its Manager tells
}

// Divide makes the Manager of a driver and divides its memory among n
// executors. each configures those; Budget, Reserved and Fraction are of the
// whole, Cores is how many attempts each executor runs, and Mapped is told of
// all Managers together. A budget that is too small is refused with the
// smallest one that is not.
func Divide(n int, each Config) (*Manager, *Shares, error) {
	whole := each
	whole.Cores, whole.Floor, whole.Mapped = 1, 1, nil // no attempt runs in the driver
	driver, err := NewManager(whole)
	if err != nil {
		return nil, nil, err
	}
	s, err := newShares(driver, n, each)
	return driver, s, err
}

func newShares(driver *Manager, n int, each Config) (*Shares, error) {
	whole := each.withDefaults()
	s := &Shares{driver: driver, size: driver.Total() * (driverPart - 1) / driverPart / int64(n), count: int64(n)}
	s.each = whole
	s.each.Budget, s.each.Reserved, s.each.Fraction = units.Bytes(s.size), -1, 1
	if least := s.each.minBudget(); units.Bytes(s.size) < least {
		managed := float64(least) * float64(n) * driverPart / (driverPart - 1)
		need := whole.Reserved + units.Bytes(managed/whole.Fraction)
		return nil, fmt.Errorf("cannot run %d executors of %d cores in %s: they need at least %s (%s outside the managed memory, and for each attempt %s whatever is cached)",
			n, whole.Cores, whole.Budget, (need/units.MiB+1)*units.MiB, whole.Reserved, whole.Floor)
	}
	s.mapped.tell = each.Mapped
	driver.told.tell = s.tells()
	s.held = driver.Holder(executors, func(_ *Task, need int64) int64 { return s.lend(need) })
	return s, nil
}

// tells returns what one Manager tells how much it has mapped.
func (s *Shares) tells() func(total int64) {
	if s.mapped.tell == nil {
		return nil
	}
	last := int64(0)
	return func(total int64) {
		s.mapped.Lock()
		defer s.mapped.Unlock()
		s.mapped.sum += total - last
		last = total
		s.mapped.tell(s.mapped.sum)
	}
}

// Own returns how many bytes the driver has beside the parts for which the
// memory was divided.
func (s *Shares) Own() int64 { return s.driver.Total() - s.size*s.count }

// New returns a part. It is refused with a *NoMemoryError if the parts of
// others that are not closed leave too little.
func (s *Shares) New() (*Manager, error) {
	if err := s.held.Acquire(s.size); err != nil {
		return nil, fmt.Errorf("cannot give an executor %s: %w", units.Bytes(s.size), err)
	}
	p := &part{mapped: s.tells()}
	c := s.each
	c.Mapped = p.mapped
	var err error
	if p.m, err = NewManager(c); err == nil {
		p.lent, err = p.m.Reserve(lentToDriver, 0)
	}
	if err != nil {
		s.held.Release(s.size)
		return nil, err
	}
	s.lending.Lock()
	defer s.lending.Unlock()
	s.parts = append(s.parts, p)
	return p.m, nil
}

// Close closes a part, whose bytes are the driver's again, if nobody holds any
// of them; else it does nothing and returns an error that names who does.
func (s *Shares) Close(m *Manager) error {
	s.lending.Lock()
	defer s.lending.Unlock()
	for i, p := range s.parts {
		if p.m != m {
			continue
		}
		for _, a := range m.Accounts() {
			if a.Name != FreePages && a.Name != lentToDriver {
				return fmt.Errorf("cannot give an executor's memory back: %s still holds %s", a.Name, units.Bytes(a.Bytes))
			}
		}
		lent := p.lent.Bytes()
		p.lent.Release()
		if err := m.Close(); err != nil {
			return err
		}
		if p.mapped != nil {
			p.mapped(0)
		}
		s.parts = slices.Delete(s.parts, i, i+1)
		s.held.Release(s.size - lent)
		return nil
	}
	return nil
}

// lend takes need bytes from the parts, or as many as they can give.
func (s *Shares) lend(need int64) (freed int64) {
	s.lending.Lock()
	defer s.lending.Unlock()
	for i, p := range s.parts { // as evenly as they can
		left := int64(len(s.parts) - i)
		freed += p.lend((need - freed + left - 1) / left)
	}
	for _, p := range s.parts { // and what some could not, from the others
		freed += p.lend(need - freed)
	}
	s.held.Release(freed)
	return freed
}

// lend gives n bytes, or what is free.
func (p *part) lend(n int64) int64 {
	if n <= 0 {
		return 0
	}
	for _, n := range []int64{n, min(n, p.m.Free())} {
		if n > 0 && p.lent.Resize(p.lent.Bytes()+n) == nil {
			return n
		}
	}
	return 0
}

// Accounts returns what is reserved in all parts and by the driver, as
// [Manager.Accounts] does.
func (s *Shares) Accounts() []event.Account {
	s.lending.Lock()
	managers := []*Manager{s.driver}
	for _, p := range s.parts {
		managers = append(managers, p.m)
	}
	s.lending.Unlock()
	sums := map[string]int64{}
	for _, m := range managers {
		for _, a := range m.Accounts() {
			if a.Name != lentToDriver && a.Name != executors {
				sums[a.Name] += a.Bytes
			}
		}
	}
	return sortedAccounts(sums)
}

// Settle gives back to the parts what they lent and the driver does not need
// any more. It costs nothing if nothing is lent.
func (s *Shares) Settle() {
	s.lending.Lock()
	defer s.lending.Unlock()
	keep := s.driver.Total() - s.size*int64(len(s.parts))
	for _, p := range s.parts {
		n := min(p.lent.Bytes(), s.driver.Free()-keep)
		if n > 0 && s.held.Acquire(n) == nil {
			_ = p.lent.Resize(p.lent.Bytes() - n) // shrinking does not fail
		}
	}
}
