package memory

import (
	"errors"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/units"
)

func TestMEM_014_ManagedMemoryOfABudget(t *testing.T) {
	m, err := NewManager(Config{Budget: 1024 * units.MiB, Reserved: 300 * units.MiB, Fraction: 0.6})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Total(); got != 455501414 {
		t.Errorf("usable %d, want 455501414", got)
	}
	if got := m.mu.region(); got != 227750707 {
		t.Errorf("storage region %d, want 227750707", got)
	}
	if got := m.mu.execPool; got != 227750707 {
		t.Errorf("initial execution pool %d, want 227750707", got)
	}
	closeAll(t, m)

	_, err = NewManager(Config{Budget: 449 * units.MiB, Reserved: 300 * units.MiB, Floor: 1})
	if err == nil || !strings.Contains(err.Error(), "at least 450 MiB") {
		t.Errorf("a budget below 1.5 times the reserve: got %v, want a refusal that says 450 MiB", err)
	}
	m, err = NewManager(Config{Budget: 450 * units.MiB, Reserved: 300 * units.MiB, Floor: 1})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, m)
}

func TestDefaultPageSizeGoldenVectors(t *testing.T) {
	for cores, want := range map[int]units.Bytes{1: 16 * units.MiB, 4: 4 * units.MiB, 8: 2 * units.MiB, 64: 1 * units.MiB} {
		m, err := NewManager(Config{Budget: 1024 * units.MiB, Reserved: 300 * units.MiB, Fraction: 0.6, Cores: cores, Floor: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := units.Bytes(m.PageSize()); got != want {
			t.Errorf("%d cores: page %v, want %v", cores, got, want)
		}
		closeAll(t, m)
	}
}

// The minimum in the error is the smallest budget that is accepted, and with
// it every attempt can have the floor while the cache fills its region.
func TestTooSmallABudgetSaysTheMinimum(t *testing.T) {
	for _, cores := range []int{1, 2, 7, 64} {
		_, err := NewManager(Config{Budget: 33 * units.MiB, Cores: cores})
		if err == nil {
			t.Fatalf("%d cores in 33 MiB were accepted", cores)
		}
		least := Config{Cores: cores}.withDefaults().minBudget()
		if !strings.Contains(err.Error(), "they need at least "+least.String()) {
			t.Errorf("%d cores: %q does not say %v", cores, err, least)
		}
		if _, err := NewManager(Config{Budget: least - 1, Cores: cores}); err == nil {
			t.Errorf("%d cores in %d bytes were accepted, one less than the minimum", cores, least-1)
		}
		m, err := NewManager(Config{Budget: least, Cores: cores})
		if err != nil {
			t.Fatal(err)
		}
		cached := cacheOf(t, m, m.mu.region())
		var tasks []*Task
		for i := range cores {
			task, c := plain(m, 1)
			if err := c.Need(int64(4 * units.MiB)); err != nil {
				t.Errorf("%d cores: attempt %d: %v", cores, i, err)
			}
			tasks = append(tasks, task)
		}
		cached.h.Release(cached.h.Used())
		closeAll(t, m, tasks...)
	}
}

func TestConfigThatMakesNoSense(t *testing.T) {
	for want, c := range map[string]Config{
		"the fraction 1.5":                {Budget: units.GiB, Fraction: 1.5},
		"the fraction 1 of the managed":   {Budget: units.GiB, StorageFraction: 1},
		"cannot divide memory among -1 c": {Budget: units.GiB, Cores: -1},
	} {
		if _, err := NewManager(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestRefusalNamesAskerShareAndHolders(t *testing.T) {
	m := newManager(64*int64(units.MiB), 0.5)
	cached := cacheOf(t, m, 40*int64(units.MiB))
	cached.deny = true
	task, c := plain(m, 17)
	_, err := c.Alloc(int(30 * units.MiB))
	var e *NoMemoryError
	if !errors.As(err, &e) || !errors.Is(err, ErrNoMemory) {
		t.Fatalf("got %v, want a *NoMemoryError", err)
	}
	want := "cannot reserve 30.0 MiB for plain of task 17: 24.0 MiB free, 0 B of a share of 32.0 MiB already held; largest holders: cache 40.0 MiB"
	if err.Error() != want {
		t.Errorf("the refusal says %q,\nwant %q", err, want)
	}
	if task.Held() != 0 || c.Used() != 0 {
		t.Errorf("a refused attempt holds %d", task.Held())
	}
	cached.h.Release(cached.h.Used())
	closeAll(t, m, task)
}

func TestCloseNamesWhoStillHolds(t *testing.T) {
	m := newManager(1000, 0.5)
	task, c := plain(m, 1)
	ask(t, c, 100, 100)
	err := m.Close()
	if want := "cannot close the memory manager: plain still holds 100 B"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	task.Close()
	if err := m.Close(); err != nil {
		t.Errorf("a second Close says %v", err)
	}
}

func TestAttemptThatAsksForNothingCostsNothing(t *testing.T) {
	m := newManager(1000, 0.5)
	if n := testing.AllocsPerRun(100, func() {
		if m.NewTask(3).Close() != 0 {
			t.Error("an unused account leaked")
		}
	}); n > 1 {
		t.Errorf("%v allocations for an unused account, want at most one", n)
	}
	closeAll(t, m)
}
