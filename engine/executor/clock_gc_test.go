package executor

import (
	"runtime"
	"testing"
)

func TestGCClockFollowsCollections(t *testing.T) {
	c := newGCClock()
	before := c.load()
	for range 1_000_000 { // the finalizer runs soon after a collection
		runtime.GC()
		runtime.Gosched()
		if c.load() > before {
			break
		}
	}
	if c.load() <= before {
		t.Fatal("collections took no time")
	}
	c.stop()
	for range 10 { // a finalizer that was already under way may still come
		runtime.GC()
	}
	at := c.load()
	for range 10 {
		runtime.GC()
	}
	if c.load() != at {
		t.Error("a stopped clock goes on")
	}
}
