package memory

import (
	"errors"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/units"
)

// divide returns two parts of 240 MiB and a driver with 32 MiB of its own.
func divide(t *testing.T) (driver *Manager, s *Shares, parts [2]*Manager) {
	t.Helper()
	driver = newManager(int64(512*units.MiB), 0.5)
	s, err := newShares(driver, 2, Config{Cores: 2, StorageFraction: 0.5, Reserved: -1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range parts {
		if parts[i], err = s.New(); err != nil {
			t.Fatal(err)
		}
		if got := parts[i].Total(); got != int64(240*units.MiB) {
			t.Fatalf("a part has %d bytes", got)
		}
	}
	if free := driver.Free(); free != int64(32*units.MiB) {
		t.Fatalf("the driver has %d bytes", free)
	}
	return driver, s, parts
}

// undivide closes everything, with nothing left anywhere.
func undivide(t *testing.T, driver *Manager, s *Shares, parts [2]*Manager) {
	t.Helper()
	for _, p := range parts {
		check(t, p)
		if err := s.Close(p); err != nil {
			t.Error(err)
		}
	}
	closeAll(t, driver)
}

func TestPartsLendToTheDriver(t *testing.T) {
	driver, s, parts := divide(t)
	cached := cacheOf(t, parts[0], 200*mib) // may be evicted as far as it stands above half
	task, c := plain(parts[1], 1)
	ask(t, c, 190*mib, 190*mib) // cannot
	r, err := driver.Reserve("results", 160*mib)
	if err != nil {
		t.Fatal(err)
	}
	if lent := s.parts[0].lent.Bytes() + s.parts[1].lent.Bytes(); lent != 128*mib || s.parts[1].lent.Bytes() != 50*mib {
		t.Errorf("the parts lend %d and %d bytes, want 78 and 50 MiB", s.parts[0].lent.Bytes(), s.parts[1].lent.Bytes())
	}
	check(t, driver)
	check(t, parts[0])
	check(t, parts[1])
	if sum := total(s); sum != 160*mib+cached.h.Used()+190*mib {
		t.Errorf("the accounts sum to %d", sum)
	}
	// What execution uses and what the region protects, nobody lends.
	if err := r.Resize(400 * mib); !errors.Is(err, ErrNoMemory) {
		t.Errorf("400 MiB for the driver: %v", err)
	}
	task.Close()
	r.Release()
	s.Settle()
	for i, p := range s.parts {
		if p.lent.Bytes() != 0 || p.m.Free() != p.m.Total()-[]int64{cached.h.Used(), 0}[i] {
			t.Errorf("part %d still lends %d bytes", i, p.lent.Bytes())
		}
	}
	cached.h.Release(cached.h.Used())
	undivide(t, driver, s, parts)
}

func TestClosedPartIsTheDriversAgain(t *testing.T) {
	driver, s, parts := divide(t)
	h := parts[0].Holder("shuffle", nil)
	if err := h.Acquire(mib); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(parts[0]); err == nil || !strings.Contains(err.Error(), "shuffle still holds 1.00 MiB") {
		t.Errorf("a part that is in use is closed: %v", err)
	}
	if _, err := s.New(); !errors.Is(err, ErrNoMemory) {
		t.Errorf("a third part beside two: %v", err)
	}
	r, err := driver.Reserve("results", 40*mib) // 4 MiB of each
	if err != nil {
		t.Fatal(err)
	}
	h.Release(mib)
	if err := s.Close(parts[0]); err != nil {
		t.Fatal(err)
	}
	if free := driver.Free(); free != 236*mib {
		t.Errorf("the driver has %d bytes, want those of the part but for 4 MiB that it borrowed", free)
	}
	r.Release()
	s.Settle()
	if parts[0], err = s.New(); err != nil {
		t.Fatal(err)
	}
	undivide(t, driver, s, parts)
}

func TestMEM_014_BudgetTooSmallToDivide(t *testing.T) {
	// 2 executors of 1 core need 16 MiB each, and the driver a sixteenth.
	c := Config{Budget: 64 * units.MiB, Cores: 1}
	_, err := newShares(newManager(int64(32*units.MiB), 0.5), 2, c)
	if err == nil || !strings.Contains(err.Error(), "cannot run 2 executors of 1 cores in 64.0 MiB: they need at least 67.0 MiB") {
		t.Fatalf("got %v", err)
	}
	c.Budget = 67 * units.MiB
	if _, err := newShares(newManager(c.withDefaults().managed(), 0.5), 2, c); err != nil {
		t.Error(err)
	}
}

func total(s *Shares) (sum int64) {
	for _, a := range s.Accounts() {
		if a.Name != FreePages {
			sum += a.Bytes
		}
	}
	return sum
}
