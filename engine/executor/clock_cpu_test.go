package executor

import (
	"runtime"
	"testing"
)

func TestCPUTimeIsChainedOverShortTimesOnly(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := lastCPU{lag: cpuLag()}
	first, ok := l.read(1000)
	if !ok {
		t.Skip("no thread CPU time on this system")
	}
	if l.lag < 0 || l.lag > 1e6 {
		t.Errorf("a reading lags by %d ns", l.lag)
	}
	for _, gone := range []int64{0, 1, cpuChain} {
		if got := l.at(1000+gone, false); got != first+gone {
			t.Errorf("%d ns later: %d more", gone, got-first)
		}
	}
	// The thread has not used an hour since.
	const hour = 3600e9
	if got := l.at(1000+hour, false); got < first || got > first+hour/2 {
		t.Errorf("after an hour by the clock: %d more", got-first)
	}
	// That was a reading: the chain goes on from there.
	second := l.cpu
	if got := l.at(1000+hour+5, false); got != second+5 {
		t.Errorf("5 ns after a reading: %d more", got-second)
	}
	if got := l.at(1000+hour+5, true); got == second+5 || got < second {
		t.Errorf("a fresh one was asked for: %d more", got-second)
	}
}

func TestCPUTimeOfAShortRunIsItsWallTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := lastCPU{lag: cpuLag()}
	first, ok := l.read(1000)
	if !ok {
		t.Skip("no thread CPU time on this system")
	}
	if cpu, read := l.after(1000+cpuLeast, first, cpuLeast); read || cpu != first+cpuLeast {
		t.Errorf("a run of %d ns: %d of CPU, read %v", cpuLeast, cpu-first, read)
	}
	if l.when != 1000 {
		t.Errorf("the chain goes on from %d, where nothing was read", l.when)
	}
	if _, read := l.after(1000+cpuLeast+1, first, cpuLeast+1); !read || l.when != 1000+cpuLeast+1 {
		t.Errorf("a longer run: read %v, at %d", read, l.when)
	}
}
