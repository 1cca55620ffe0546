package source

import (
	"sync"
	"unsafe"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// A way is how a block of output reaches the disk.
type way int

const (
	throughCache way = iota // a copy in the system's file cache, written later
	pastCache               // from the block to the device, on which the writer waits
)

// Ways chooses how the full blocks of output files are written: the way that
// was faster of late. Which that is depends on the machine and the moment. A
// copy into a file cache that has pages at hand runs at the pace of memory,
// and no device keeps up with it. Where the cache has to clear new pages, or
// to ask a hypervisor for them, or waits until old ones are on the disk, a
// device is several times as fast, and takes no processor's time. So both are
// measured: first one block each, then the faster one is used, and the other
// is tried again every now and then, so rarely that its trials cost a
// hundredth.
//
// The zero Ways is ready. It is used by several goroutines at once.
type Ways struct {
	mu    sync.Mutex
	pace  [2]float64 // nanoseconds a byte of late; 0: not known
	bytes [2]int64
	left  int  // blocks until the slower way is tried
	never bool // the system cannot write past the cache
	fixed bool // the choice is the user's
	use   way  // which one
}

// trialShare is the part of the time that may go to trials of the slower way.
const trialShare = 100

// OneWay returns Ways that go always past the cache, where the system can, or
// never.
func OneWay(past bool) *Ways {
	w := &Ways{fixed: true}
	if past {
		w.use = pastCache
	}
	return w
}

// next returns how the next block is to be written.
func (w *Ways) next() way {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.never {
		return throughCache
	}
	if w.fixed {
		return w.use
	}
	for _, unknown := range [...]way{throughCache, pastCache} {
		if w.pace[unknown] == 0 {
			return unknown
		}
	}
	faster, slower := throughCache, pastCache
	if w.pace[slower] < w.pace[faster] {
		faster, slower = slower, faster
	}
	if w.left--; w.left > 0 {
		return faster
	}
	w.left = 1 + int(trialShare*(w.pace[slower]/w.pace[faster]-1))
	return slower
}

// took tells how long n bytes took. Half of the pace is the latest block's, so
// that one block which had to wait for another program does not decide for
// long: the other way is tried soon, and then this one again.
func (w *Ways) took(by way, n int, ns int64) {
	pace := max(1, float64(ns)) / float64(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes[by] += int64(n)
	if w.pace[by] > 0 {
		pace = (pace + w.pace[by]) / 2
	}
	w.pace[by] = pace
}

// refuse tells that the system does not write past the cache.
func (w *Ways) refuse() {
	w.mu.Lock()
	w.never = true
	w.mu.Unlock()
}

// Past returns how many bytes were written past the file cache, and how many
// were written in full blocks at all.
func (w *Ways) Past() (past, all int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes[pastCache], w.bytes[pastCache] + w.bytes[throughCache]
}

// directBlock reports whether p may be written past the cache behind the first
// written bytes of a file.
func directBlock(p []byte, written int64) bool {
	const mask = fsys.DirectAlign - 1
	return len(p) >= directLeast && len(p)&mask == 0 && written&mask == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))&mask == 0
}

// directLeast is the smallest block that is worth a wait for the device: below
// it most of the wait is not the transfer's.
const directLeast = 128 << 10
