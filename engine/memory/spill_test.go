package memory

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestMEM_007_OthersSpillBeforeTheAsker(t *testing.T) {
	m := newManager(100, 0)
	task := m.NewTask(1)
	c1, c2 := spillerOf(task, "c1"), spillerOf(task, "c2")
	ask(t, c1.c, 100, 100)
	ask(t, c2.c, 100, 100)
	if c1.c.Used() != 0 || c2.c.Used() != 100 || len(c2.spills) != 0 {
		t.Fatalf("c1 %d, c2 %d, c2 spilled %v; want 0, 100, nothing", c1.c.Used(), c2.c.Used(), c2.spills)
	}
	ask(t, c1.c, 100, 100)
	if len(c2.spills) != 1 {
		t.Fatalf("c2 spilled %v, want once", c2.spills)
	}
	ask(t, c1.c, 100, 100) // nothing else holds anything: itself, last
	if !slices.Equal(c1.spills, []int64{100, 100}) || c1.c.Used() != 100 {
		t.Errorf("c1 spilled %v and holds %d, want twice and 100", c1.spills, c1.c.Used())
	}
	closeAll(t, m, task)
}

func TestMEM_008_SmallestThatSufficesElseLargest(t *testing.T) {
	m := newManager(100, 0)
	task := m.NewTask(1)
	c1, c2, c3 := spillerOf(task, "c1"), spillerOf(task, "c2"), spillerOf(task, "c3")
	ask(t, c1.c, 50, 50)
	ask(t, c2.c, 40, 40)
	ask(t, c3.c, 10, 10)
	ask(t, c1.c, 50, 50)
	if c1.c.Used() != 100 || len(c1.spills) != 0 || !slices.Equal(c2.spills, []int64{50}) || !slices.Equal(c3.spills, []int64{10}) {
		t.Fatalf("c1 holds %d and spilled %v, c2 %v, c3 %v; want 100, none, [50], [10]", c1.c.Used(), c1.spills, c2.spills, c3.spills)
	}
	ask(t, c1.c, 50, 50)
	if c1.c.Used() != 50 || len(c1.spills) != 1 {
		t.Errorf("c1 holds %d after %v, want 50 after one spill of its own", c1.c.Used(), c1.spills)
	}
	closeAll(t, m, task)

	m = newManager(100, 0)
	task = m.NewTask(1)
	big, small, asker := spillerOf(task, "big"), spillerOf(task, "small"), spillerOf(task, "asker")
	ask(t, big.c, 60, 60)
	ask(t, small.c, 40, 40)
	ask(t, asker.c, 30, 30)
	if len(big.spills) != 0 || !slices.Equal(small.spills, []int64{30}) {
		t.Errorf("big spilled %v, small %v; want only the smallest that suffices", big.spills, small.spills)
	}
	closeAll(t, m, task)
}

func TestConsumerThatReleasesNothingIsPassedOver(t *testing.T) {
	m := newManager(100, 0)
	task := m.NewTask(1)
	calls := 0
	stubborn := task.Consumer("stubborn", func(int64) (int64, error) { calls++; return 1000, nil })
	willing := spillerOf(task, "willing")
	asker := task.Consumer("asker", nil)
	ask(t, stubborn, 60, 60)
	ask(t, willing.c, 40, 40)
	ask(t, asker, 50, 40)
	if calls != 1 || len(willing.spills) != 1 {
		t.Errorf("%d calls of the stubborn one and %v of the willing, want one of each", calls, willing.spills)
	}
	closeAll(t, m, task)
}

func TestSpillErrorFailsTheAttempt(t *testing.T) {
	m := newManager(int64(minPage), 0)
	task := m.NewTask(7)
	broken := errors.New("disk full")
	c := task.Consumer("sorter", func(int64) (int64, error) { return 0, broken })
	ask(t, c, int64(minPage), int64(minPage))
	_, err := c.Alloc(1)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "cannot spill sorter of task 7: disk full") {
		t.Errorf("got %v, want the spill's error", err)
	}
	if !errors.Is(task.Err(), broken) {
		t.Errorf("Err is %v, want the spill's error", task.Err())
	}
	closeAll(t, m, task)
}

// A spill may ask for memory, and gets what is free, without spilling again.
func TestSpillGetsOnlyWhatIsFree(t *testing.T) {
	m := newManager(100, 0)
	task := m.NewTask(1)
	buffer := task.Consumer("buffer", nil)
	var got []int64
	s := spillerOf(task, "sorter")
	s.after = func() {
		n := buffer.Acquire(1000)
		got = append(got, n)
		buffer.Release(n)
	}
	ask(t, s.c, 100, 100)
	ask(t, task.Consumer("table", nil), 10, 10)
	if !slices.Equal(got, []int64{100}) {
		t.Errorf("the spill got %v, want the 100 it had just released", got)
	}
	closeAll(t, m, task)
}

// A panic inside a spill leaves nothing behind once the attempt is closed.
func TestPanicInASpillLeaksNothing(t *testing.T) {
	m := newManager(100, 0)
	task := m.NewTask(1)
	c := task.Consumer("sorter", func(int64) (int64, error) { panic("broken") })
	ask(t, c, 60, 60)
	func() {
		defer func() { _ = recover() }()
		c.Acquire(80) // 40 are granted, then it spills
	}()
	if leaked := task.Close(); leaked != 100 {
		t.Errorf("leaked %d, want the 60 held and the 40 under way", leaked)
	}
	closeAll(t, m)
}
