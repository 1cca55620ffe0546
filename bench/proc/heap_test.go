package proc

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// goal returns the size of the heap at which the next cycle is to be done. That
// is what the floor decides; how many cycles there are while so many bytes
// become garbage depends on who else wants the processors, too.
func goal() int64 {
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return int64(goal[0].Value.Uint64())
}

var live []byte

func TestHeapBelowTheFloorIsNotCollected(t *testing.T) {
	t.Setenv("GOGC", "")
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	runtime.GC()
	free := goal()
	s, err := Start(Config{Cores: 1, Memory: units.GiB})
	if err != nil {
		t.Fatal(err)
	}
	s.collectUntil(t, "little lives", func(int) bool { return goal() > int64(largestFloor)*3/4 })
	if floored := goal(); free > int64(largestFloor)/2 || floored > int64(largestFloor)*5/4 {
		t.Errorf("the heap grows to %d bytes, without a floor to %d", floored, free)
	}

	// Where more lives than that, the heap only doubles.
	live = make([]byte, 2*largestFloor)
	s.collectUntil(t, "as much lives as twice the floor", func(percent int) bool { return percent == 100 })
	live = nil
	s.collectUntil(t, "little lives again", func(percent int) bool { return percent > 100 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("after Close it runs at %d percent", got)
	}
}

// collectUntil runs cycles until the percentage is as it must be: it follows a
// cycle, on a goroutine of the runtime.
func (s *Setup) collectUntil(t *testing.T, when string, good func(percent int) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !good(s.percentNow()); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s, and the collector runs at %d percent", when, s.percentNow())
		}
		runtime.GC()
	}
}

func (s *Setup) percentNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor.percent
}

func TestNoFloorInAStampOfMemoryNorBesideTheUsers(t *testing.T) {
	percent := debug.SetGCPercent(70)
	defer debug.SetGCPercent(percent)
	for _, c := range []struct {
		gogc   string
		memory units.Bytes
	}{{"", 64 * units.MiB}, {"", 0}, {"70", units.GiB}} {
		t.Setenv("GOGC", c.gogc)
		s, err := Start(Config{Cores: 1, Memory: c.memory})
		if err != nil {
			t.Fatal(err)
		}
		if got := debug.SetGCPercent(70); got != 70 {
			t.Errorf("%+v: it runs at %d percent", c, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
