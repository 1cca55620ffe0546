package proc

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/execbench/execbench/engine/units"
)

func TestLimitFollowsThePagesAndEverythingIsRestored(t *testing.T) {
	procs, limit := runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1)
	s, err := Start(Config{Cores: 3, Memory: 512 * units.MiB})
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, want units.Bytes) {
		t.Helper()
		if got := debug.SetMemoryLimit(-1); got != int64(want) {
			t.Errorf("%s: the limit is %s, want %s", what, units.Bytes(got), want)
		}
	}
	f("no pages", 512*units.MiB)
	if got := runtime.GOMAXPROCS(0); got != 4 {
		t.Errorf("GOMAXPROCS is %d, want 4", got)
	}
	s.Mapped(int64(400 * units.MiB))
	f("400 MiB of pages", 112*units.MiB)
	s.Mapped(int64(511 * units.MiB))
	f("nearly all in pages", leastLimit)
	if s.Pinned() != nil {
		t.Errorf("pinned to %v, asked for nothing", s.Pinned())
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.Mapped(1 << 20)
	f("after Close", units.Bytes(limit))
	if got := runtime.GOMAXPROCS(0); got != procs {
		t.Errorf("GOMAXPROCS is %d after Close, was %d", got, procs)
	}
}

func TestNoBudgetLeavesTheLimit(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	s, err := Start(Config{Cores: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Mapped(1 << 30)
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("the limit is %d, was %d", got, limit)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUsageGrows(t *testing.T) {
	before := ReadUsage()
	held := make([]byte, 64<<20)
	x := byte(1)
	for i := range held {
		x = x*3 + 1
		held[i] = x
	}
	after := ReadUsage()
	if after.CPU() <= before.CPU() || after.PeakRSS < 32*units.MiB {
		t.Errorf("usage %+v, then %+v after filling 64 MiB", before, after)
	}
	runtime.KeepAlive(held)
}
